#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "app/commands.h"
#include "app/run_flags.h"
#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "base/timer.h"
#include "config/load.h"
#include "reward/score_lines.h"
#include "reward/verifier.h"

namespace treepo {

namespace {

struct ScoreFlags {
  std::vector<std::string> reward, set;
  std::string config, in = "-", out = "-";
  bool quiet = false;
};

// One part is reward.kind, several are reward.parts; none leaves them to the configuration.
RewardOptions reward_options(const ScoreFlags& flags) {
  RewardOptions reward = load_options(flags.config, flags.set).reward;
  if (flags.reward.empty()) return reward;
  reward.kind = "parts";
  reward.parts = flags.reward;
  return reward;
}

class LineOutput {
 public:
  explicit LineOutput(const std::string& path) {
    if (path != "-") file_.emplace(path, OutputFile::Mode::atomic);
  }

  void write(const std::string& line) {
    if (file_) {
      file_->write(line);
      file_->write("\n");
    } else if (!(std::cout << line << '\n')) {
      throw Error("standard output can't be written", "is the disk or pipe full?");
    }
  }

  void finish() {
    if (file_) return file_->finish();
    if (!std::cout.flush()) throw Error("standard output can't be written", "is the disk full?");
  }

 private:
  std::optional<OutputFile> file_;
};

void report(const ScoreCounts& counts, double seconds) {
  const auto share = [&](double sum) {
    return counts.responses == 0 ? 0 : sum / static_cast<double>(counts.responses);
  };
  log_info("{} responses, {:.1f} % correct, mean reward {:.4f}; {:.2f} s, {:.0f} answers/s",
           counts.responses, 100 * share(static_cast<double>(counts.correct)), share(counts.reward),
           seconds, static_cast<double>(counts.responses) / seconds);
  if (counts.errors + counts.timeouts + counts.deaths > 0)
    log_warning("not judged: {} errors, {} timeouts, {} deaths of workers", counts.errors,
                counts.timeouts, counts.deaths);
}

void run_score(const ScoreFlags& flags) {
  if (flags.quiet) set_log_level(LogLevel::warning);
  const std::unique_ptr<Verifier> verifier = make_verifier(reward_options(flags));
  LineOutput out(flags.out);
  const Timer timer;
  const ScoreCounts counts = score_lines(flags.in == "-" ? "/dev/stdin" : flags.in, *verifier,
                                         [&](const std::string& line) { out.write(line); });
  out.finish();
  report(counts, timer.seconds());
}

}  // namespace

void add_score_command(CLI::App& program) {
  auto flags = std::make_shared<ScoreFlags>();
  CLI::App* command = add_command(
      program, "score", "Judge JSON lines {\"prompt\", \"response\", \"answer\"} by a reward");
  command
      ->add_option("--reward", flags->reward,
                   "verifier, or part of a sum: math, 0.9*math, \"gate tags:think,answer\"; may be "
                   "given several times (docs/rewards.md)")
      ->allow_extra_args(false);
  command->add_option("--in", flags->in, "file of JSON lines; - is standard input");
  command->add_option("--out", flags->out,
                      "where {\"reward\", \"reason\", \"parts\"} go; - is standard output");
  command->add_option("--config", flags->config, "TOML file whose [reward] is taken");
  command->add_option("--set", flags->set, "one more option, as KEY=VALUE: reward.timeout_s=5")
      ->allow_extra_args(false);
  command->add_flag("--quiet", flags->quiet, "only warnings and errors");
  command->footer("  treepo score --reward math --in answers.jsonl --out rewards.jsonl");
  command->callback([flags] { run_score(*flags); });
}

}  // namespace treepo
