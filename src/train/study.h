#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "config/study_file.h"

namespace treepo {

// One run of a study: DIR/VARIANT/seed-N.
struct StudyRun {
  std::string variant;
  int64_t seed = 0;
  RunOptions options;
};

struct StudyOutcome {
  int64_t finished = 0, failed = 0;  // runs; those that were finished before count as finished
  bool interrupted = false;
};

// The runs of a study, seed by seed in the outer loop, so that a study that is stopped early has
// compared all variants. Throws Error, before anything runs, where one of them can't be.
std::vector<StudyRun> plan_study(const StudyFile& study);

// Runs them one after another. What a former call has finished is left as it is, what it began goes
// on from its last checkpoint, a finished run too where its max_steps have grown; a run that fails
// is logged and the next begins. Throws Error where a folder holds a run of other options, or a
// finished one of more steps, other epochs or another evaluation. `before_run` is told the number
// of each run that is to go on, from 0; stop_requested is asked as Trainer::run does.
StudyOutcome run_study(const StudyFile& study, const std::vector<StudyRun>& runs,
                       const std::function<void(size_t index)>& before_run,
                       const std::function<bool()>& stop_requested);

}  // namespace treepo
