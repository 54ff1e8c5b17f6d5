#pragma once

#include <c10/core/ScalarType.h>

#include <string>

#include "base/check_report.h"

namespace treepo {

// Holds the model of `directory` against a file of the form of
// oracles/hf-models/*/oracle.safetensors (input_ids, logits, loss, grad.NAME, greedy), row by row:
//   logits            largest difference
//   loss              difference
//   grad.NAME         norm of the difference over the norm of the oracle's
//   greedy            tokens that differ, decoded step by step through the paged cache
//   cached log-probs  largest difference between those that decoding gave for its tokens and those
//   of
//                     a packed forward pass over the same tokens
// Tolerances: float64 1e-9, gradients 1e-8; float32 1e-4 and 1e-4; half types, whose numbers carry
// 8 to 11 bits, 5 % of the largest logit and 20 %. In those greedy counts as skipped: a lead of
// 0.005 is below their rounding. Throws Error if file and model do not fit.
// A checked device (model/device.h) also throws DifferenceFound where two implementations differ.
CheckReport check_model_oracle(const std::string& directory, const std::string& file,
                               const std::string& device, c10::ScalarType dtype);

// Writes such a file: 3 rows of drawn tokens (numbers derived from `seed`), 24 each or as many as
// the context allows. All values float64, computed in `dtype`.
void write_model_oracle(const std::string& directory, const std::string& file,
                        const std::string& device, c10::ScalarType dtype, uint64_t seed = 0);

}  // namespace treepo
