#include "rollout/cache_plan.h"

#include <algorithm>

#include "base/arithmetic.h"
#include "base/error.h"

namespace treepo {

namespace {

constexpr int64_t kMib = int64_t{1} << 20;

}  // namespace

int64_t pages_of_tree(int64_t prompt_tokens, const StopRules& rules, int64_t page_tokens,
                      int64_t width) {
  const int64_t prompt_pages = divide_up(prompt_tokens, page_tokens);
  return prompt_pages + width * (pages_of_path(prompt_tokens, rules, page_tokens) - prompt_pages);
}

int64_t affordable_pages(const EngineOptions& engine, int64_t page_bytes) {
  // Slots are 32-bit numbers.
  return std::min(engine.cache_mib * kMib / page_bytes, INT32_MAX / engine.page_tokens);
}

int64_t cache_mib_for(int64_t pages, int64_t page_bytes) {
  return divide_up(pages * page_bytes, kMib);
}

int64_t pages_of_path(int64_t prompt_tokens, const StopRules& rules, int64_t page_tokens) {
  const int64_t by_segments = rules.depth * divide_up(rules.segment_tokens, page_tokens);
  const int64_t by_tokens = rules.response_tokens / page_tokens + rules.depth;
  return divide_up(prompt_tokens, page_tokens) + std::min(by_segments, by_tokens);
}

int32_t plan_pages(std::span<const Query> queries, const RolloutSettings& settings,
                   const StopRules& rules, const StepModel& model) {
  const int64_t page_tokens = settings.engine.page_tokens;
  const int64_t page_bytes = model.bytes_per_page(static_cast<int32_t>(page_tokens));
  const int64_t affordable = affordable_pages(settings.engine, page_bytes);
  int64_t useful = 0;
  for (const Query& query : queries) {
    const auto prompt_tokens = static_cast<int64_t>(query.prompt.size());
    const int64_t needed = pages_of_path(prompt_tokens, rules, page_tokens);
    const int64_t tree_pages =
        pages_of_tree(prompt_tokens, rules, page_tokens, settings.growth.width);
    if (needed > affordable) {
      throw Error(
          fmt::format("engine.cache_mib = {} holds {} pages of {} tokens, but one path of query {} "
                      "(a prompt of {} tokens, a response of at most {}) needs up to {}",
                      settings.engine.cache_mib, affordable, page_tokens, query.id, prompt_tokens,
                      rules.response_tokens, needed),
          fmt::format("set engine.cache_mib to at least {}; {} hold a whole tree of width {}",
                      cache_mib_for(needed, page_bytes), cache_mib_for(tree_pages, page_bytes),
                      settings.growth.width));
    }
    useful = std::min(affordable, useful + tree_pages);
  }
  return static_cast<int32_t>(useful);
}

}  // namespace treepo
