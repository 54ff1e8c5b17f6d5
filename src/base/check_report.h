#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

namespace treepo {

// What a comparison with a stored oracle found: one row for each tensor or number compared.
struct CheckReport {
  struct Row {
    std::string name;  // the oracle's own name, as in "grad.model.norm.weight"
    double error = 0;  // in the measure that `tolerance` is stated in
    double tolerance = 0;
    int64_t count = 0;  // numbers compared
    bool passed = false;
  };
  std::vector<Row> rows;
  int skipped = 0;  // entries of the oracle that nothing here computes

  // A comparison of nothing is no success.
  bool passed() const {
    return !rows.empty() &&
           std::all_of(rows.begin(), rows.end(), [](const Row& r) { return r.passed; });
  }
};

}  // namespace treepo
