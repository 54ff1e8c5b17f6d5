#pragma once

#include <memory>
#include <string>

#include "reward/verifier.h"
#include "reward/worker_verifier.h"

namespace treepo {

// Equality of mathematical answers as math-verify 0.9.0 sees it: the last box of the response, or
// what its other patterns find. Argument "boxed": the last box only. Plain numbers are judged here
// (reward/plain_math.h), everything else by the Python workers. Throws Error where math-verify is
// not installed.
std::unique_ptr<Verifier> make_math_verifier(const std::string& argument, SharedWorkers workers);

}  // namespace treepo
