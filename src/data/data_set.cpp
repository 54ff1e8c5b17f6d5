#include "data/data_set.h"

#include <set>
#include <utility>

#include "base/error.h"
#include "data/carry_task.h"
#include "data/jsonl.h"
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

 private:
  std::vector<Problem> problems_;
  QueryOrder order_;
};

class CarryQueries : public QuerySource {
 public:
  explicit CarryQueries(uint64_t seed) : task_(seed) {}

  ProblemVisit at(int64_t position) override {
    return {task_.training_problem(position), static_cast<uint64_t>(position), 0};
  }
  std::span<const Problem> problems() const override { return {}; }

 private:
  CarryTask task_;
};

DataSet load_jsonl(const DataOptions& options) {
  if (options.train.empty())
    throw Error("data.train names no file",
                "--set data.train=FILE (JSON lines), or data.kind=carry");
  DataSet data;
  data.train = std::make_unique<ShuffledQueries>(read_problems(options.train),
                                                 static_cast<uint64_t>(options.seed));
  if (!options.test.empty()) data.test = read_problems(options.test);
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

DataSet load_data_set(const DataOptions& options) {
  if (options.kind == "jsonl") return load_jsonl(options);
  if (options.kind == "carry") return make_carry(options);
  throw Error(fmt::format("unknown data.kind \"{}\"", options.kind), "one of jsonl, carry");
}

std::vector<bool> find_seen(std::span<const Problem> problems, std::span<const Problem> others) {
  const auto key = [](const Problem& problem) { return std::pair(problem.prompt, problem.ids); };
  std::set<std::pair<std::string, std::vector<int32_t>>> known;
  for (const Problem& other : others) known.insert(key(other));
  std::vector<bool> seen;
  for (const Problem& problem : problems) seen.push_back(known.contains(key(problem)));
  return seen;
}

}  // namespace treepo
