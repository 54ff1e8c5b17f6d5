#pragma once

#include <cstdint>

#include "config/options.h"
#include "tree/search_tree.h"

namespace treepo {

// When a path stops. The rules look at the format, never at whether an answer is right.

enum class AnswerRule {
  none,
  boxed,           // a complete box in the segment ends the path
  boxed_with_eos,  // only together with EOS in the same segment (the paper's setting)
};

// The options with their defaults filled in.
struct StopRules {
  int32_t segment_tokens = 0;
  int32_t depth = 0;
  int32_t response_tokens = 0;      // longest response
  int32_t min_response_tokens = 0;  // stopped paths shorter than this are discarded
  AnswerRule answer = AnswerRule::none;
  bool repetition = false;
  bool repetition_first = true;

  // Whether a segment's text has to be looked at: what SegmentFacts are for.
  bool need_segment_facts() const { return repetition || answer != AnswerRule::none; }
};

// Throws Error on an unknown answer rule.
StopRules make_stop_rules(const GrowthOptions& growth, const StopOptions& stop);

// What is known of the last token of a path.
struct TokenFacts {
  bool eos = false;
  bool stop_string = false;
};

// What the engine's user says of the text of a segment that has ended.
struct SegmentFacts {
  bool answer = false;      // a complete box
  bool repetition = false;  // repeats itself
};

// Whether the path ends its segment after the token just appended to `node`.
bool ends_segment(const StopRules& rules, const TreeNode& node, const TokenFacts& last_token);

// Judges a node whose segment has ended, in the documented order: repetition if it has priority,
// answer, stop string (counts like an answer), EOS, response length, depth, repetition if it has no
// priority. none: the path goes on.
StopReason judge_segment(const StopRules& rules, const TreeNode& node, const TokenFacts& last_token,
                         const SegmentFacts& facts);

// Whether a path that stops at `node` is too short to be a trajectory.
bool is_too_short(const StopRules& rules, const TreeNode& node);

}  // namespace treepo
