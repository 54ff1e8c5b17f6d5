#pragma once

#include <memory>
#include <string>

#include "data/row_reader.h"

namespace treepo {

// Throws Error where pyarrow is missing or can't read the file.
std::unique_ptr<RowReader> open_parquet(const std::string& path);

}  // namespace treepo
