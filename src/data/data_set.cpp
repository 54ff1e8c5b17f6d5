#include "data/data_set.h"

#include <algorithm>
#include <map>
#include <utility>

#include "base/error.h"
#include "data/carry_task.h"
#include "data/mixture_order.h"
#include "data/query_order.h"

namespace treepo {

namespace {

class ShuffledQueries : public QuerySource {
 public:
  ShuffledQueries(std::vector<Problem> problems, uint64_t seed)
      : problems_(std::move(problems)), order_(std::ssize(problems_), seed) {}

  ProblemVisit at(int64_t position) override {
    const QueryOrder::Draw draw = order_.at(position);
    return {problems_[static_cast<size_t>(draw.query)], static_cast<uint64_t>(draw.query),
            static_cast<uint64_t>(draw.visit)};
  }
  std::span<const Problem> problems() const override { return problems_; }
  int64_t epoch_size() const override { return order_.num_queries(); }

 private:
  std::vector<Problem> problems_;
  QueryOrder order_;
};

class MixedQueries : public QuerySource {
 public:
  // `sizes`: problems of each source, which lie one after another.
  MixedQueries(std::vector<Problem> problems, const std::vector<int64_t>& sizes,
               const std::vector<double>& weights, uint64_t seed)
      : problems_(std::move(problems)), order_(sizes, weights, seed) {
    for (int64_t first = 0; const int64_t size : sizes) {
      first_.push_back(first);
      first += size;
    }
  }

  ProblemVisit at(int64_t position) override {
    const MixtureOrder::Draw draw = order_.at(position);
    const auto number = static_cast<size_t>(first_[draw.source] + draw.query);
    return {problems_[number], number, static_cast<uint64_t>(draw.visit)};
  }
  std::span<const Problem> problems() const override { return problems_; }
  int64_t epoch_size() const override { return order_.epoch_size(); }

 private:
  std::vector<Problem> problems_;
  MixtureOrder order_;
  std::vector<int64_t> first_;  // problem of each source
};

class CarryQueries : public QuerySource {
 public:
  explicit CarryQueries(uint64_t seed) : task_(seed) {}

  ProblemVisit at(int64_t position) override {
    return {task_.training_problem(position), static_cast<uint64_t>(position), 0};
  }
  std::span<const Problem> problems() const override { return {}; }
  int64_t epoch_size() const override { return 0; }

 private:
  CarryTask task_;
};

std::vector<Problem> joined(std::vector<LoadedSource>& sources) {
  std::vector<Problem> all = std::move(sources.front().problems);
  for (size_t i = 1; i < sources.size(); ++i)
    for (Problem& problem : sources[i].problems) all.push_back(std::move(problem));
  return all;
}

std::vector<SourceReport> reports_of(const std::vector<LoadedSource>& sources) {
  std::vector<SourceReport> reports;
  for (const LoadedSource& source : sources) reports.push_back(source.report);
  return reports;
}

DataSet load_files(const DataOptions& options, const PromptOptions& prompt,
                   const DataContext& context) {
  if (options.train.empty())
    throw Error("data.train names no file", "--set data.train=FILE, or data.kind=carry");
  PromptWriter prompts(prompt, context.model_directory);
  DataSet data;
  std::vector<LoadedSource> train = load_sources(options.train, options, prompts, context);
  data.train_reports = reports_of(train);
  data.train = shuffled_queries(std::move(train), static_cast<uint64_t>(options.seed));
  if (!options.test.empty()) {
    std::vector<LoadedSource> test = load_sources(options.test, options, prompts, context);
    data.test_reports = reports_of(test);
    data.test = joined(test);
  }
  data.test_seen = find_seen(data.test, data.train->problems());
  return data;
}

DataSet make_carry(const DataOptions& options) {
  DataSet data;
  const auto seed = static_cast<uint64_t>(options.seed);
  data.train = std::make_unique<CarryQueries>(seed);
  data.test = CarryTask(seed).held_out_problems(options.held_out);
  data.test_seen.assign(data.test.size(), false);
  return data;
}

}  // namespace

std::unique_ptr<QuerySource> shuffled_queries(std::vector<LoadedSource> sources, uint64_t seed) {
  std::vector<int64_t> sizes;
  std::vector<double> weights;
  for (const LoadedSource& source : sources) {
    sizes.push_back(std::ssize(source.problems));
    if (source.spec.weight) weights.push_back(*source.spec.weight);
  }
  if (sources.size() == 1 || weights.empty())
    return std::make_unique<ShuffledQueries>(joined(sources), seed);
  return std::make_unique<MixedQueries>(joined(sources), sizes, weights, seed);
}

DataSet load_data_set(const DataOptions& options, const PromptOptions& prompt,
                      const DataContext& context) {
  if (options.kind == "files") return load_files(options, prompt, context);
  if (options.kind == "carry") return make_carry(options);
  throw Error(fmt::format("unknown data.kind \"{}\"", options.kind), "one of files, carry");
}

std::vector<size_t> first_of_each_source(std::span<const Problem> problems, size_t wanted) {
  std::map<std::string, size_t> taken;                // of each source
  std::vector<std::pair<size_t, size_t>> rank_index;  // how many of its source came before it
  for (size_t i = 0; i < problems.size(); ++i)
    rank_index.emplace_back(taken[problems[i].source]++, i);
  std::ranges::sort(rank_index);
  rank_index.resize(std::min(wanted, rank_index.size()));
  std::vector<size_t> chosen;
  for (const auto& [rank, index] : rank_index) chosen.push_back(index);
  std::ranges::sort(chosen);
  return chosen;
}

std::vector<bool> find_seen(std::span<const Problem> problems, std::span<const Problem> others) {
  using Key = std::pair<std::string_view, std::span<const int32_t>>;
  const auto less = [](const Key& a, const Key& b) {
    return a.first != b.first ? a.first < b.first
                              : std::ranges::lexicographical_compare(a.second, b.second);
  };
  std::map<Key, bool, decltype(less)> seen(less);
  for (const Problem& problem : problems) seen[{problem.prompt, problem.ids}] = false;
  for (const Problem& other : others) {
    const auto found = seen.find({other.prompt, other.ids});
    if (found != seen.end()) found->second = true;
  }
  std::vector<bool> result;
  for (const Problem& problem : problems) result.push_back(seen.at({problem.prompt, problem.ids}));
  return result;
}

}  // namespace treepo
