#include "app/run_start.h"

#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <string_view>

#include "base/error.h"
#include "base/files.h"
#include "config/load.h"
#include "config/resume.h"
#include "report/model_card.h"

namespace treepo {

namespace {

volatile std::sig_atomic_t interrupts = 0;

// write() is one of the few calls that a signal handler may make.
void say_on_stderr(std::string_view text) {
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text.data(), text.size());
}

void on_interrupt(int signal) {
  interrupts = interrupts + 1;
  if (interrupts == 1)
    say_on_stderr(
        "\ninterrupted: this step is finished and a checkpoint saved; once more ends at once\n");
  if (interrupts > 1) {
    std::signal(signal, SIG_DFL);
    std::raise(signal);
  }
}

}  // namespace

void RunStartFlags::add_to(CLI::App& command) {
  auto* file = command.add_option("config", config, "TOML file with the run's options");
  auto* folder =
      command.add_option("--resume", resume, "go on with the run in this folder, bit by bit");
  file->excludes(folder);
  command.add_option("--model", run.model, "Hugging Face directory to start from");
  run.add_to(command);
  command.add_flag("--json", json,
                   "write each line of metrics.jsonl to standard output, too, and no summary");
}

void RunStartFlags::check_given() const {
  if (config.empty() && resume.empty())
    throw CLI::RequiredError("a configuration file, or --resume DIR");
}

std::pair<RunOptions, RunStart> RunStartFlags::resolve(
    const std::function<void(const RunOptions&)>& validate) const {
  if (resume.empty()) {
    RunOptions options = load_options(config, run.overrides());
    validate(options);
    return {std::move(options), RunStart::fresh};
  }
  const std::string path = join_path(resume, "config.toml");
  if (!file_system().exists(path)) {
    throw Error(fmt::format("{} holds no run: there is no config.toml", resume),
                "--resume takes the folder that train.run_dir named");
  }
  const RunOptions saved = load_options(path, {});
  std::vector<std::string> overrides = run.overrides();
  overrides.push_back(text_override("train.run_dir", resume));  // it may have been moved
  RunOptions options = load_options(path, overrides);
  check_resumable(saved, options);
  validate(options);
  return {std::move(options), RunStart::resume};
}

RunWatch watch_run(const RunOptions& options, MetricSink* metrics) {
  return {
      .stop_requested = interrupted,
      .metrics = metrics,
      .add_to_checkpoint = [run = options.train.run_dir](const std::string& folder, int64_t step) {
        write_model_card(run, folder, step);
      }};
}

void StandardOutputMetrics::write(int64_t step, const Metrics& metrics) {
  fmt::print("{}\n", dump_json(metrics_line(step, metrics)));
  std::fflush(stdout);
}

void catch_interrupts() {
  std::signal(SIGINT, on_interrupt);
  std::signal(SIGTERM, on_interrupt);
}

bool interrupted() {
  return interrupts > 0;
}

}  // namespace treepo
