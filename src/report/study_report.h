#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace treepo {

struct StudyRunLog {
  std::string variant;
  int64_t seed = 0;
  std::string metrics;  // path of its metrics.jsonl; one that is not there yet is left out
};

// A mean over seeds, with the sample's standard deviation (0 for one seed).
struct Spread {
  double mean = 0, deviation = 0;
  int64_t count = 0;
};

// Where a variant's runs ended: over those that have been evaluated.
struct StudyRow {
  std::string variant;
  int64_t runs = 0;
  Spread steps;                             // of the last evaluation
  std::vector<Spread> measures;             // as StudyComparison::measures; count 0: not measured
  Spread unique_tokens, trajectory_tokens;  // sampled in training up to it
  Spread seconds;                           // of training steps, without evaluation
};

struct StudyComparison {
  std::vector<std::string> measures;  // metrics of evaluation that some run has: "eval/pass@1", …
  std::vector<StudyRow> rows;         // in the order in which variants first occur
  std::string markdown;               // the table
  std::string svg;                    // the first measure over steps and over decoded tokens, with
                                      // mean and lowest to highest seed, and over seconds
};

// Compares runs by their logs alone. Throws Error on a line that is no JSON, the last one of a
// file excepted: a run may be writing it.
StudyComparison compare_study(std::span<const StudyRunLog> runs);

}  // namespace treepo
