#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "config/options.h"
#include "evaluate/answer_log.h"
#include "model/step_model.h"
#include "reward/verifier.h"
#include "train/training_query.h"
#include "train/trajectory_text.h"

namespace treepo {

// Answers each query as evaluation does (train/evaluation.h), `trees`: evaluate.samples answers as
// one tree of the options' growth. Each problem is appended to the log file when it is done, so
// that a run which was interrupted goes on with the problems that the log lacks. Gives all of them,
// in the order of the queries, drawn answers before greedy ones; nothing where stop_requested(),
// asked after each few problems, was true. Throws Error where the log holds other problems or
// another number of answers.
std::optional<std::vector<LoggedProblem>> run_evaluation(
    StepModel& model, const RunOptions& options, bool trees,
    const std::vector<TrainingQuery>& queries, const TokenText& text, Verifier& verifier,
    const std::string& log_path, const std::function<bool()>& stop_requested);

}  // namespace treepo
