#pragma once

#include <memory>
#include <string>

#include "data/row_reader.h"

namespace treepo {

// A JSON array of rows, cut at the commas between them, so that a row has the line on which it
// begins and a broken one leaves the others as they are. Throws Error, naming the line, where the
// array is not closed or something follows it.
std::unique_ptr<RowReader> open_json_array(const std::string& path);

}  // namespace treepo
