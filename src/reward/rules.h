#pragma once

#include <memory>
#include <string>

#include "reward/verifier.h"

namespace treepo {

// What a native verifier is made of: a pure function of a response, and a check of its problem.
struct NativeRule {
  std::function<Verdict(const Response&)> judge;
  std::function<void(const Problem&)> check = [](const Problem&) {};
};

// The rules, each from the argument of its name (reward/reward_spec.h); an argument that can't be
// read throws Error.

// digits, carry, exact: reward/native.h. They take no argument.
NativeRule carry_rule(const std::string& argument);
NativeRule digits_rule(const std::string& argument);
NativeRule exact_rule(const std::string& argument);

// Right when the last number equals the answer; with "rel=R" or "abs=A" also when it differs by at
// most R × the answer's magnitude, or A.
NativeRule numeric_rule(const std::string& argument);

// Right when the letter that the response chooses is the answer's: reward/multiple_choice.h. The
// argument is the last letter there is, "D" by default.
NativeRule multiple_choice_rule(const std::string& argument);

// Right when an expression of the given numbers has the target's value: reward/countdown.h. The
// argument "subset" lets numbers be left out.
NativeRule countdown_rule(const std::string& argument);

// 1 when the regular expression (PCRE2; dot matches newlines) is found in the response, else 0.
NativeRule format_rule(const std::string& pattern);

// "think,answer": 1 when <think>…</think> and <answer>…</answer> are there once each, in this
// order, not nested, none of them empty; else 0.
NativeRule tags_rule(const std::string& names);

// "MOST" or "LEAST..MOST": 1 when the response has that many characters, else 0.
NativeRule length_rule(const std::string& range);

// The share of the response's runs of N words (3 by default) that occurred in it before: 0 where
// none repeats, near 1 where it says one thing again and again. For a negative weight.
NativeRule repetition_rule(const std::string& argument);

}  // namespace treepo
