#include "train/study.h"

#include <fmt/format.h>

#include <optional>
#include <utility>

#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "config/load.h"
#include "config/resume.h"
#include "config/validate.h"
#include "train/checkpoint.h"
#include "train/trainer.h"

namespace treepo {

namespace {

constexpr std::string_view kWarmStart = "warm-start";

std::string run_folder(const StudyFile& study, std::string_view variant, int64_t seed) {
  return join_path(join_path(study.dir, std::string(variant)), fmt::format("seed-{}", seed));
}

// Lies in the folder of a run that has come to its end.
std::string finished_mark(const std::string& run_dir) {
  return join_path(run_dir, "FINISHED");
}

RunOptions checked_options(const StudyFile& study, const StudyVariant& variant, int64_t seed) {
  RunOptions options =
      study_run_options(study, variant, seed, run_folder(study, variant.name, seed));
  try {
    validate_for_training(options);
  } catch (const Error& error) {
    throw Error(fmt::format("variant \"{}\": {}", variant.name, error.what()), error.hint());
  }
  return options;
}

std::string config_of(const RunOptions& options) {
  return join_path(options.train.run_dir, "config.toml");
}

[[noreturn]] void throw_other_run(const std::string& run_dir, const OptionChange& change) {
  throw Error(fmt::format("{} holds a run with {} = {}, the study has {}", run_dir, change.key,
                          change.saved, change.now),
              "name another dir in the study's file, or remove that folder");
}

// What is there must be a run of these options, or nothing.
bool is_begun(const RunOptions& options) {
  if (!file_system().exists(config_of(options))) return false;
  const std::vector<OptionChange> changes =
      forbidden_changes(load_options(config_of(options), {}), options);
  if (!changes.empty()) throw_other_run(options.train.run_dir, changes[0]);
  return true;
}

// Goes on until the run is finished (true) or a stop was requested (false).
bool complete(const RunOptions& options, const std::function<bool()>& stop_requested) {
  const RunStart start = is_begun(options) ? RunStart::resume : RunStart::fresh;
  if (Trainer(options, start).run({.stop_requested = stop_requested}).interrupted) return false;
  write_file_atomically(finished_mark(options.train.run_dir), "");
  return true;
}

bool is_finished(const RunOptions& options) {
  return is_begun(options) && file_system().exists(finished_mark(options.train.run_dir));
}

// A finished run goes on where more steps are asked for. What it has done must be what the study
// asks: options that a run may change while it goes on would else hold for some runs only.
void reopen_if_longer(const RunOptions& options) {
  const RunOptions saved = load_options(config_of(options), {});
  for (const OptionChange& change : option_changes(saved, options)) {
    const bool shorter = options.train.max_steps < saved.train.max_steps;
    if (change.key == "train.epochs" || change.key.starts_with("evaluate.") ||
        (change.key == "train.max_steps" && shorter))
      throw_other_run(options.train.run_dir, change);
  }
  if (options.train.max_steps > saved.train.max_steps)
    file_system().remove(finished_mark(options.train.run_dir));
}

// The warm start of one seed, as a run that takes no step. Nothing where a stop was requested.
std::optional<std::string> warm_started_model(const StudyFile& study, int64_t seed,
                                              const std::function<bool()>& stop_requested) {
  const StudyVariant none = {.name = std::string(kWarmStart), .set = {"train.max_steps=0"}};
  const RunOptions options = checked_options(study, none, seed);
  if (!is_finished(options) && !complete(options, stop_requested)) return std::nullopt;
  return CheckpointStore(options.train.run_dir, 1).latest();
}

}  // namespace

std::vector<StudyRun> plan_study(const StudyFile& study) {
  std::vector<StudyRun> runs;
  for (const int64_t seed : study.seeds) {
    for (const StudyVariant& variant : study.variants) {
      if (study.warm_start_once && variant.name == kWarmStart)
        throw Error(fmt::format("a variant cannot be named \"{}\" where warm_start_once = true",
                                kWarmStart));
      runs.push_back({.variant = variant.name,
                      .seed = seed,
                      .options = checked_options(study, variant, seed)});
    }
  }
  return runs;
}

StudyOutcome run_study(const StudyFile& study, const std::vector<StudyRun>& runs,
                       const std::function<void(size_t index)>& before_run,
                       const std::function<bool()>& stop_requested) {
  StudyOutcome outcome;
  for (size_t i = 0; i < runs.size() && !outcome.interrupted; ++i) {
    RunOptions options = runs[i].options;
    if (study.warm_start_once) {
      const auto model = warm_started_model(study, runs[i].seed, stop_requested);
      outcome.interrupted = !model;
      if (!model) break;
      options.model.path = *model;
      options.warm_start.steps = 0;
    }
    if (is_finished(options)) reopen_if_longer(options);
    if (is_finished(options)) {
      ++outcome.finished;
      continue;
    }
    before_run(i);
    try {
      outcome.interrupted = !complete(options, stop_requested);
      outcome.finished += !outcome.interrupted;
    } catch (const Error& error) {
      log_warning("{}, seed {}: the run failed: {}", runs[i].variant, runs[i].seed, error.what());
      ++outcome.failed;
    }
  }
  return outcome;
}

}  // namespace treepo
