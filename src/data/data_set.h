#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "config/options.h"  // DataOptions, PromptOptions
#include "data/load_sources.h"
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
  // All problems; empty where there is no end of them.
  virtual std::span<const Problem> problems() const = 0;
  virtual int64_t epoch_size() const = 0;  // queries in an epoch; 0 where there is no end
};

// The problems of sources in the order of training. Without weights each comes once in an epoch;
// with weights each source gets its share of the queries (data/mixture_order.h).
std::unique_ptr<QuerySource> shuffled_queries(std::vector<LoadedSource> sources, uint64_t seed);

struct DataSet {
  std::unique_ptr<QuerySource> train;
  std::vector<Problem> test;    // the test sources one after another; empty: no evaluation
  std::vector<bool> test_seen;  // [test.size()] the prompt occurs in training too
  std::vector<SourceReport> train_reports, test_reports;  // of each source
};

// kind "files": sources options.train and options.test, training shuffled by options.seed.
// kind "carry": "The forgotten carry" (data/carry_task.h), problem i of seed at position i.
// Throws Error on an unknown kind, a missing train file, and whatever is wrong in the files.
DataSet load_data_set(const DataOptions& options, const PromptOptions& prompt,
                      const DataContext& context);

// Which `wanted` of the problems (all where there are fewer) stand for them: the first of each
// source in turn, so that none is left out for another. Indices ascend.
std::vector<size_t> first_of_each_source(std::span<const Problem> problems, size_t wanted);

// For each of `problems`, whether its prompt is that of one of `others`.
std::vector<bool> find_seen(std::span<const Problem> problems, std::span<const Problem> others);

}  // namespace treepo
