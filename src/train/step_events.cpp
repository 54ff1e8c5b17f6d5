#include "train/step_events.h"

#include <algorithm>
#include <string>
#include <vector>

namespace treepo {

namespace {

constexpr size_t kResponses = 4;

// Markdown shows a block indented by four spaces as it stands.
std::string as_code_block(const std::string& text) {
  std::string block = "    ";
  for (const char c : text) {
    block += c;
    if (c == '\n') block += "    ";
  }
  return block + "\n\n";
}

std::string sample_markdown(const ScoredTree& scored, const TokenText& text) {
  std::string page =
      "**prompt**\n\n" + as_code_block(text.tokenizer.decode(scored.query.prompt, false));
  for (size_t i = 0; i < std::min(kResponses, scored.rewards.size()); ++i)
    page += fmt::format("**reward {:.3g}, {}, {} tokens**\n\n{}", scored.rewards[i],
                        scored.verdicts[i].reason, scored.tree.path_tokens(scored.tree.leaves()[i]),
                        as_code_block(scored.responses[i]));
  return page;
}

}  // namespace

void write_step_events(EventFile& events, int64_t step, const CollectedBatch& batch,
                       const TokenText& text) {
  std::vector<double> lengths, rewards, advantages;
  for (const std::vector<ScoredTree>* trees : {&batch.kept, &batch.dropped}) {
    for (const ScoredTree& scored : *trees) {
      for (const int32_t leaf : scored.tree.leaves())
        lengths.push_back(scored.tree.path_tokens(leaf));
      rewards.insert(rewards.end(), scored.rewards.begin(), scored.rewards.end());
      advantages.insert(advantages.end(), scored.advantages.begin(), scored.advantages.end());
    }
  }
  events.write_histogram(step, "histogram/response_tokens", lengths);
  events.write_histogram(step, "histogram/reward", rewards);
  events.write_histogram(step, "histogram/advantage", advantages);
  const std::vector<ScoredTree>& shown = batch.kept.empty() ? batch.dropped : batch.kept;
  if (!shown.empty()) events.write_text(step, "samples", sample_markdown(shown.front(), text));
}

}  // namespace treepo
