#include "report/sample_trees_json.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/files.h"
#include "report/log_lines.h"
#include "report/short_number.h"

namespace treepo {

namespace {

constexpr size_t kExcerptBytes = 120;

// At most `bytes` of it, no character cut in half.
std::string beginning(const std::string& text, size_t bytes) {
  if (text.size() <= bytes) return text;
  while (bytes > 0 && (static_cast<unsigned char>(text[bytes]) & 0xC0) == 0x80) --bytes;
  return text.substr(0, bytes) + "…";
}

void add_number(OrderedJson& json, const char* key, double value) {
  if (std::isfinite(value)) json[key] = short_number(value);
}

void add_text(OrderedJson& json, const LoggedTree::Node& node, TreeDetail detail) {
  if (detail == TreeDetail::excerpts) {
    json["t"] = beginning(node.text, kExcerptBytes);
    return;
  }
  if (detail == TreeDetail::segments || node.token_texts.empty()) {
    json["t"] = node.text;
    return;
  }
  json["t"] = node.token_texts;
  if (node.logprobs.empty()) return;
  json["lp"] = OrderedJson::array();
  for (const double logprob : node.logprobs)
    json["lp"].push_back(std::isfinite(logprob) ? std::llround(-100 * logprob) : 9999);
}

OrderedJson node_json(const LoggedTree& tree, size_t index, TreeDetail detail) {
  const LoggedTree::Node& node = tree.nodes[index];
  OrderedJson json = {{"p", node.parent}, {"n", node.num_tokens}};
  if (index == 0) return json;
  if (node.parent_used_tokens < tree.nodes[static_cast<size_t>(node.parent)].num_tokens)
    json["u"] = node.parent_used_tokens;
  add_number(json, "l", node.mean_logprob);
  add_number(json, "e", node.mean_entropy);
  if (!node.stop.empty()) json["s"] = node.stop;
  if (node.discarded) json["d"] = 1;
  if (node.fallback) json["f"] = 1;
  add_number(json, "a", node.advantage);
  add_text(json, node, detail);
  return json;
}

OrderedJson leaf_json(const LoggedTree::Leaf& leaf) {
  OrderedJson json = {{"n", leaf.node}};
  add_number(json, "r", leaf.reward);
  add_number(json, "a", leaf.advantage);
  add_number(json, "s", leaf.score);
  if (!leaf.reason.empty()) json["w"] = leaf.reason;
  json["k"] = leaf.num_tokens;
  return json;
}

bool has_tokens(const LoggedTree& tree) {
  return std::ranges::any_of(tree.nodes, [](const auto& n) { return !n.token_texts.empty(); });
}

// --- choosing

struct Place {
  uint64_t offset = 0;
  size_t bytes = 0;
  int64_t line = 0;
};
using Index = std::map<int64_t, std::vector<Place>>;  // by step

// {"step":12, at the beginning of a line, as the program writes it; else the whole line is parsed.
std::optional<int64_t> step_of(std::string_view line) {
  constexpr std::string_view kBeginning = R"({"step":)";
  if (line.starts_with(kBeginning)) {
    int64_t step = 0;
    size_t at = kBeginning.size();
    for (; at < line.size() && line[at] >= '0' && line[at] <= '9' && step < (int64_t{1} << 50);
         ++at)
      step = 10 * step + (line[at] - '0');
    if (at > kBeginning.size() && at < line.size() && line[at] == ',') return step;
  }
  const Json json = Json::parse(line, nullptr, false);
  if (!json.is_object()) return std::nullopt;
  return json.contains("step") && json["step"].is_number_integer() ? json["step"].get<int64_t>()
                                                                   : 0;
}

Index index_of(const std::string& path, SampleTrees& result) {
  Index index;
  for_each_line(path, [&](const LogLine& line) {
    if (line.text.find_first_not_of(" \r\t") == std::string_view::npos) return;
    const std::optional<int64_t> step = line.complete ? step_of(line.text) : std::nullopt;
    if (!step) {
      result.unreadable_lines += line.complete ? 1 : 0;
      return;
    }
    ++result.num_trees;
    index[*step].push_back({line.offset, line.text.size(), line.number});
  });
  return index;
}

// 0 … count - 1: the last, the first, then the middle of each gap, the widest first.
std::vector<size_t> spread_order(size_t count) {
  std::vector<size_t> order;
  if (count > 0) order.push_back(count - 1);
  if (count > 1) order.push_back(0);
  std::deque<std::pair<size_t, size_t>> gaps = {{0, count > 0 ? count - 1 : 0}};
  for (; !gaps.empty(); gaps.pop_front()) {
    const auto [low, high] = gaps.front();
    if (high - low < 2) continue;
    const size_t middle = (low + high) / 2;
    order.push_back(middle);
    gaps.emplace_back(low, middle);
    gaps.emplace_back(middle, high);
  }
  return order;
}

// Its JSON with as much detail as fits into `bytes`; the last resort may exceed them.
OrderedJson fitting_json(const LoggedTree& tree, size_t bytes) {
  for (const TreeDetail detail : {TreeDetail::tokens, TreeDetail::segments}) {
    OrderedJson json = tree_json(tree, detail);
    if (dump_json(json).size() <= bytes) return json;
  }
  return tree_json(tree, TreeDetail::excerpts);
}

class TreeReader {
 public:
  explicit TreeReader(const std::string& path)
      : path_(path), file_(file_system().open_for_reading(path)) {}

