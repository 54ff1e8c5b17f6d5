#pragma once

#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "evaluate/metrics.h"

namespace treepo {

// For each pair of answers, whether they are the same: "1/2" and "0.5" (Verifier::equivalent).
using AnswerEquivalence =
    std::function<std::vector<bool>(std::span<const std::pair<std::string, std::string>>)>;

// Majority votes compare texts: here answers of one problem that mean the same get one text, that
// of the first of them. An answer joins the first group whose first answer it is equivalent to. The
// pairs of all problems are asked together, at most as often as one problem has different answers.
void unify_answers(std::span<Samples> problems, const AnswerEquivalence& equivalent);

}  // namespace treepo
