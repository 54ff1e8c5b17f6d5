#pragma once

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <string>

#include "base/check_report.h"

namespace treepo {

// Holds the packed update against a directory of the form of oracles/treepo/policy-gradient/CASE
// (model, case.json, oracle.safetensors): log-probs of every leaf by largest difference; the loss
// of DAPO, of DAPO with the KL term and of GSPO, where they are there, by relative difference, and
// the gradient of each for every tensor by the norm of the difference over its norm. Tolerance:
// 1e-9 in float64, 1e-3 in float32, 0.2 in half types, whose gradients start from the oracle's
// log-probs. Throws Error on files of another form; with `checked` also DifferenceFound where two
// implementations of the forward pass differ.
CheckReport check_policy_gradient(const std::string& directory, c10::Device device,
                                  c10::ScalarType dtype, bool checked = false);

}  // namespace treepo
