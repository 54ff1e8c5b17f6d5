#pragma once

#include <string>

#include "base/check_report.h"

namespace treepo {

// Holds leaf_advantages against a file of the form of oracles/treepo/advantages.json: one row for
// each field of `expected` over all cases, its error the largest difference relative to max(1,
// |value|). Fields that treepo does not compute count as skipped. Throws Error on a file of another
// form.
CheckReport check_advantages(const std::string& file);

}  // namespace treepo
