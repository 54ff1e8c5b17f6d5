#include <fmt/format.h>

#include <memory>
#include <string>
#include <vector>

#include "app/command_line.h"
#include "app/commands.h"
#include "app/run_start.h"
#include "base/files.h"
#include "base/format.h"  // shell_quoted
#include "base/log.h"
#include "report/study_report.h"
#include "train/run_directory.h"
#include "train/study.h"

namespace treepo {

namespace {

struct StudyFlags {
  std::string file;
  std::vector<std::string> sets;  // KEY=VALUE
  bool only_compare = false, quiet = false;
};

std::string command_of(const StudyFlags& flags) {
  std::string command = "treepo study " + shell_quoted(flags.file);
  for (const std::string& setting : flags.sets) command += " --set " + shell_quoted(setting);
  return command + (flags.quiet ? " --quiet" : "");
}

StudyComparison compare(const StudyFile& study, const std::vector<StudyRun>& runs) {
  std::vector<StudyRunLog> logs;
  for (const StudyVariant& variant : study.variants)
    for (const StudyRun& run : runs)
      if (run.variant == variant.name)
        logs.push_back({.variant = run.variant,
                        .seed = run.seed,
                        .metrics = RunPaths(run.options.train.run_dir).metrics});
  return compare_study(logs);
}

void run(const StudyFlags& flags, int& exit_code) {
  if (flags.quiet) set_log_level(LogLevel::warning);
  StudyFile study = read_study_file(flags.file);
  set_in_all_runs(study, flags.sets);
  const std::vector<StudyRun> runs = plan_study(study);
  file_system().make_directories(study.dir);
  StudyOutcome outcome;
  if (!flags.only_compare) {
    catch_interrupts();
    outcome = run_study(
        study, runs,
        [&](size_t i) {
          log_info("study: run {} of {}: {}, seed {}", i + 1, runs.size(), runs[i].variant,
                   runs[i].seed);
        },
        interrupted);
  }
  const StudyComparison comparison = compare(study, runs);
  const std::string table = join_path(study.dir, "comparison.md");
  const std::string curves = join_path(study.dir, "curves.svg");
  write_file_atomically(table, comparison.markdown);
  write_file_atomically(curves, comparison.svg);
  fmt::print("{}\nmean ± standard deviation over seeds; table {}, curves {}\n", comparison.markdown,
             table, curves);
  if (outcome.failed > 0) {
    fmt::print("{} runs failed: the same command tries them again\n", outcome.failed);
    exit_code = kExitError;
  }
  if (outcome.interrupted) {
    fmt::print("Interrupted. Go on with: {}\n", command_of(flags));
    exit_code = kExitInterrupted;
  }
}

}  // namespace

void add_study_command(CLI::App& program, int& exit_code) {
  auto flags = std::make_shared<StudyFlags>();
  CLI::App* command =
      add_command(program, "study", "Train variants of a run with several seeds, and compare");
  command->add_option("file", flags->file, "TOML file with base, seeds and variants")->required();
  command
      ->add_option("--set", flags->sets,
                   "KEY=VALUE: an option of all runs, over the file's own; repeatable. One that a "
                   "variant sets is refused")
      ->take_all();
  command->add_flag("--compare", flags->only_compare, "only compare what has run so far");
  command->add_flag("--quiet", flags->quiet, "only the table, warnings and errors");
  command->footer(
      "  treepo study configs/study-quickstart.toml\n"
      "  treepo study configs/study-quickstart.toml --set train.threads=1\n\n"
      "Runs that are finished are left as they are, so that the same command goes on after an\n"
      "interruption, or with a variant added to the file. With more train.max_steps they go on.");
  command->callback([flags, &exit_code] { run(*flags, exit_code); });
}

}  // namespace treepo
