#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/json.h"
#include "config/load.h"
#include "config/resume.h"
#include "config/validate.h"
#include "support/temporary_directory.h"
#include "tiny_model.h"
#include "train/trainer.h"

namespace treepo {

// A training run that takes milliseconds: a tiny random model completes digits, seven problems, and
// five to test with, two of which occur in training. Change `options`, then train().
class TinyRun {
 public:
  explicit TinyRun() {
    write("train.jsonl", R"({"id": "a", "prompt": "2+3=", "answer": "31313131"}
{"id": "b", "prompt": "4*2:", "answer": "8-8-8-8-"}
{"id": "c", "prompt": "9-8;", "answer": "12121212"}
{"id": "d", "prompt": "7+7=", "answer": "44+44+44"}
{"id": "e", "prompt": "6*6:", "answer": "(9(9(9(9"}
{"id": "f", "prompt": "1-1;", "answer": "00000000"}
{"id": "g", "prompt": "5*3=", "answer": "15!15!15"}
)");
    write("test.jsonl", R"({"id": "t1", "prompt": "2+3=", "answer": "31313131"}
{"id": "t2", "prompt": "3+3=", "answer": "6-6-6-6-"}
{"id": "t3", "prompt": "8*2:", "answer": "16161616"}
{"id": "t4", "prompt": "9-8;", "answer": "12121212"}
{"id": "t5", "prompt": "2*2=", "answer": "4;4;4;4;"}
)");
    options.model.path = model.directory.path();
    options.model.dtype = "float64";
    options.data.train = {directory / "train.jsonl"};
    options.data.test = {directory / "test.jsonl"};
    options.rollout = {.width = 8, .depth = 3, .segment_tokens = 4};
    options.reward.kind = "digits";
    options.optimizer.learning_rate = 1e-2;
    options.optimizer.warmup_steps = 0;
    options.optimizer.weight_decay = 0;
    options.update.updates_per_batch = 2;
    options.train.max_steps = 3;
    options.train.queries_per_step = 4;
    options.train.run_dir = directory / "run";
    options.train.threads = 1;
    options.train.sample_queries = 2;
    options.evaluate = {.every = 2, .queries = 0, .samples = 2};
  }

  void write(const std::string& name, const std::string& text) const {
    write_file_atomically(directory / name, text);
  }
  std::string path(const std::string& name) const { return join_path(options.train.run_dir, name); }

  // Of the model: every path goes on to the longest response.
  void forget_end_of_sequence() const {
    const std::string config = model.directory / "config.json";
    Json fields = read_json_file(config);
    fields.erase("eos_token_id");
    write_file_atomically(config, fields.dump());
    posix_file_system().remove(model.directory / "generation_config.json");
  }

  TrainSummary train(
      Trainer::Start start = Trainer::Start::fresh,
      const std::function<bool()>& stop = [] { return false; }) const {
    validate_for_training(options);
    return Trainer(options, start).run({.stop_requested = stop});
  }

  // Goes on as `treepo train --resume` does.
  TrainSummary resume(const std::vector<std::string>& overrides = {}) const {
    const RunOptions saved = load_options(path("config.toml"), {});
    const RunOptions now = load_options(path("config.toml"), overrides);
    check_resumable(saved, now);
    validate_for_training(now);
    return Trainer(now, Trainer::Start::resume).run({});
  }

  std::vector<Json> lines(const std::string& name) const {
    std::vector<Json> all;
    JsonLineReader reader(path(name));
    for (Json line; reader.next(line);) all.push_back(line);
    return all;
  }
  // The lines of training steps, and of evaluations.
  std::vector<Json> steps() const { return lines_with("time/step"); }
  std::vector<Json> evaluations() const { return lines_with("time/evaluate"); }

  std::vector<std::string> checkpoints() const {
    return posix_file_system().list(path("checkpoints"));
  }

  TemporaryDirectory directory;
  TinyModel model;
  RunOptions options;

 private:
  std::vector<Json> lines_with(const std::string& key) const {
    std::vector<Json> chosen = lines("metrics.jsonl");
    std::erase_if(chosen, [&](const Json& line) { return !line.contains(key); });
    return chosen;
  }
};

// Sum of a metric over steps.
inline double total(const std::vector<Json>& lines, const std::string& key) {
  double sum = 0;
  for (const Json& line : lines) sum += line.at(key).get<double>();
  return sum;
}

// Metrics without what may differ between equal runs: seconds and what is derived from them.
inline std::vector<Json> without_times(std::vector<Json> lines) {
  for (Json& line : lines) {
    for (auto item = line.begin(); item != line.end();) {
      const bool time = item.key().starts_with("time/") || item.key().starts_with("speed/");
      item = time ? line.erase(item) : std::next(item);
    }
  }
  return lines;
}

// Two finished runs bit by bit: metrics and samples…
inline void expect_same_logs(const TinyRun& run, const TinyRun& expected) {
  EXPECT_EQ(without_times(run.lines("metrics.jsonl")),
            without_times(expected.lines("metrics.jsonl")));
  EXPECT_EQ(run.lines("samples.jsonl"), expected.lines("samples.jsonl"));
}

// …files of a checkpoint…
inline void expect_same_checkpoint(const TinyRun& run, const TinyRun& expected,
                                   const std::string& checkpoint,
                                   const std::vector<std::string>& files = {"model.safetensors",
                                                                            "optimizer.state"}) {
  for (const std::string& file : files) {
    const std::string inside = "checkpoints/" + checkpoint + "/" + file;
    EXPECT_EQ(read_file(run.path(inside)), read_file(expected.path(inside))) << inside;
  }
}

// …and all of it.
inline void expect_same_run(const TinyRun& run, const TinyRun& expected) {
  expect_same_logs(run, expected);
  ASSERT_EQ(run.checkpoints(), expected.checkpoints());
  for (const std::string& name : expected.checkpoints())
    expect_same_checkpoint(run, expected, name, {"model.safetensors", "optimizer.state", "DONE"});
}

}  // namespace treepo