  // Null where the line is no tree.
  OrderedJson read(const Place& place, size_t max_bytes) const {
    std::string text(place.bytes, '\0');
    file_->read_at(place.offset, text);
    try {
      const std::string where = fmt::format("{}, line {}", path_, place.line);
      return fitting_json(read_logged_tree(parse_json(text, where), where), max_bytes);
    } catch (const Error&) {
      return nullptr;
    }
  }

 private:
  std::string path_;
  std::unique_ptr<ReadableFile> file_;
};

}  // namespace

OrderedJson tree_json(const LoggedTree& tree, TreeDetail detail) {
  constexpr const char* kDetailNames[] = {"tokens", "segments", "excerpts"};
  OrderedJson json = {{"step", tree.step},
                      {"query", tree.query_id},
                      {"prompt", beginning(tree.prompt_text, size_t{20000})},
                      {"answer", beginning(tree.answer, size_t{2000})},
                      {"detail", detail == TreeDetail::tokens && !has_tokens(tree)
                                     ? "no_tokens"
                                     : kDetailNames[static_cast<size_t>(detail)]}};
  json["nodes"] = OrderedJson::array();
  for (size_t i = 0; i < tree.nodes.size(); ++i)
    json["nodes"].push_back(node_json(tree, i, detail));
  json["leaves"] = OrderedJson::array();
  for (const LoggedTree::Leaf& leaf : tree.leaves) json["leaves"].push_back(leaf_json(leaf));
  return json;
}

SampleTrees read_sample_trees(const std::string& path, size_t max_bytes) {
  SampleTrees result;
  if (!file_system().exists(path)) return result;
  const Index index = index_of(path, result);
  std::vector<std::pair<int64_t, std::vector<Place>>> steps(index.begin(), index.end());
  const TreeReader reader(path);
  std::map<int64_t, std::vector<OrderedJson>> chosen;
  size_t bytes_left = max_bytes;
  // False once a tree finds no room.
  const auto take_step = [&](int64_t step, const std::vector<Place>& places) {
    for (const Place& place : places) {
      OrderedJson tree = reader.read(place, max_bytes / 10);
      if (tree.is_null()) {
        ++result.unreadable_lines;
        continue;
      }
      const size_t bytes = dump_json(tree).size();
      if (bytes > bytes_left) return false;
      bytes_left -= bytes;
      chosen[step].push_back(std::move(tree));
    }
    return true;
  };
  for (const size_t at : spread_order(steps.size()))
    if (!take_step(steps[at].first, steps[at].second)) break;
  for (auto& [step, trees] : chosen)
    for (OrderedJson& tree : trees) result.trees.push_back(std::move(tree));
  return result;
}

}  // namespace treepo
