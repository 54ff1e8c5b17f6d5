#include "train/supervised_run.h"

#include "base/error.h"
#include "learn/schedule.h"
#include "model/device.h"

namespace treepo {

double SupervisedRun::learning_rate(int64_t step) const {
  return scheduled_learning_rate(optimizer, step, steps);
}

PackRunOptions supervised_pack_options(const RunOptions& options) {
  return {.max_tokens = options.update.max_tokens,
          .logit_chunk_tokens = options.update.logit_chunk_tokens,
          .checkpoint_layers = options.update.checkpoint_layers,
          .checked = is_checked_device(options.model.device)};
}

namespace {

std::string example_names(std::span<const Example> examples) {
  std::string names;
  for (const Example& example : examples)
    names += (names.empty() ? "examples: " : "; ") + example.where;
  return names;
}

}  // namespace

SupervisedReport supervised_step(Decoder& decoder, AdamW& optimizer, const SupervisedRun& run,
                                 int64_t step, std::string_view where, SkippedUpdates& skipped) {
  const std::vector<Example> examples = run.batch(step);
  const SupervisedReport report =
      supervised_update(decoder, optimizer, examples, run.learning_rate(step), run.pack);
  skipped.count(report.step.skipped);
  if (report.step.skipped)
    warn_of_skipped_update(where, report.step.gradient_norm, example_names(examples));
  return report;
}

Example tokenized_example(std::string_view prompt, std::string_view response,
                          const Tokenizer& tokenizer, int32_t eos_id) {
  Example example{.prompt = tokenizer.encode(prompt, true),
                  .response = tokenizer.encode(response, false)};
  example.response.push_back(eos_id);
  return example;
}

int32_t demonstration_eos(const std::vector<int32_t>& eos_ids) {
  if (eos_ids.empty())
    throw Error("the model has no end-of-sequence token, with which demonstrations end",
                "name it as eos_token_id in config.json");
  return eos_ids[0];
}

}  // namespace treepo
