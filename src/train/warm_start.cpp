#include "train/warm_start.h"

#include <fmt/format.h>

#include <vector>

#include "base/timer.h"
#include "data/carry_task.h"
#include "learn/update.h"
#include "train/supervised_run.h"

namespace treepo {

WarmStartProgress warm_start(Decoder& decoder, const Tokenizer& tokenizer,
                             const RunOptions& options, int32_t eos_id,
                             const std::function<void(const WarmStartProgress&)>& progress) {
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
  WarmStartProgress now;
  while (now.step < run.steps && !now.given_up) {
    const SupervisedReport report = supervised_step(decoder, optimizer, run, now.step,
                                                    warm_start_step(now.step + 1), now.skipped);
    now.step += 1;
    now.loss = report.loss;
    now.given_up = now.skipped.in_a_row >= options.train.max_skipped_updates;
    now.tokens += report.tokens;
    now.seconds = timer.seconds();
    progress(now);
  }
  return now;
}

std::string warm_start_step(int64_t step) {
  return fmt::format("warm start, step {}", step);
}

}  // namespace treepo
