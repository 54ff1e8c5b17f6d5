#include "train/warm_start.h"

#include <vector>

#include "base/error.h"
#include "base/timer.h"
#include "data/carry_task.h"
#include "learn/update.h"
#include "train/supervised_run.h"

namespace treepo {

void warm_start(Decoder& decoder, const Tokenizer& tokenizer, const RunOptions& options,
                int32_t eos_id, const std::function<void(const WarmStartProgress&)>& progress) {
  const WarmStartOptions& warm = options.warm_start;
  const CarryTask task(static_cast<uint64_t>(options.data.seed));
  const OptimizerOptions optimizer_options{.learning_rate = warm.learning_rate,
                                           .warmup_steps = warm.warmup_steps,
                                           .schedule = "cosine",
                                           .weight_decay = 0.0};
  const SupervisedRun run{
      .optimizer = optimizer_options,
      .steps = warm.steps,
      .pack = supervised_pack_options(options),
      .batch = [&](int64_t step) {
        std::vector<Example> examples;
        for (int64_t i = step * warm.batch; i < (step + 1) * warm.batch; ++i) {
          const Problem problem = task.training_problem(i);
          examples.push_back(tokenized_example(
              problem.prompt, task.demonstration(problem, i, warm.carry_bug), tokenizer, eos_id));
          examples.back().where = fmt::format("demonstration {}", i);
        }
        return examples;
      }};
  AdamW optimizer = make_optimizer(decoder, run.optimizer);
  const Timer timer;
  int64_t tokens = 0;
  SkippedUpdates skipped;
  for (int64_t step = 0; step < run.steps; ++step) {
    const SupervisedReport report = supervised_step(
        decoder, optimizer, run, step, fmt::format("warm start, step {}", step + 1), skipped);
    tokens += report.tokens;
    progress({.step = step + 1,
              .loss = report.loss,
              .skipped = report.step.skipped,
              .skipped_updates = skipped.total,
              .tokens = tokens,
              .seconds = timer.seconds()});
    if (skipped.in_a_row < options.train.max_skipped_updates) continue;
    throw Error(fmt::format("{} updates of the warm start in a row had a gradient that is not "
                            "finite, as many as train.max_skipped_updates allows",
                            skipped.in_a_row),
                "lower warm_start.learning_rate; a warm start begins anew with the run");
  }
}

}  // namespace treepo
