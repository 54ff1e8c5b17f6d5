#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "evaluate/metrics.h"

namespace treepo {

// One answer of an evaluation, with what its verifier said.
struct LoggedAnswer {
  std::string text;
  int64_t tokens = 0;
  std::string stop;       // why it ended: "eos", "length", …
  bool finished = false;  // it ended by itself
  Sample sample;
  std::string reason;
};

// All answers to one problem: a line of answers.jsonl.
struct LoggedProblem {
  std::string source, id;  // data set, and problem in it
  bool greedy = false;     // the most likely answer rather than drawn ones
  std::vector<LoggedAnswer> answers;
  int64_t prompt_tokens = 0;
  int64_t unique_tokens = 0;  // decoded; fewer than the answers have where they share beginnings
  double seconds = 0;         // since the problem before it was done: the sum is the time spent
};

// {"source":"math500","id":"7","greedy":false,"prompt_tokens":91,"unique_tokens":812,
//  "seconds":0.41,"answers":[{"score":1.0,"correct":true,"answer":"12","reason":"right",
//  "stop":"eos","finished":true,"tokens":203,"text":"…"}, …]}
OrderedJson logged_json(const LoggedProblem& problem);

// The reverse. Throws Error, beginning with `where`, on anything else.
LoggedProblem parse_logged(const Json& line, const std::string& where);

}  // namespace treepo
