// What the scheduling of one step costs on the host, with a model that takes no time: the part of a
// rollout that is neither forward pass nor draw. Processor time, median of 5 runs.
//   bench_rollout_scheduling [rows [depth [segment_tokens]]]

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <vector>

#include "base/error.h"
#include "rollout/engine.h"

namespace {

using namespace treepo;

// Never draws EOS, so that every tree grows to its full width and depth.
class NullModel : public StepModel {
 public:
  int32_t vocab_size() const override { return 100; }
  int32_t max_positions() const override { return 1 << 20; }
  int64_t bytes_per_page(int32_t) const override { return 64; }
  void allocate_pages(int32_t, int32_t) override {}
  void step(const StepBatch& batch, std::vector<DrawnToken>& drawn) override {
    drawn.resize(batch.draws.size());
    for (size_t i = 0; i < drawn.size(); ++i) {
      drawn[i] = {.token = 1 + static_cast<int32_t>(batch.draws[i].uniform * 90),
                  .logprob = -1,
                  .entropy = 1,
                  .cut_mass = 0};
    }
    pairs += static_cast<int64_t>(batch.attention.pair_query.size());
    runs += batch.attention.num_runs();
    if (checking) batch.attention.check_invariants(batch.num_rows());
  }

  bool checking = false;
  int64_t pairs = 0, runs = 0;
};

void measure(int64_t rows, int64_t depth, int64_t segment_tokens, bool sequential) {
  RolloutSettings settings;
  settings.growth = {
      .width = 16, .depth = depth, .segment_tokens = segment_tokens, .sequential = sequential};
  settings.engine = {
      .max_rows = rows, .max_step_tokens = 8 * rows, .page_tokens = 16, .cache_mib = 64};
  std::vector<Query> queries(static_cast<size_t>(std::max<int64_t>(1, rows / 16) * 8));
  for (size_t i = 0; i < queries.size(); ++i) {
    queries[i].id = i;
    queries[i].prompt.assign(64, 1);
  }
  NullModel model;
  model.checking = true;
  {
    RolloutEngine engine(model, settings);
    for (const SearchTree& tree : engine.run(queries)) {
      tree.check_invariants();
      TREEPO_CHECK(tree.leaves().size() == 16, "{} trajectories", tree.leaves().size());
    }
  }
  model.checking = false;
  std::vector<double> microseconds;  // of a step, once for each run
  RolloutStats stats;
  for (int run = 0; run < 5; ++run) {
    model.pairs = model.runs = 0;
    RolloutEngine engine(model, settings);
    const std::clock_t begin = std::clock();
    engine.run(queries);
    const double seconds = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
    stats = engine.stats();
    microseconds.push_back(1e6 * seconds / static_cast<double>(stats.steps));
  }
  std::ranges::sort(microseconds);
  const auto per_step = [&](int64_t count) {
    return static_cast<double>(count) / static_cast<double>(stats.steps);
  };
  fmt::print("{:>10} {:>5} {:>5} {:>7} {:>9.1f} {:>9.1f} {:>9.1f} {:>11.1f} {:>9.1f}\n",
             sequential ? "sequential" : "tree", rows, depth, segment_tokens, per_step(stats.rows),
             per_step(model.runs), per_step(model.pairs), microseconds[2],
             1e3 * microseconds[2] / per_step(stats.rows));
}

}  // namespace

int main(int argc, char** argv) {
  const auto argument = [&](int index, int64_t fallback) {
    return argc > index ? std::atoll(argv[index]) : fallback;
  };
  fmt::print("{:>10} {:>5} {:>5} {:>7} {:>9} {:>9} {:>9} {:>11} {:>9}\n", "sampling", "rows",
             "depth", "segment", "rows/step", "runs/step", "pairs/step", "us/step", "ns/row");
  if (argc > 1) {
    measure(argument(1, 256), argument(2, 8), argument(3, 8), false);
    return 0;
  }
  for (const int64_t rows : {16, 64, 256}) {
    measure(rows, 8, 8, false);
    measure(rows, 8, 64, false);
    measure(rows, 8, 64, true);
  }
  measure(256, 14, 128, false);
}
