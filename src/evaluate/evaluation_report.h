#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "evaluate/answer_groups.h"
#include "evaluate/answer_log.h"
#include "evaluate/summary.h"

namespace treepo {

// One data set of an evaluation, or all together.
struct EvaluationRow {
  std::string name;
  EvaluationSummary summary;
  double mean_tokens = 0;         // of a drawn answer (of the greedy one where none is drawn)
  double finished = 0;            // share of them that ended by themselves
  int64_t trajectory_tokens = 0;  // of all answers, greedy ones included
  int64_t unique_tokens = 0;      // decoded for them
  double seconds = 0;
};

// A row for each data set, in the order of first appearance, and where there are several one named
// "all": every problem counts the same, so that data sets weigh by their size (Table 1 of arXiv
// 2508.17445). The order of problems within a data set is that of the list; their draws for
// majority votes follow their place in it. Answers are unified by `equivalent` before they vote.
// Throws Error where a data set's problems have different numbers of answers, or none.
std::vector<EvaluationRow> evaluation_rows(std::span<const LoggedProblem> problems,
                                           const AnswerEquivalence& equivalent, uint64_t seed);

// For people: means with 95 % intervals.
std::string evaluation_table(std::span<const EvaluationRow> rows);

// {"name":"math500","problems":500,"samples":16,"avg@16":{"mean":…,"low":…,"high":…},
//  "pass@k":{"1":{…},…},"maj@k":{…},"greedy":{…},"tokens":…,…}
OrderedJson evaluation_json(const EvaluationRow& row);

}  // namespace treepo
