#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string_view>

#include "config/options.h"

namespace treepo {

// The names of an enum's values, in their order: how options and logs write them.
template <typename E>
inline constexpr std::array<std::string_view, 0>
    kEnumNames{};  // an enum without names is no option

template <>
inline constexpr auto kEnumNames<BudgetSplit> = std::to_array<std::string_view>({"even"});
template <>
inline constexpr auto kEnumNames<FallbackPolicy> = std::to_array<std::string_view>({"none",
                                                                                    "random"});
template <>
inline constexpr auto kEnumNames<AdvantageKind> = std::to_array<std::string_view>(
    {"tree", "tree_size_weighted", "tree_reject_degenerate", "tree_reject_degenerate_size_weighted",
     "tree_no_root", "grpo"});
template <>
inline constexpr auto kEnumNames<Objective> = std::to_array<std::string_view>({"dapo", "grpo",
                                                                               "dr_grpo"});

template <typename E>
std::string_view enum_name(E value) {
  return kEnumNames<E>[static_cast<size_t>(value)];
}

}  // namespace treepo
