#include "train/warm_start.h"

#include <cmath>
#include <vector>

#include "base/timer.h"
#include "data/carry_task.h"
#include "learn/schedule.h"
#include "learn/supervised.h"
#include "learn/update.h"

namespace treepo {

namespace {

std::vector<Example> demonstrations(const CarryTask& task, int64_t first, int64_t count, double bug,
                                    const Tokenizer& tokenizer, int32_t eos_id) {
  std::vector<Example> examples;
  for (int64_t i = first; i < first + count; ++i) {
    const Problem problem = task.training_problem(i);
    Example example{.prompt = tokenizer.encode(problem.prompt, true),
                    .response = tokenizer.encode(task.demonstration(problem, i, bug), false)};
    example.response.push_back(eos_id);
    examples.push_back(std::move(example));
  }
  return examples;
}

}  // namespace

void warm_start(Decoder& decoder, const Tokenizer& tokenizer, const RunOptions& options,
                int32_t eos_id, const std::function<void(const WarmStartProgress&)>& progress) {
  const WarmStartOptions& warm = options.warm_start;
  const OptimizerOptions optimizer_options{.learning_rate = warm.learning_rate,
                                           .warmup_steps = warm.warmup_steps,
                                           .schedule = "cosine",
                                           .weight_decay = 0.0};
  AdamW optimizer = make_optimizer(decoder, optimizer_options);
  const CarryTask task(static_cast<uint64_t>(options.data.seed));
  const PackRunOptions run{.max_tokens = options.update.max_tokens,
                           .logit_chunk_tokens = options.update.logit_chunk_tokens};
  const Timer timer;
  int64_t tokens = 0;
  for (int64_t step = 0; step < warm.steps; ++step) {
    const std::vector<Example> examples =
        demonstrations(task, step * warm.batch, warm.batch, warm.carry_bug, tokenizer, eos_id);
    const SupervisedReport report =
        supervised_update(decoder, optimizer, examples,
                          scheduled_learning_rate(optimizer_options, step, warm.steps), run);
    if (!std::isfinite(report.loss) || report.step.skipped) {
      throw Error(fmt::format("warm start step {}: loss {}, gradient norm {}", step + 1,
                              report.loss, report.step.gradient_norm),
                  "lower warm_start.learning_rate");
    }
    tokens += report.tokens;
    progress({.step = step + 1, .loss = report.loss, .tokens = tokens, .seconds = timer.seconds()});
  }
}

}  // namespace treepo
