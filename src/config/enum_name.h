#pragma once

#include <array>
#include <cstddef>
#include <string_view>

namespace treepo {

// The names of an enum's values, in their order: how options and logs write them.
template <typename E>
inline constexpr std::array<std::string_view, 0>
    kEnumNames{};  // an enum without names is no option

template <typename E>
std::string_view enum_name(E value) {
  return kEnumNames<E>[static_cast<size_t>(value)];
}

}  // namespace treepo
