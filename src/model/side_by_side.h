#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"

namespace treepo {

// Two implementations of one thing gave different numbers.
class DifferenceFound : public Error {
 public:
  using Error::Error;
};

// How far two ways of computing one row may differ: this times the row's largest magnitude, or 1 if
// that is less. Rounding alone stays well below it; a wrong key, mask, scale or weight does not.
//   float64 1e-9, float32 1e-4, float16 0.02, bfloat16 0.05
double side_by_side_tolerance(c10::ScalarType dtype);

struct RowDifference {
  int64_t row = 0, column = 0;
  double first = 0, second = 0;  // the two values there
  double allowed = 0;
  // "row 3, number 17: 0.5 against 0.25, where 1e-04 is allowed"
  std::string text() const;
};

// The first row of [rows, n] in which some number differs by more than the tolerance, and the
// number that differs most there. The tensors may lie on different devices. largest: if not null,
// gets the largest difference met so far, as a share of what is allowed.
std::optional<RowDifference> first_difference(const at::Tensor& first, const at::Tensor& second,
                                              double tolerance, double* largest = nullptr);

// What each layer's attention was given and gave back.
struct LayerTrace {
  std::vector<at::Tensor> qkv, attended;  // by layer, each [N, …]
};

// "layer 3 (what attention gives): row …", or which part comes after all layers agree.
std::string describe_first_layer(const LayerTrace& first, const LayerTrace& second,
                                 double tolerance);

}  // namespace treepo
