#include "tree/fallback_order.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <utility>

#include "base/error.h"

namespace treepo {

namespace {

// Lanes keep a round's kinds of draws apart; fallback_place.cpp has lane 1.
constexpr uint32_t kOrderLane = 0, kWeightLane = 2;

// Fisher–Yates.
void shuffle(std::vector<int32_t>& indices, const RandomStream& fallback, int32_t round) {
  const auto count = static_cast<int32_t>(indices.size());
  for (int32_t i = 0; i + 1 < count; ++i) {
    const int64_t j = fallback.integer(i, count - 1, static_cast<uint32_t>(round),
                                       static_cast<uint32_t>(i), kOrderLane);
    std::swap(indices[static_cast<size_t>(i)], indices[static_cast<size_t>(j)]);
  }
}

// Sorts by log-weight + Gumbel noise, largest first: the order of drawing without replacement, each
// time with probability in proportion to the weights of what is left.
template <typename WeightOf>
void draw_in_order(std::vector<int32_t>& indices, const RandomStream& fallback, int32_t round,
                   const WeightOf& weight_of) {
  std::vector<double> keys(indices.size());  // before sorting, indices are 0, 1, 2, …
  for (const int32_t index : indices) {
    const double u =
        fallback.uniform(static_cast<uint32_t>(round), static_cast<uint32_t>(index), kWeightLane);
    keys[static_cast<size_t>(index)] = std::log(weight_of(index)) - std::log(-std::log(u));
  }
  std::ranges::stable_sort(indices, std::greater(),
                           [&](int32_t index) { return keys[static_cast<size_t>(index)]; });
}

}  // namespace

double stop_weight(StopReason reason) {
  switch (reason) {
    case StopReason::answer:
      return 7;
    case StopReason::stop_string:
      return 6;
    case StopReason::eos:
      return 5;
    case StopReason::depth:
      return 4;
    case StopReason::length:
      return 3;
    case StopReason::repetition:
      return 2;
    case StopReason::pruned:
      return 1;
    case StopReason::none:
      break;
  }
  TREEPO_CHECK(false, "a path that goes on is no trajectory");
}

int64_t window_tokens(const GrowthOptions& options) {
  return options.fallback_window == 0 ? options.segment_tokens : options.fallback_window;
}

std::vector<int32_t> fallback_order(const SearchTree& tree, const GrowthOptions& options,
                                    const RandomStream& fallback, int32_t round) {
  const std::vector<int32_t>& leaves = tree.leaves();
  std::vector<int32_t> indices(leaves.size());
  std::iota(indices.begin(), indices.end(), 0);
  const auto leaf = [&](int32_t index) { return leaves[static_cast<size_t>(index)]; };
  const auto reason = [&](int32_t index) { return tree.node(leaf(index)).stop; };
  const auto length = [&](int32_t index) { return tree.path_tokens(leaf(index)); };
  switch (options.fallback_from) {
    case FallbackFrom::any:
      shuffle(indices, fallback, round);
      return indices;
    case FallbackFrom::finished_first:
      draw_in_order(indices, fallback, round, [&](int32_t i) { return stop_weight(reason(i)); });
      return indices;
    case FallbackFrom::finished_first_strict:
      shuffle(indices, fallback, round);
      std::ranges::stable_sort(indices, std::greater(),
                               [&](int32_t i) { return stop_weight(reason(i)); });
      return indices;
    case FallbackFrom::longest:
      draw_in_order(indices, fallback, round,
                    [&](int32_t i) { return static_cast<double>(length(i)); });
      return indices;
    case FallbackFrom::finished:
      std::erase_if(indices, [&](int32_t i) { return !is_finished(reason(i)); });
      shuffle(indices, fallback, round);
      return indices;
    case FallbackFrom::long_answers:
      std::erase_if(indices, [&](int32_t i) {
        const bool answered =
            reason(i) == StopReason::answer || reason(i) == StopReason::stop_string;
        return !answered || length(i) < options.fallback_min_windows * window_tokens(options);
      });
      shuffle(indices, fallback, round);
      return indices;
  }
  TREEPO_CHECK(false, "unknown choice of trajectories {}", static_cast<int>(options.fallback_from));
}

}  // namespace treepo
