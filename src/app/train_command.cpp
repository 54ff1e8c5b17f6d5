#include <memory>

#include "app/command_line.h"
#include "app/commands.h"
#include "app/run_start.h"
#include "base/files.h"
#include "base/format.h"
#include "config/validate.h"
#include "train/trainer.h"

namespace treepo {

namespace {

// `before` -1: not measured.
std::string percent_row(const char* label, double before, double after) {
  const std::string first = before < 0 ? "–" : fmt::format("{:.1f} %", 100 * before);
  return fmt::format("  {:<28} {:>9}   {:>7.1f} %\n", label, first, 100 * after);
}

// Held-out problems whose prompt is no training prompt.
std::string unseen_rows(const TrainState& state, const EvaluationResult& evaluation) {
  const EvaluationSummary& after = *evaluation.unseen;
  std::string text =
      percent_row("unseen, one sample", state.first_unseen_pass_at_1, after.average.mean);
  if (after.greedy)
    text += percent_row("unseen, greedy", state.first_unseen_greedy, after.greedy->mean);
  return text +
         fmt::format("  ({} of the problems; the prompts of the others occur in training)\n\n",
                     after.num_problems);
}

void print_summary(const TrainSummary& summary, const RunOptions& options) {
  const TrainState& state = summary.state;
  std::string text = fmt::format("\n{} steps in {:.0f} s\n\n", state.step, summary.seconds);
  if (summary.last_evaluation) {
    const EvaluationSummary& after = summary.last_evaluation->summary;
    text += fmt::format("  {:<28} {:>9}   {:>9}\n", "held-out problems", "before RL", "after");
    text += percent_row("success, one sample", state.first_pass_at_1, after.average.mean);
    if (after.greedy)
      text += percent_row("success, greedy", state.first_greedy, after.greedy->mean);
    text += fmt::format("  ({} problems, {} samples of each)\n\n", after.num_problems,
                        after.num_samples);
    if (summary.last_evaluation->unseen) text += unseen_rows(state, *summary.last_evaluation);
  }
  if (state.trajectory_tokens > 0) {
    text += fmt::format("  tokens decoded {}, of trajectories {}: sharing saved {:.0f} %\n",
                        state.unique_tokens, state.trajectory_tokens,
                        100 - 100 * static_cast<double>(state.unique_tokens) /
                                  static_cast<double>(state.trajectory_tokens));
  }
  const std::string best = state.best_step < 0
                               ? summary.checkpoint
                               : join_path(join_path(summary.run_dir, "checkpoints"), "best");
  text += fmt::format("  run         {}\n  checkpoint  {}\n\n", summary.run_dir, best);
  if (summary.interrupted) {
    text += fmt::format("Interrupted. Go on with: treepo train --resume {}\n",
                        shell_quoted(summary.run_dir));
  } else {
    const bool carry = options.data.kind == "carry";
    text += "Next:\n";
    if (carry) {
      text += fmt::format(
          "  echo '{{\"prompt\": \"8+5+4-8+3*6:\"}}' | build/release/treepo sample --model {} "
          "--prompts - --out - --set rollout.segment_tokens=8 --set rollout.depth=8\n",
          shell_quoted(best));
    }
    text += fmt::format("  build/release/treepo report {}\n", shell_quoted(summary.run_dir));
    text += fmt::format("  build/release/treepo train --resume {} --set train.max_steps={}\n",
                        shell_quoted(summary.run_dir), 2 * options.train.max_steps);
    text += "  build/release/treepo options rollout\n";
  }
  fmt::print("{}", text);
}

void run_train(const RunStartFlags& flags, int& exit_code) {
  flags.run.apply_quiet();
  auto [options, start] = flags.resolve(validate_for_training);
  Trainer trainer(options, start);
  catch_interrupts();
  StandardOutputMetrics lines;
  const TrainSummary summary = trainer.run(watch_run(options, flags.json ? &lines : nullptr));
  if (!flags.run.quiet && !flags.json) print_summary(summary, options);
  if (summary.interrupted) exit_code = kExitInterrupted;
}

}  // namespace

void add_train_command(CLI::App& program, int& exit_code) {
  auto flags = std::make_shared<RunStartFlags>();
  CLI::App* command = add_command(program, "train", "Train a model as a TOML file says");
  flags->add_to(*command);
  command->footer(
      "Ctrl-C finishes the step, saves a checkpoint and says how to go on.\n\n"
      "  treepo train configs/quickstart.toml --set rollout.width=8\n"
      "  treepo train configs/quickstart.toml --json --quiet | jq .success\n"
      "  treepo train --resume runs/quickstart --set train.max_steps=300");
  command->callback([flags, &exit_code] {
    flags->check_given();
    run_train(*flags, exit_code);
  });
}

}  // namespace treepo
