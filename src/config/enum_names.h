#pragma once

#include <array>
#include <string_view>

#include "config/enum_name.h"
#include "config/options.h"

namespace treepo {

template <>
inline constexpr auto kEnumNames<AdvantageKind> = std::to_array<std::string_view>(
    {"tree", "tree_size_weighted", "tree_reject_degenerate", "tree_reject_degenerate_size_weighted",
     "tree_no_root", "grpo", "leave_one_out", "segment", "sibling_normalized", "expected_reward"});
template <>
inline constexpr auto kEnumNames<Objective> = std::to_array<std::string_view>(
    {"dapo", "grpo", "dr_grpo", "bnpo", "gspo", "cispo", "reinforce_plus_plus"});
template <>
inline constexpr auto kEnumNames<RatioLevel> =
    std::to_array<std::string_view>({"automatic", "token", "sequence"});
template <>
inline constexpr auto kEnumNames<KlEstimator> = std::to_array<std::string_view>({"k1", "k2", "k3"});
template <>
inline constexpr auto kEnumNames<ImportanceMask> =
    std::to_array<std::string_view>({"none", "token", "sequence", "geometric"});

}  // namespace treepo
