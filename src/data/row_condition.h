#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace treepo {

// The value at a path: "answer", "reward_model.ground_truth", "solution.0". A field whose name
// holds dots goes before the path. Null where there is none or it is null.
const Json* find_field(const Json& row, std::string_view path);

// Which rows of a source are wanted, by one field of theirs.
//   level=3..5    difficulty=4..    a number, or the number that a text ends with ("Level 4")
//   type=Algebra|Geometry           one of these texts
class RowCondition {
 public:
  RowCondition(std::string field, const std::string& value);

  // Throws Error, naming the row, where the field is missing, or no number for a range.
  bool holds(const Json& row, const std::string& where) const;

 private:
  std::string field_;
  std::vector<std::string> texts_;  // empty: a range
  std::optional<double> low_, high_;
};

}  // namespace treepo
