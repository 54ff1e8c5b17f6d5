#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "config/options.h"  // DataOptions
#include "reward/problem.h"

namespace treepo {

// One rollout's question.
struct ProblemVisit {
  Problem problem;
  uint64_t number = 0;  // of the problem in its data set, for random numbers: the same each time
  uint64_t visit = 0;   // how often the problem came before, for random numbers: it draws anew
};

// The questions of a training run, in order. A run resumes from the position of its next query.
class QuerySource {
 public:
  virtual ~QuerySource() = default;
  virtual ProblemVisit at(int64_t position) = 0;  // position >= 0; always the same for a position
  // The problems of an epoch, each asked once in it; empty where the source has no end.
  virtual std::span<const Problem> problems() const = 0;
};

struct DataSet {
  std::unique_ptr<QuerySource> train;
  std::vector<Problem> test;    // empty where no test file was named
  std::vector<bool> test_seen;  // [test.size()] the prompt occurs in training too
};

// kind "jsonl": files options.train and options.test (data/jsonl.h), training shuffled by seed.
// kind "carry": "The forgotten carry" (data/carry_task.h), problem i of seed at position i.
// Throws Error on an unknown kind, a missing train file, and whatever is wrong in the files.
DataSet load_data_set(const DataOptions& options);

// For each of `problems`, whether its prompt is that of one of `others`.
std::vector<bool> find_seen(std::span<const Problem> problems, std::span<const Problem> others);

}  // namespace treepo
