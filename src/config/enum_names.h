#pragma once

#include <array>
#include <string_view>

#include "config/enum_name.h"
#include "config/options.h"

namespace treepo {

template <>
inline constexpr auto kEnumNames<AdvantageKind> = std::to_array<std::string_view>(
    {"tree", "tree_size_weighted", "tree_reject_degenerate", "tree_reject_degenerate_size_weighted",
     "tree_no_root", "grpo", "leave_one_out", "segment"});
template <>
inline constexpr auto kEnumNames<Objective> = std::to_array<std::string_view>({"dapo", "grpo",
                                                                               "dr_grpo"});

}  // namespace treepo
