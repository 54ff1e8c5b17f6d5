#include "report/tree_text.h"

#include <cmath>
#include <vector>

#include "base/format.h"
#include "base/json.h"

namespace treepo {

namespace {

constexpr int kLeastTextColumns = 12;

// The code point at the start of valid UTF-8, and its bytes.
struct CodePoint {
  uint32_t code = 0;
  size_t bytes = 1;
};

CodePoint first_code_point(std::string_view text) {
  const auto byte = [&](size_t i) {
    return static_cast<uint32_t>(static_cast<unsigned char>(text[i]));
  };
  const uint32_t first = byte(0);
  const size_t bytes = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  if (bytes == 1 || bytes > text.size()) return {first, 1};
  uint32_t code = first & (0xFF >> (bytes + 1));
  for (size_t i = 1; i < bytes; ++i) code = code << 6 | (byte(i) & 0x3F);
  return {code, bytes};
}

bool is_hidden(uint32_t code) {
  const auto within = [code](uint32_t low, uint32_t high) { return code >= low && code <= high; };
  return code < 0x20 || within(0x7F, 0x9F) || within(0x200B, 0x200F) || within(0x2028, 0x202E) ||
         within(0x2060, 0x206F) || code == 0xFEFF;
}

std::string name_of(uint32_t code) {
  if (code == '\n') return "↵";
  if (code == '\t') return "→";
  if (code >= 0x20) return fmt::format("<U+{:04X}>", code);
  return std::string{'\xE2', '\x90', static_cast<char>(0x80 + code)};  // U+2400 …
}

// At most `columns` characters of it, with … where something is cut.
std::string shortened(const std::string& text, int columns) {
  if (character_count(text) <= columns) return text;
  return std::string(truncate_to_width(text, columns - 1)) + "…";
}

std::string with_sign(double value) {
  return fmt::format("{:+.3g}", value);
}

class Drawing {
 public:
  Drawing(const LoggedTree& tree, int width)
      : tree_(tree), width_(width), children_(tree.children()), leaf_of_(tree.nodes.size(), -1) {
    for (size_t i = 0; i < tree.leaves.size(); ++i)
      leaf_of_[static_cast<size_t>(tree.leaves[i].node)] = static_cast<int>(i);
  }

  std::string draw() {
    head();
    // Depth-first without recursion: a tree may be deeper than the stack.
    struct Open {
      int32_t node;
      size_t next;
      std::string indent;
    };
    std::vector<Open> open = {{0, 0, ""}};
    while (!open.empty()) {
      Open& top = open.back();
      const std::vector<int32_t>& below = children_[static_cast<size_t>(top.node)];
      if (top.next == below.size()) {
        open.pop_back();
        continue;
      }
      const int32_t child = below[top.next++];
      const bool last = top.next == below.size();
      segment(child, top.indent + (last ? "└" : "├"));
      open.push_back({child, 0, top.indent + (last ? "   " : "│  ")});
    }
    return std::move(text_);
  }

 private:
  void head() {
    std::string line = tree_.step >= 0 ? fmt::format("step {}  ", tree_.step) : "";
    if (!tree_.query_id.empty()) line += fmt::format("query {}   ", visible_line(tree_.query_id));
    line += fmt::format("{} leaves", tree_.leaves.size());
    double sum = 0;
    int known = 0;
    for (const LoggedTree::Leaf& leaf : tree_.leaves) {
      if (std::isnan(leaf.reward)) continue;
      sum += leaf.reward;
      ++known;
    }
    if (known > 0) line += fmt::format("   mean reward {:.3g}", sum / known);
    const int64_t all = tree_.trajectory_tokens();
    if (all > 0)
      line += fmt::format(
          "   {} tokens decoded for {} ({:.0f} %)", tree_.unique_tokens(), all,
          100.0 * static_cast<double>(tree_.unique_tokens()) / static_cast<double>(all));
    text_ += line + "\n";
    const std::string prompt = tree_.prompt_text.empty()
                                   ? fmt::format("({} tokens)", tree_.prompt_tokens)
                                   : visible_line(tree_.prompt_text);
    text_ += shortened("prompt  " + prompt, width_) + "\n";
  }

  void segment(int32_t id, const std::string& branch) {
    const LoggedTree::Node& node = tree_.nodes[static_cast<size_t>(id)];
    std::string line =
        branch + (node.fallback ? "╌ " : "─ ") + fmt::format("{} tok", node.num_tokens);
    if (!std::isnan(node.mean_logprob)) line += fmt::format("  {:.2f}", node.mean_logprob);
    const std::string end = end_of(id, node);
    const int left = width_ - character_count(line) - character_count(end) - 2;
    line += "  " + shortened(visible_line(node.text), std::max(left, kLeastTextColumns)) + end;
    text_ += line + "\n";
  }

  std::string end_of(int32_t id, const LoggedTree::Node& node) const {
    std::string end = node.stop.empty() ? "" : "   " + node.stop;
    const int index = leaf_of_[static_cast<size_t>(id)];
    if (index >= 0) {
      const LoggedTree::Leaf& leaf = tree_.leaves[static_cast<size_t>(index)];
      if (node.stop.empty()) end += "   " + leaf.end;
      if (!std::isnan(leaf.reward)) end += fmt::format("  reward {:.3g}", leaf.reward);
      if (!std::isnan(leaf.advantage)) end += "  advantage " + with_sign(leaf.advantage);
    }
    if (node.discarded) end += "  discarded";
    const int32_t whole = tree_.nodes[static_cast<size_t>(node.parent)].num_tokens;
    if (node.parent_used_tokens < whole)
      end += fmt::format("  after {} tokens", node.parent_used_tokens);
    return end;
  }

  const LoggedTree& tree_;
  int width_;
  std::vector<std::vector<int32_t>> children_;
  std::vector<int> leaf_of_;
  std::string text_;
};

}  // namespace

std::string visible_line(std::string_view utf8) {
  std::string line;
  while (!utf8.empty()) {
    const CodePoint point = first_code_point(utf8);
    if (is_hidden(point.code))
      line += name_of(point.code);
    else
      line += utf8.substr(0, point.bytes);
    utf8.remove_prefix(point.bytes);
  }
  return line;
}

std::string tree_text(const LoggedTree& tree, int width) {
  return Drawing(tree, width).draw();
}

}  // namespace treepo
