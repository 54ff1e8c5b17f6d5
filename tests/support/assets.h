#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

namespace treepo {

// Why a test that reads `path` is skipped, and how it runs.
inline std::string no_assets(std::string_view path = TREEPO_ASSETS) {
  return fmt::format(
      "no assets at {}: models, data and oracles lie beside the checkout, in ../shared/assets, or "
      "where cmake -DTREEPO_ASSETS=DIR says",
      path);
}

}  // namespace treepo
