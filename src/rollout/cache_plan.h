#pragma once

#include <cstdint>
#include <span>

#include "config/options.h"  // EngineOptions
#include "rollout/engine.h"
#include "tree/stop_rules.h"

namespace treepo {

// Pages that a path can take at most, its prompt included. Every segment begins on a page of its
// own, and at most response_tokens tokens lie in at most `depth` segments.
int64_t pages_of_path(int64_t prompt_tokens, const StopRules& rules, int64_t page_tokens);

// Pages that a tree can fill at most: as if its paths shared nothing but the prompt.
int64_t pages_of_tree(int64_t prompt_tokens, const StopRules& rules, int64_t page_tokens,
                      int64_t width);

// Pages that engine.cache_mib pays for.
int64_t affordable_pages(const EngineOptions& engine, int64_t page_bytes);

// The least engine.cache_mib that holds so many pages.
int64_t cache_mib_for(int64_t pages, int64_t page_bytes);

// Pages for one run: as many as engine.cache_mib allows, but no more than the trees of all queries
// can fill. Throws Error, with the size that would do, if a single path does not fit.
int32_t plan_pages(std::span<const Query> queries, const RolloutSettings& settings,
                   const StopRules& rules, const StepModel& model);

}  // namespace treepo
