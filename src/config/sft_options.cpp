#include "config/sft_options.h"

#include <algorithm>
#include <string_view>

#include "config/declare.h"

namespace treepo {

namespace {

// warm_start.steps is refused instead.
constexpr auto kReadSections =
    std::to_array<std::string_view>({"model", "lora", "prompt", "sft", "optimizer"});
constexpr auto kReadKeys = std::to_array<std::string_view>(
    {"data.bad_rows", "warm_start.steps", "update.max_tokens", "update.logit_chunk_tokens",
     "update.checkpoint_layers", "train.seed", "train.max_steps", "train.epochs",
     "train.max_skipped_updates", "train.run_dir", "train.checkpoint_every",
     "train.keep_checkpoints", "train.threads", "train.tensorboard", "train.wandb_project",
     "evaluate.every"});

bool is_read(const Option& option) {
  return std::ranges::find(kReadSections, option.section()) != kReadSections.end() ||
         std::ranges::find(kReadKeys, option.key) != kReadKeys.end();
}

}  // namespace

std::vector<std::string> set_but_unread_by_sft(const RunOptions& options) {
  RunOptions given = options, defaults;
  const OptionTable given_table = declare_options(given), default_table = declare_options(defaults);
  std::vector<std::string> keys;
  for (size_t i = 0; i < given_table.options().size(); ++i) {
    const Option& option = given_table.options()[i];
    if (!is_read(option) && option.get() != default_table.options()[i].get())
      keys.push_back(option.key);
  }
  return keys;
}

}  // namespace treepo
