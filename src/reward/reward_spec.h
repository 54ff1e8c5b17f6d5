#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/options.h"  // RewardOptions

namespace treepo {

// One part of a reward, as options write it:
//
//   part     = [WEIGHT "*"] verifier  |  "gate" verifier
//   verifier = NAME [":" ARGUMENT]
//
//   "math"   "0.9*math:boxed"   "-0.2*repetition:3"   "gate tags:think,answer"
//   "python:rewards.py:score"
struct RewardPart {
  double weight = 1.0;
  bool gate = false;     // adds nothing, but must be passed
  std::string name;      // "math"
  std::string argument;  // "boxed"; empty: none
  std::string label;     // in logs: the name, a second one of the same name "format_2"
};

// The parts of options.kind, or of options.parts where the kind is "parts". Throws Error, quoting
// the text, where one can't be read.
std::vector<RewardPart> parse_reward(const RewardOptions& options);

// The parts of `treepo score --reward`: one text each.
std::vector<RewardPart> parse_parts(const std::vector<std::string>& texts, std::string_view place);

}  // namespace treepo
