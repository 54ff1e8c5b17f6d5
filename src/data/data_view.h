#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/load_sources.h"

namespace treepo {

// What `treepo data` prints.

// A bar for each of at most `bins` ranges of equal width, round numbers from 0 on:
//     0 –  49  ████████████ 120
//    50 –  99  ████ 41
std::string histogram_text(std::span<const int32_t> lengths, int64_t bins = 12);

// A table of sources: rows, problems, left out, share of the queries, how often a problem comes in
// an epoch, lengths; reasons for what was left out below it. `unit` of the lengths: "tokens".
std::string sources_text(const std::vector<LoadedSource>& sources, std::string_view unit);

// One problem as the model reads it, with its answer.
std::string problem_text(const Problem& problem, int32_t length, std::string_view unit);

}  // namespace treepo
