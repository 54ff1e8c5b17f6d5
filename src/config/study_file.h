#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "config/options.h"

namespace treepo {

// One row of a study's table: the base configuration with other values for some options.
struct StudyVariant {
  std::string name;                // unique; letters, digits and - _ . + only: names a folder
  std::vector<std::string> set{};  // KEY=VALUE, as for --set
};

// Several runs to be compared: each variant with each seed.
struct StudyFile {
  std::string base;              // TOML file with the options that all runs share
  std::string dir;               // folder of the runs, and of what compares them
  std::vector<int64_t> seeds;    // train.seed of the runs; not empty
  bool warm_start_once = false;  // one warm start for each seed, which all variants go on from
  std::vector<std::string> set;  // KEY=VALUE for all runs
  std::vector<StudyVariant> variants;
};

// Reads a study:
//   base = "quickstart.toml"            # from the folder of this file
//   dir = "runs/study"
//   seeds = [1, 2, 3]
//   warm_start_once = true
//   set = ["train.max_steps=80"]
//   [[variant]]
//   name = "GRPO"
//   set = ["rollout.sequential=true", "advantage.kind=grpo"]
//   [grid]                              # every combination becomes a variant too
//   "rollout.width" = [8, 16]
// Throws Error naming file and line on a key that does not exist, a value of the wrong kind, two
// variants of one name, no variant at all.
StudyFile read_study_file(const std::string& path);

// Adds KEY=VALUE for all runs, which win over the base's and the study's own. Throws Error on a key
// that a variant sets, and on train.seed and train.run_dir: it would not hold for all runs.
void set_in_all_runs(StudyFile& study, const std::vector<std::string>& settings);

// The options of one run of a study: the base, the study's and the variant's values, the seed, and
// `run_dir` as train.run_dir. Throws Error, naming the variant, on whatever is wrong with them.
RunOptions study_run_options(const StudyFile& study, const StudyVariant& variant, int64_t seed,
                             const std::string& run_dir);

}  // namespace treepo
