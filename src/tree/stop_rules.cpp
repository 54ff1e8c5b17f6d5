#include "tree/stop_rules.h"

#include <algorithm>
#include <string>

#include "base/error.h"

namespace treepo {

namespace {

AnswerRule answer_rule_from_name(const std::string& name) {
  if (name == "none") return AnswerRule::none;
  if (name == "boxed") return AnswerRule::boxed;
  if (name == "boxed_with_eos") return AnswerRule::boxed_with_eos;
  throw Error(fmt::format("stop.answer: unknown rule \"{}\"", name),
              "known are: none, boxed, boxed_with_eos");
}

int32_t response_tokens(const TreeNode& node) {
  return node.prefix_tokens + node.num_tokens;
}

}  // namespace

StopRules make_stop_rules(const GrowthOptions& growth, const StopOptions& stop) {
  const int64_t longest = std::min<int64_t>(growth.depth * growth.segment_tokens, INT32_MAX);
  const int64_t limit = stop.response_tokens == 0 ? longest : stop.response_tokens;
  if (stop.response_tokens < 0 || stop.min_response_tokens < 0) {
    throw Error("stop.response_tokens or stop.min_response_tokens is negative",
                "0 is their neutral value");
  }
  return {.segment_tokens = static_cast<int32_t>(growth.segment_tokens),
          .depth = static_cast<int32_t>(growth.depth),
          .response_tokens = static_cast<int32_t>(std::min(limit, longest)),
          .min_response_tokens =
              static_cast<int32_t>(std::min<int64_t>(stop.min_response_tokens, INT32_MAX)),
          .answer = answer_rule_from_name(stop.answer),
          .repetition = stop.repetition,
          .repetition_first = stop.repetition_first};
}

bool ends_segment(const StopRules& rules, const TreeNode& node, const TokenFacts& last_token) {
  return last_token.eos || last_token.stop_string || node.num_tokens == rules.segment_tokens ||
         response_tokens(node) >= rules.response_tokens;
}

StopReason judge_segment(const StopRules& rules, const TreeNode& node, const TokenFacts& last_token,
                         const SegmentFacts& facts) {
  const bool repeats = rules.repetition && facts.repetition;
  const bool answered =
      facts.answer && (rules.answer == AnswerRule::boxed ||
                       (rules.answer == AnswerRule::boxed_with_eos && last_token.eos));
  if (repeats && rules.repetition_first) return StopReason::repetition;
  if (answered) return StopReason::answer;
  if (last_token.stop_string) return StopReason::stop_string;
  if (last_token.eos) return StopReason::eos;
  if (response_tokens(node) >= rules.response_tokens) return StopReason::length;
  if (node.depth >= rules.depth) return StopReason::depth;
  if (repeats) return StopReason::repetition;
  return StopReason::none;
}

bool is_too_short(const StopRules& rules, const TreeNode& node) {
  return response_tokens(node) < rules.min_response_tokens;
}

}  // namespace treepo
