#include "train/tree_sampler.h"

#include <utility>

#include "model/make_step_model.h"
#include "train/model_setup.h"

namespace treepo {

RolloutSettings rollout_settings(const RunOptions& options, std::vector<int32_t> eos_ids,
                                 Purpose purpose) {
  return {.growth = options.rollout,
          .stop = options.stop,
          .sampling = options.sampling,
          .engine = options.engine,
          .eos_ids = std::move(eos_ids),
          .seed = static_cast<uint64_t>(options.train.seed),
          .purpose = purpose};
}

TreeSampler::TreeSampler(const LoadedModel& model, const RunOptions& options, Purpose purpose)
    : TreeSampler(std::shared_ptr<const LoadedModel>(std::shared_ptr<void>(), &model), options,
                  purpose) {}

TreeSampler::TreeSampler(const RunOptions& options, const std::string& scratch_dir, Purpose purpose)
    : TreeSampler(std::make_shared<const LoadedModel>(load_model(
                      options.model, static_cast<uint64_t>(options.train.seed), scratch_dir,
                      [&](const ModelConfig& config, const Tokenizer&, const std::string&) {
                        check_context(config, options);
                      })),
                  options, purpose) {}

TreeSampler::TreeSampler(std::shared_ptr<const LoadedModel> model, const RunOptions& options,
                         Purpose purpose)
    : model_(std::move(model)),
      text_{model_->tokenizer, model_->decoder.config().eos_token_ids},
      step_model_(make_step_model(model_->decoder, options.model.device, options.engine)),
      engine_(*step_model_, rollout_settings(options, text_.eos_ids, purpose)) {}

std::vector<SearchTree> TreeSampler::sample(std::span<const TrainingQuery> queries,
                                            RolloutCallbacks callbacks) {
  const RolloutSettings& settings = engine_.settings();
  std::vector<Query> prompts;
  for (const TrainingQuery& query : queries) {
    check_prompt(query, model_->decoder.config(), longest_response(settings.growth, settings.stop));
    prompts.push_back({query.id, query.visit, query.prompt});
  }
  add_text_rules(callbacks, settings.stop, text_);
  return engine_.run(prompts, callbacks);
}

}  // namespace treepo
