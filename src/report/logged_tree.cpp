#include "report/logged_tree.h"

#include <numeric>

#include "base/error.h"

namespace treepo {

namespace {

double mean_of(const std::vector<double>& values) {
  if (values.empty()) return kNotLogged;
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

std::vector<double> doubles_or_none(const Json& node, const std::string& key, size_t count,
                                    const std::string& where) {
  if (!has_key(node, key)) return {};
  std::vector<double> values = get_doubles(node, key, where);
  if (values.size() != count)
    throw Error(
        fmt::format("{}: \"{}\" has {} numbers for {} tokens", where, key, values.size(), count));
  return values;
}

LoggedTree::Node read_node(const LoggedTree& tree, const Json& json, const std::string& where) {
  LoggedTree::Node node;
  const int64_t parent = get_int(json, "parent", where);
  const auto before = std::ssize(tree.nodes);
  if (before == 0 ? parent != -1 : parent < 0 || parent >= before)
    throw Error(fmt::format("{}: \"parent\" is {}", where, parent),
                "node 0 has parent -1, and a parent comes before its children");
  node.parent = static_cast<int32_t>(parent);
  const size_t count = get_array(json, "tokens", where).size();
  node.num_tokens = static_cast<int32_t>(count);
  const int64_t whole = parent < 0 ? 0 : tree.nodes[static_cast<size_t>(parent)].num_tokens;
  const int64_t used = get_int_or(json, "parent_used_tokens", whole, where);
  if (used < 0 || used > whole)
    throw Error(fmt::format("{}: \"parent_used_tokens\" is {}, its parent has {} tokens", where,
                            used, whole));
  node.parent_used_tokens = static_cast<int32_t>(used);
  node.stop = get_string_or(json, "stop", "", where);
  node.discarded = get_bool_or(json, "discarded", false, where);
  // A restart inside a segment is one also in files that do not say so.
  node.fallback = get_bool_or(json, "fallback", used < whole, where);
  node.logprobs = doubles_or_none(json, "logprobs", count, where);
  node.mean_logprob = mean_of(node.logprobs);
  node.mean_entropy = mean_of(doubles_or_none(json, "entropies", count, where));
  node.advantage = get_double_or(json, "advantage", kNotLogged, where);
  node.text = get_string_or(json, "text", "", where);
  if (has_key(json, "token_texts")) node.token_texts = get_strings(json, "token_texts", where);
  if (node.token_texts.size() != count) node.token_texts.clear();
  return node;
}

LoggedTree::Leaf read_leaf(const LoggedTree& tree, const Json& json, const std::string& where) {
  LoggedTree::Leaf leaf;
  const std::vector<int64_t> path = get_ints(json, "path", where);
  const int64_t node = path.empty() ? 0 : path.back();
  if (node <= 0 || node >= std::ssize(tree.nodes))
    throw Error(fmt::format("{}: \"path\" ends in no node of the tree", where));
  leaf.node = static_cast<int32_t>(node);
  leaf.end = get_string_or(json, "end", tree.nodes[static_cast<size_t>(node)].stop, where);
  leaf.reward = get_double_or(json, "reward", kNotLogged, where);
  leaf.advantage = get_double_or(json, "advantage", kNotLogged, where);
  leaf.score = get_double_or(json, "score", kNotLogged, where);
  leaf.reason = get_string_or(json, "reason", "", where);
  leaf.text = get_string_or(json, "text", "", where);
  leaf.num_tokens = static_cast<int32_t>(get_int_or(json, "num_tokens", 0, where));
  return leaf;
}

std::string text_of(const Json& line, const std::string& key) {
  if (!has_key(line, key)) return "";
  return line.at(key).is_string() ? line.at(key).get<std::string>() : dump_json(line.at(key));
}

}  // namespace

std::vector<std::vector<int32_t>> LoggedTree::children() const {
  std::vector<std::vector<int32_t>> all(nodes.size());
  for (size_t i = 1; i < nodes.size(); ++i)
    all[static_cast<size_t>(nodes[i].parent)].push_back(static_cast<int32_t>(i));
  return all;
}

int64_t LoggedTree::unique_tokens() const {
  int64_t sum = 0;
  for (const Node& node : nodes) sum += node.num_tokens;
  return sum;
}

int64_t LoggedTree::trajectory_tokens() const {
  int64_t sum = 0;
  for (const Leaf& leaf : leaves) sum += leaf.num_tokens;
  return sum;
}

LoggedTree read_logged_tree(const Json& line, const std::string& where) {
  if (!line.is_object()) throw Error(where + ": this is no tree", "it should be a JSON object");
  LoggedTree tree;
  tree.step = get_int_or(line, "step", -1, where);
  tree.query_id = text_of(line, "query_id");
  tree.prompt_text = text_of(line, "prompt_text");
  tree.answer = text_of(line, "answer");
  tree.prompt_tokens = static_cast<int32_t>(get_array(line, "prompt", where).size());
  for (const Json& node : get_array(line, "nodes", where))
    tree.nodes.push_back(
        read_node(tree, node, fmt::format("{}, nodes[{}]", where, tree.nodes.size())));
  if (tree.nodes.empty()) throw Error(where + ": \"nodes\" is empty");
  for (const Json& leaf : get_array(line, "leaves", where))
    tree.leaves.push_back(
        read_leaf(tree, leaf, fmt::format("{}, leaves[{}]", where, tree.leaves.size())));
  return tree;
}

}  // namespace treepo
