#include <memory>

#include "app/command_line.h"
#include "app/commands.h"
#include "app/run_start.h"
#include "base/files.h"
#include "base/format.h"
#include "config/validate.h"
#include "train/sft.h"

namespace treepo {

namespace {

void print_summary(const SftSummary& summary) {
  const TrainState& state = summary.state;
  std::string text = fmt::format("\n{} steps, {} response tokens in {:.0f} s\n\n", state.step,
                                 state.trajectory_tokens, summary.seconds);
  const auto row = [](const char* label, const std::string& before, const std::string& after) {
    return fmt::format("  {:<20} {:>9}   {:>9}\n", label, before, after);
  };
  if (summary.last) {
    const auto loss = [](double value) { return fmt::format("{:.4f}", value); };
    const auto percent = [](double value) { return fmt::format("{:.1f} %", 100 * value); };
    const bool known = state.first_loss >= 0;
    text += row("test examples", "before", "after");
    text += row("loss", known ? loss(state.first_loss) : "–", loss(summary.last->loss));
    text += row("token accuracy", known ? percent(state.first_token_accuracy) : "–",
                percent(summary.last->token_accuracy)) +
            "\n";
  }
  const std::string best = state.best_step < 0
                               ? summary.checkpoint
                               : join_path(join_path(summary.run_dir, "checkpoints"), "best");
  text += fmt::format("  run         {}\n  checkpoint  {}\n", summary.run_dir, best);
  if (summary.interrupted)
    text += fmt::format("\nInterrupted. Go on with: treepo sft --resume {}\n",
                        shell_quoted(summary.run_dir));
  fmt::print("{}", text);
}

void run_sft(const RunStartFlags& flags, int& exit_code) {
  flags.run.apply_quiet();
  auto [options, start] = flags.resolve(validate_for_sft);
  SftTrainer trainer(options, start);
  catch_interrupts();
  StandardOutputMetrics lines;
  const SftSummary summary = trainer.run(watch_run(options, flags.json ? &lines : nullptr));
  if (!flags.run.quiet && !flags.json) print_summary(summary);
  if (summary.interrupted) exit_code = kExitInterrupted;
}

}  // namespace

void add_sft_command(CLI::App& program, int& exit_code) {
  auto flags = std::make_shared<RunStartFlags>();
  CLI::App* command = add_command(program, "sft", "Train on given responses, as a TOML file says");
  flags->add_to(*command);
  command->footer(
      "  treepo sft configs/sft.toml --model DIR --set sft.train=FILE\n"
      "  treepo sft --resume runs/sft --set train.max_steps=300");
  command->callback([flags, &exit_code] {
    flags->check_given();
    run_sft(*flags, exit_code);
  });
}

}  // namespace treepo
