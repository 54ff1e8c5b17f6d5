#include "train/trajectory_text.h"

#include <algorithm>
#include <span>

#include "text/text_rules.h"

namespace treepo {

namespace {

// Decodes only as many of the newest tokens as the longest stop string can span: a token is at
// least one byte, and a character cut off at the front spans at most four.
bool ends_with_any(const SearchTree& tree, int32_t node, const std::vector<std::string>& stops,
                   size_t longest, const TokenText& text) {
  const std::vector<int32_t> response = tree.response(node);
  const size_t kept = std::min(response.size(), longest + 4);
  const std::string tail = text.tokenizer.decode(std::span(response).last(kept), false);
  return std::any_of(stops.begin(), stops.end(),
                     [&](const std::string& stop) { return tail.ends_with(stop); });
}

}  // namespace

bool TokenText::is_eos(int32_t token) const {
  return std::find(eos_ids.begin(), eos_ids.end(), token) != eos_ids.end();
}

bool ends_with_eos(const SearchTree& tree, int32_t leaf, const TokenText& text) {
  const auto tokens = tree.tokens(leaf);
  return !tokens.empty() && text.is_eos(tokens.back());
}

std::string trajectory_text(const SearchTree& tree, int32_t leaf, const TokenText& text) {
  std::vector<int32_t> response = tree.response(leaf);
  if (ends_with_eos(tree, leaf, text)) response.pop_back();
  return text.tokenizer.decode(response, false);
}

std::string segment_text(const SearchTree& tree, int32_t node, const TokenText& text) {
  return text.tokenizer.decode(tree.tokens(node), false);
}

void add_text_rules(RolloutCallbacks& callbacks, const StopOptions& options,
                    const TokenText& text) {
  callbacks.judge_segment = [&options, &text](const Query&, const SearchTree& tree, int32_t node) {
    const std::string segment = segment_text(tree, node, text);
    return SegmentFacts{
        .answer = options.answer != "none" && has_complete_box(segment),
        .repetition =
            options.repetition && repeats(segment, static_cast<size_t>(options.repetition_length),
                                          static_cast<size_t>(options.repetition_count))};
  };
  size_t longest = 0;
  for (const std::string& stop : options.stop_strings) longest = std::max(longest, stop.size());
  callbacks.ends_with_stop_string = [&options, &text, longest](const Query&, const SearchTree& tree,
                                                               int32_t node) {
    return ends_with_any(tree, node, options.stop_strings, longest, text);
  };
}

}  // namespace treepo
