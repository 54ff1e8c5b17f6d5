#include "train/run_directory.h"

#include "base/error.h"
#include "base/files.h"
#include "base/format.h"

namespace treepo {

RunPaths::RunPaths(const std::string& run_dir)
    : root(run_dir),
      config(join_path(run_dir, "config.toml")),
      metrics(join_path(run_dir, "metrics.jsonl")),
      samples(join_path(run_dir, "samples.jsonl")),
      checkpoints(join_path(run_dir, "checkpoints")),
      tokenizer(join_path(run_dir, "tokenizer")),
      reference(join_path(run_dir, "reference")),
      record(join_path(run_dir, "run.json")),
      tensorboard(join_path(run_dir, "tensorboard")) {}

void RunLogs::open_sinks(const RunPaths& paths, const RunOptions& options, int64_t step) {
  if (options.train.tensorboard) events.emplace(paths.tensorboard, step);
  if (!options.train.wandb_project.empty()) wandb.emplace(options);
}

void RunLogs::write(int64_t step, const Metrics& line) {
  metrics.write(step, line);
  if (events) events->write(step, line);
  if (wandb) wandb->write(step, line);
  if (observer) observer->write(step, line);
}

RunPaths run_paths(const std::string& run_dir, RunStart start, std::string_view command) {
  RunPaths paths(run_dir);
  if (start == RunStart::resume) return paths;
  if (file_system().exists(paths.config)) {
    throw Error(fmt::format("{} holds a run already", paths.root),
                fmt::format("go on with it: treepo {} --resume {}; or name another folder: --set "
                            "train.run_dir=DIR",
                            command, shell_quoted(paths.root)));
  }
  if (file_system().exists(paths.checkpoints)) {
    throw Error(fmt::format("{} holds checkpoints of a run, but no config.toml", paths.root),
                "name another folder: --set train.run_dir=DIR");
  }
  return paths;
}

}  // namespace treepo
