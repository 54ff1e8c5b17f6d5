#pragma once

#include <memory>
#include <string>

#include "reward/verifier.h"
#include "reward/worker_verifier.h"

namespace treepo {

// A user's function FILE:FUNCTION of (prompt, response, row), run by the Python workers. `row` is
// the row's fields as a dict, with "answer" and "prompt" in any case. It returns a number, or a
// dict with "score" and, if it likes, "correct" (otherwise score > 0), "answer" and "reason".
// Throws Error where the file can't be imported or has no such function.
std::unique_ptr<Verifier> make_function_verifier(const std::string& file_and_function,
                                                 SharedWorkers workers);

}  // namespace treepo
