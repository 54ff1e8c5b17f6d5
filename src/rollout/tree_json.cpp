#include "rollout/tree_json.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string_view>
#include <utility>

#include "base/error.h"

namespace treepo {

namespace {

constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

void add_node_notes(OrderedJson& json, size_t id, const TreeNotes& notes) {
  if (!notes.node_advantages.empty() && !std::isnan(notes.node_advantages.at(id)))
    json["advantage"] = notes.node_advantages[id];
  if (!notes.node_texts.empty()) json["text"] = notes.node_texts.at(id);
  if (!notes.token_texts.empty()) json["token_texts"] = notes.token_texts.at(id);
}

OrderedJson node_to_json(const SearchTree& tree, int32_t id, const TreeNotes& notes) {
  const TreeNode& node = tree.node(id);
  OrderedJson json = {{"id", id}, {"parent", node.parent}, {"tokens", tree.tokens(id)}};
  if (node.parent > 0 && node.parent_used_tokens < tree.node(node.parent).num_tokens) {
    json["parent_used_tokens"] = node.parent_used_tokens;
  }
  if (id == 0) return json;
  json["logprobs"] = tree.logprobs(id);
  json["entropies"] = tree.entropies(id);
  if (node.stop != StopReason::none) json["stop"] = stop_reason_name(node.stop);
  if (node.discarded) json["discarded"] = true;
  if (node.fallback) json["fallback"] = true;
  add_node_notes(json, static_cast<size_t>(id), notes);
  return json;
}

OrderedJson leaf_to_json(const SearchTree& tree, size_t index, const TreeNotes& notes) {
  const int32_t leaf = tree.leaves()[index];
  OrderedJson json = {{"path", tree.path(leaf)}};
  const auto add_number = [&](const char* key, const std::vector<double>& values) {
    if (!values.empty() && !std::isnan(values.at(index))) json[key] = values[index];
  };
  add_number("reward", notes.rewards);
  add_number("advantage", notes.advantages);
  json["end"] = stop_reason_name(tree.node(leaf).stop);
  json["num_tokens"] = tree.path_tokens(leaf);
  if (!notes.leaf_texts.empty()) json["text"] = notes.leaf_texts.at(index);
  return json;
}

// --- reading

std::vector<int32_t> get_ids(const Json& object, const std::string& key, const std::string& where) {
  std::vector<int32_t> ids;
  for (const int64_t id : get_ints(object, key, where)) {
    if (id < 0 || id > INT32_MAX) {
      throw Error(fmt::format("{}: \"{}\" contains {}", where, key, id),
                  "ids are whole numbers from 0 on");
    }
    ids.push_back(static_cast<int32_t>(id));
  }
  return ids;
}

int32_t longest_segment(const Json& nodes, const std::string& where) {
  size_t longest = 1;
  for (const Json& node : nodes)
    longest = std::max(longest, get_array(node, "tokens", where).size());
  return static_cast<int32_t>(longest);
}

// One number for each token of the node, zeros where the key is absent.
std::vector<double> token_numbers(const Json& node, const std::string& key, size_t num_tokens,
                                  const std::string& where) {
  if (!has_key(node, key)) return std::vector<double>(num_tokens);
  std::vector<double> numbers = get_doubles(node, key, where);
  if (numbers.size() != num_tokens) {
    throw Error(fmt::format("{}: \"{}\" has {} numbers for {} tokens", where, key, numbers.size(),
                            num_tokens));
  }
  return numbers;
}

void check_root(const Json& node, const std::string& where) {
  if (get_int(node, "parent", where) != -1 || !get_array(node, "tokens", where).empty()) {
    throw Error(fmt::format("{}: node 0 stands for the prompt", where),
                "its \"parent\" is -1 and its \"tokens\" are empty");
  }
}

void read_node(SearchTree& tree, const Json& node, const std::string& where) {
  const int64_t parent = get_int(node, "parent", where);
  if (parent < 0 || parent >= tree.num_nodes()) {
    throw Error(fmt::format("{}: \"parent\" is {}", where, parent),
                "a parent comes before its children");
  }
  const int32_t whole = tree.node(static_cast<int32_t>(parent)).num_tokens;
  const int64_t used = get_int_or(node, "parent_used_tokens", whole, where);
  if (used > whole || (used < 1 && parent > 0) || used < 0) {
    throw Error(fmt::format("{}: \"parent_used_tokens\" is {}, node {} has {} tokens", where, used,
                            parent, whole));
  }
  const std::vector<int32_t> tokens = get_ids(node, "tokens", where);
  if (tokens.empty()) throw Error(fmt::format("{}: \"tokens\" is empty", where));
  const std::vector<double> logprobs = token_numbers(node, "logprobs", tokens.size(), where);
  const std::vector<double> entropies = token_numbers(node, "entropies", tokens.size(), where);
  const int32_t id = tree.add_child(static_cast<int32_t>(parent), static_cast<int32_t>(used),
                                    get_bool_or(node, "fallback", false, where));
  for (size_t i = 0; i < tokens.size(); ++i) {
    tree.append(id, tokens[i], logprobs[i], entropies[i]);
  }
}

// The oracles write "boxed" where this program writes "answer".
StopReason read_reason(const Json& object, const std::string& key, const std::string& where) {
  const std::string name = get_string(object, key, where);
  if (name == "boxed") return StopReason::answer;
  try {
    return stop_reason_from_name(name);
  } catch (const Error& error) {
    throw Error(fmt::format("{}: \"{}\": {}", where, key, error.what()), error.hint());
  }
}

void read_leaf(SearchTree& tree, const Json& leaf, TreeNotes& notes, const std::string& where) {
  const std::vector<int32_t> path = get_ids(leaf, "path", where);
  const int32_t node = path.empty() ? 0 : path.back();
  if (node == 0 || node >= tree.num_nodes() || path != tree.path(node)) {
    throw Error(
        fmt::format("{}: \"path\" [{}] is no path of the tree", where, fmt::join(path, ", ")),
        "it lists the nodes from 0 down to the trajectory's last segment");
  }
  const int64_t num_tokens = get_int_or(leaf, "num_tokens", tree.path_tokens(node), where);
  if (num_tokens != tree.path_tokens(node)) {
    throw Error(fmt::format("{}: \"num_tokens\" is {}, the path has {}", where, num_tokens,
                            tree.path_tokens(node)));
  }
  const StopReason end = read_reason(leaf, "end", where);
  if (end == StopReason::none || tree.node(node).stop != StopReason::none) {
    throw Error(fmt::format("{}: the path of node {} ends twice or for no reason", where, node));
  }
  tree.stop(node, end);
  notes.rewards.push_back(get_double_or(leaf, "reward", kUnknown, where));
  notes.advantages.push_back(get_double_or(leaf, "advantage", kUnknown, where));
  notes.leaf_texts.push_back(get_string_or(leaf, "text", "", where));
}

template <typename T, typename IsUnknown>
void clear_if_all(std::vector<T>& values, const IsUnknown& is_unknown) {
  if (std::ranges::all_of(values, is_unknown)) values.clear();
}

}  // namespace

OrderedJson tree_to_json(const SearchTree& tree, const TreeNotes& notes) {
  OrderedJson json;
  if (!notes.query_id.is_null()) json["query_id"] = notes.query_id;
  json["prompt"] = tree.prompt();
  json["nodes"] = OrderedJson::array();
  for (int32_t id = 0; id < tree.num_nodes(); ++id) {
    json["nodes"].push_back(node_to_json(tree, id, notes));
  }
  json["leaves"] = OrderedJson::array();
  for (size_t i = 0; i < tree.leaves().size(); ++i) {
    json["leaves"].push_back(leaf_to_json(tree, i, notes));
  }
  return json;
}

TreeRecord tree_from_json(const Json& object, const std::string& where) {
  const Json& nodes = get_array(object, "nodes", where);
  TreeRecord record{.tree = SearchTree(get_ids(object, "prompt", where),
                                       longest_segment(nodes, where + ", nodes")),
                    .notes = {}};
  if (has_key(object, "query_id")) record.notes.query_id = object.at("query_id");
  if (nodes.empty()) throw Error(fmt::format("{}: \"nodes\" is empty", where));
  for (size_t i = 0; i < nodes.size(); ++i) {
    const std::string place = fmt::format("{}, nodes[{}]", where, i);
    if (get_int(nodes[i], "id", place) != static_cast<int64_t>(i)) {
      throw Error(fmt::format("{}: \"id\" is not {}", place, i), "nodes are numbered from 0 on");
    }
    if (i == 0) {
      check_root(nodes[i], place);
    } else {
      read_node(record.tree, nodes[i], place);
    }
    record.notes.node_texts.push_back(get_string_or(nodes[i], "text", "", place));
  }
  const Json& leaves = get_array(object, "leaves", where);
  for (size_t i = 0; i < leaves.size(); ++i) {
    read_leaf(record.tree, leaves[i], record.notes, fmt::format("{}, leaves[{}]", where, i));
  }
  for (size_t i = 1; i < nodes.size(); ++i) {
    const std::string place = fmt::format("{}, nodes[{}]", where, i);
    if (get_bool_or(nodes[i], "discarded", false, place)) {
      if (record.tree.node(static_cast<int32_t>(i)).stop != StopReason::none) {
        throw Error(fmt::format("{}: a trajectory ends here, but it is \"discarded\"", place));
      }
      record.tree.stop(static_cast<int32_t>(i), read_reason(nodes[i], "stop", place), true);
    }
  }
  const auto is_nan = [](double value) { return std::isnan(value); };
  const auto is_empty = [](const std::string& text) { return text.empty(); };
  clear_if_all(record.notes.rewards, is_nan);
  clear_if_all(record.notes.advantages, is_nan);
  clear_if_all(record.notes.leaf_texts, is_empty);
  clear_if_all(record.notes.node_texts, is_empty);
  return record;
}

}  // namespace treepo
