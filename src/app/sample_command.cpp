#include <iostream>
#include <memory>
#include <optional>
#include <string>

#include "app/commands.h"
#include "app/run_flags.h"
#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "base/timer.h"
#include "config/load.h"
#include "config/validate_rollout.h"
#include "data/load_sources.h"
#include "train/model_setup.h"
#include "train/sample_trees.h"
#include "train/threads.h"
#include "tree/growth.h"  // needs_leaf_scores

namespace treepo {

namespace {

struct SampleFlags {
  RunFlags run;
  std::string config, prompts, out = "-", reward;
};

// Where the trees go. Standard output is written as it stands, not opened again by a name: that
// would empty a file which the shell appends to.
class TreeOutput {
 public:
  explicit TreeOutput(const std::string& path) {
    if (path != "-") file_.emplace(path, OutputFile::Mode::atomic);
  }

  void write_line(const std::string& line) {
    if (file_) {
      file_->write(line);
      file_->write("\n");
      file_->flush();
    } else if (!(std::cout << line << std::endl)) {
      throw Error("standard output can't be written", "is the disk or pipe full?");
    }
  }

  void finish() {
    if (file_) file_->finish();
  }

 private:
  std::optional<OutputFile> file_;
};

void run_sample(const SampleFlags& flags) {
  flags.run.apply_quiet();
  std::vector<std::string> overrides = flags.run.overrides();
  if (!flags.reward.empty()) overrides.push_back(text_override("reward.kind", flags.reward));
  const RunOptions options = load_options(flags.config, overrides);
  if (flags.reward.empty() && needs_leaf_scores(options.rollout)) {
    throw Error(
        "rollout.divergence or rollout.prune goes by the value of paths, which a verifier "
        "tells, and there is none",
        "name one with --reward, and give each prompt its \"answer\"");
  }
  use_threads(options.train.threads);

  std::vector<TrainingQuery> queries;
  const int64_t longest = longest_response(options.rollout, options.stop);
  LoadedModel model = load_model_directory(
      options.model,
      [&](const ModelConfig& config, const Tokenizer& tokenizer, const std::string& tokenizer_dir) {
        check_context(config, options);
        queries = make_training_queries(
            load_problems(flags.prompts == "-" ? "/dev/stdin" : flags.prompts, options.data,
                          options.prompt,
                          {.tokenizer = &tokenizer, .model_directory = tokenizer_dir, .check = {}}),
            tokenizer);
        validate_tokens_per_step(options.rollout, std::ssize(queries));
        for (const TrainingQuery& query : queries) check_prompt(query, config, longest);
      });
  TreeOutput out(flags.out);
  const Timer timer;
  const RolloutStats stats = sample_trees(model, options, queries, !flags.reward.empty(),
                                          [&](const std::string& line) { out.write_line(line); });
  out.finish();
  log_info("{} trees, {} trajectories: {} unique tokens for {} ({:.0f} %), {:.0f} unique tokens/s",
           stats.trees, stats.trajectories, stats.drawn_tokens, stats.trajectory_tokens,
           100 * static_cast<double>(stats.drawn_tokens) /
               static_cast<double>(std::max<int64_t>(stats.trajectory_tokens, 1)),
           static_cast<double>(stats.drawn_tokens) / timer.seconds());
}

}  // namespace

void add_sample_command(CLI::App& program) {
  auto flags = std::make_shared<SampleFlags>();
  CLI::App* command = add_command(program, "sample", "Sample one tree of answers for each prompt");
  command->add_option("--model", flags->run.model, "Hugging Face directory");
  command
      ->add_option("--prompts", flags->prompts,
                   "JSON lines {\"prompt\" or \"ids\", \"id\"?, \"answer\"?}; - is standard input")
      ->required();
  command->add_option("--out", flags->out, "where the trees go, one a line; - is standard output");
  command->add_option("--config", flags->config, "TOML file with options, as for `treepo train`");
  command->add_option("--reward", flags->reward, "judge each trajectory with this verifier");
  flags->run.add_to(*command);
  command->footer(
      "  treepo sample --model DIR --prompts prompts.jsonl --out trees.jsonl \\\n"
      "    --set rollout.depth=4 --set rollout.segment_tokens=64 --set sampling.temperature=0.8");
  command->callback([flags] { run_sample(*flags); });
}

}  // namespace treepo
