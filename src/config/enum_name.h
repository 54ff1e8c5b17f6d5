#pragma once

#include <array>
#include <cstddef>
#include <string_view>

namespace treepo {

// The names of an enum's values, in their order: how options and logs write them. An enum without
// names, or whose header of names is not included, does not compile.
template <typename E>
struct NamesMissing;
template <typename E>
inline constexpr NamesMissing<E> kEnumNames{};

template <typename E>
std::string_view enum_name(E value) {
  return kEnumNames<E>[static_cast<size_t>(value)];
}

}  // namespace treepo
