#include "train/sft.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "config/load.h"
#include "config/validate.h"
#include "dense_forward.h"
#include "support/expect_error.h"
#include "support/faulty_file_system.h"
#include "support/recording_terminal.h"
#include "support/temporary_directory.h"
#include "tiny_model.h"

namespace treepo {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr int64_t kTrainExamples = 7, kTestExamples = 4;

// Demonstrations of the carry task as a file; a run that learns them in milliseconds.
class TinySft {
 public:
  TinySft() {
    write("train.jsonl", 0, kTrainExamples);
    write("test.jsonl", 100, kTestExamples);
    options.model.path = model.directory.path();
    options.model.dtype = "float64";
    options.sft = {
        .train = {directory / "train.jsonl"}, .test = {directory / "test.jsonl"}, .batch = 3};
    options.optimizer = {.learning_rate = 1e-2, .warmup_steps = 1, .schedule = "cosine"};
    options.train.max_steps = 5;
    options.train.run_dir = directory / "run";
    options.train.threads = 1;
    options.train.checkpoint_every = 2;
    options.evaluate.every = 3;
  }

  static std::vector<std::pair<std::string, std::string>> texts(int64_t first, int64_t count) {
    const CarryTask task(5);
    std::vector<std::pair<std::string, std::string>> all;
    for (int64_t i = first; i < first + count; ++i) {
      const Problem problem = task.training_problem(i);
      all.emplace_back(problem.prompt, task.demonstration(problem, i, 0));
    }
    return all;
  }

  std::string path(const std::string& name) const { return join_path(options.train.run_dir, name); }

  SftSummary train(
      RunStart start = RunStart::fresh,
      const std::function<bool()>& stop = [] { return false; }) const {
    validate_for_sft(options);
    return SftTrainer(options, start).run({.stop_requested = stop});
  }
  SftSummary resume() const {
    return SftTrainer(load_options(path("config.toml"), {}), RunStart::resume).run({});
  }

  std::vector<Json> metrics() const {
    std::vector<Json> all;
    JsonLineReader reader(path("metrics.jsonl"));
    for (Json line; reader.next(line);) {
      for (auto item = line.begin(); item != line.end();) {
        const bool time = item.key().starts_with("time/") || item.key().starts_with("speed/");
        item = time ? line.erase(item) : std::next(item);
      }
      all.push_back(line);
    }
    return all;
  }

  TemporaryDirectory directory;
  TinyModel model;
  RunOptions options;

 private:
  void write(const std::string& name, int64_t first, int64_t count) const {
    std::string text;
    for (const auto& [prompt, response] : texts(first, count))
      text += dump_json(Json{{"prompt", prompt}, {"response", response}}) + "\n";
    write_file_atomically(directory / name, text);
  }
};

// Loss and token accuracy of examples, each run alone with a dense mask.
SupervisedScore direct_score(const TinyModel& model,
                             const std::vector<std::pair<std::string, std::string>>& texts) {
  SupervisedScore score;
  for (const auto& [prompt, response] : texts) {
    std::vector<int32_t> path = model.encode(prompt);
    const size_t first = path.size();
    for (const int32_t token : model.encode(response)) path.push_back(token);
    path.push_back(kCarryEosId);
    const at::Tensor logits = dense_logits(model.decoder, path);
    for (size_t t = first; t < path.size(); ++t) {
      const at::Tensor row = logits[static_cast<int64_t>(t) - 1];
      score.loss -= row.log_softmax(-1)[path[t]].item<double>();
      score.token_accuracy += row.argmax().item<int64_t>() == path[t];
      ++score.tokens;
    }
  }
  score.loss /= static_cast<double>(score.tokens);
  score.token_accuracy /= static_cast<double>(score.tokens);
  return score;
}

TEST(Sft, FirstLossAndEvaluationAreThoseOfTheExamples) {
  const TinySft run;
  const SftSummary summary = run.train();
  const SupervisedScore test = direct_score(run.model, TinySft::texts(100, kTestExamples));
  EXPECT_NEAR(summary.state.first_loss, test.loss, 1e-9);
  EXPECT_NEAR(summary.state.first_token_accuracy, test.token_accuracy, 1e-12);

  QueryOrder order(kTrainExamples, 1);  // train.seed
  const auto all = TinySft::texts(0, kTrainExamples);
  std::vector<std::pair<std::string, std::string>> batch;
  for (int64_t i = 0; i < 3; ++i) batch.push_back(all[static_cast<size_t>(order.at(i).query)]);
  const SupervisedScore first = direct_score(run.model, batch);
  const std::vector<Json> lines = run.metrics();
  EXPECT_EQ(lines[0].at("eval/loss"), summary.state.first_loss);
  EXPECT_EQ(lines[0].at("eval/response_tokens"), test.tokens);
  EXPECT_EQ(lines[1].at("step"), 1);
  EXPECT_NEAR(lines[1].at("loss").get<double>(), first.loss, 1e-9);
  EXPECT_EQ(lines[1].at("update/response_tokens"), first.tokens);
}

TEST(Sft, LearnsTheExamplesAndKeepsTheBest) {
  TinySft run;
  run.options.sft.test = run.options.sft.train;
  run.options.train.max_steps = 60;
  run.options.evaluate.every = 20;
  const SftSummary summary = run.train();
  EXPECT_LT(summary.last->loss, 0.5 * summary.state.first_loss);
  EXPECT_GT(summary.last->token_accuracy, summary.state.first_token_accuracy);
  double best = std::numeric_limits<double>::infinity();
  int64_t best_step = -1;
  for (const Json& line : run.metrics())
    if (line.contains("eval/loss") && line.at("eval/loss") < best) {
      best = line.at("eval/loss");
      best_step = line.at("step");
    }
  EXPECT_EQ(summary.state.best_step, best_step);
  EXPECT_EQ(-summary.state.best_score, best);
  const Decoder trained = Decoder::load(run.path("checkpoints/best"), at::kCPU, at::kDouble);
  EXPECT_FALSE(trained.parameters().values().equal(run.model.decoder.parameters().values()));
}

// Packs of any size, and layers run again, give the same losses.
TEST(Sft, PackingChangesNothing) {
  std::vector<Json> expected;
  for (const int64_t max_tokens : {100000, 60, 1}) {
    TinySft run;
    run.options.update.max_tokens = max_tokens;
    run.options.update.checkpoint_layers = max_tokens == 60;
    run.train();
    const std::vector<Json> found = run.metrics();
    if (expected.empty()) expected = found;
    ASSERT_EQ(found.size(), expected.size());
    for (size_t i = 0; i < found.size(); ++i) {
      for (const char* key : {"loss", "eval/loss", "grad_norm"}) {
        if (!expected[i].contains(key)) continue;
        EXPECT_NEAR(found[i].at(key).get<double>(), expected[i].at(key).get<double>(), 1e-8);
      }
    }
  }
}

void expect_same(const TinySft& run, const TinySft& expected) {
  EXPECT_EQ(run.metrics(), expected.metrics());
  for (const std::string file : {"model.safetensors", "optimizer.state"}) {
    const std::string last = "checkpoints/step-000005/" + file;
    EXPECT_EQ(read_file(run.path(last)), read_file(expected.path(last))) << file;
  }
}

TEST(Sft, GoesOnBitByBitAfterAnInterrupt) {
  for (const std::string dtype : {"float64", "bfloat16", "float16"}) {
    TinySft whole;
    whole.options.model.dtype = dtype;
    const TrainState expected = whole.train().state;
    for (const int64_t steps : {1, 3}) {
      SCOPED_TRACE(fmt::format("{} {}", dtype, steps));
      TinySft run;
      run.options.model.dtype = dtype;
      int64_t left = steps;
      const SftSummary summary = run.train(RunStart::fresh, [&] { return --left == 0; });
      EXPECT_TRUE(summary.interrupted);
      EXPECT_EQ(summary.state.step, steps);
      const TrainState found = run.resume().state;
      EXPECT_EQ(found.step, 5);
      EXPECT_EQ(found.first_loss, expected.first_loss);
      EXPECT_EQ(found.first_token_accuracy, expected.first_token_accuracy);
      expect_same(run, whole);
    }
  }
}

TEST(Sft, GoesOnBitByBitAfterAKillAtAnyCall) {
  const TinySft whole;
  FaultyFileSystem counting;
  {
    const ScopedFileSystem scope(counting);
    whole.train();
  }
  for (int64_t call = 1; call <= counting.num_calls(); call += counting.num_calls() / 9) {
    SCOPED_TRACE(fmt::format("killed at call {} of {}", call, counting.num_calls()));
    const TinySft run;
    FaultyFileSystem faulty;
    faulty.kill_at(call);
    faulty.lose_unsynced_at_kill();
    {
      const ScopedFileSystem scope(faulty);
      EXPECT_THROW(run.train(), SimulatedKill);
    }
    if (posix_file_system().exists(run.path("config.toml")))
      run.resume();
    else
      run.train();
    expect_same(run, whole);
  }
}

TEST(Sft, EpochsEndARun) {
  TinySft run;
  run.options.train.epochs = 1.5;  // 10.5 of 7 examples: 4 batches of 3
  EXPECT_EQ(run.train().state.step, 4);
  const std::vector<Json> lines = run.metrics();  // the last is that of an evaluation
  EXPECT_NEAR(lines[lines.size() - 2].at("epoch").get<double>(), 12.0 / 7, 1e-12);
}

TEST(Sft, LeavesOutWhatIsTooLong) {
  TinySft run;
  size_t shortest = 1000, longest = 0;
  for (const auto& [prompt, response] : TinySft::texts(0, kTrainExamples)) {
    const size_t tokens = run.model.encode(prompt + response).size() + 1;
    shortest = std::min(shortest, tokens);
    longest = std::max(longest, tokens);
  }
  ASSERT_LT(shortest, longest);
  run.options.sft.test.clear();
  run.options.sft.max_tokens = static_cast<int64_t>(longest) - 1;
  run.options.train.epochs = 1;
  EXPECT_LE(run.train().state.step, 2);  // six examples at most, of three a batch

  TinySft none;
  none.options.sft.max_tokens = static_cast<int64_t>(shortest) - 1;
  EXPECT_THAT(error_of([&] { none.train(); }), HasSubstr("sft.max_tokens"));
}

// Two lines that are no JSON and no example, and one beyond the context, among the seven good ones.
TEST(Sft, BadRowsAreAnErrorOrLeftOut) {
  TinySft run;
  const std::string path = run.options.sft.train.at(0);
  const std::string too_long =
      dump_json(Json{{"prompt", "1+1="}, {"response", std::string(200, '2')}});
  write_file_atomically(path,
                        read_file(path) + "{\"prompt\": \n{\"prompt\": 1}\n" + too_long + "\n");
  EXPECT_THAT(error_of([&] { run.train(); }),
              AllOf(HasSubstr("train.jsonl, line 8"), HasSubstr("data.bad_rows")));
  run.options.data.bad_rows = "skip";
  run.options.train.epochs = 1;
  EXPECT_EQ(run.train().state.step, 3);  // seven examples, three a batch

  TinySft untouched;
  untouched.options.train.epochs = 1;
  untouched.train();
  EXPECT_EQ(run.metrics(), untouched.metrics());
}

TEST(Sft, WhatCannotBeLearnedIsNamed) {
  {
    TinySft run;
    write_file_atomically(run.options.sft.train.at(0),
                          dump_json(Json{{"prompt", "1+1="}, {"response", std::string(200, '2')}}));
    EXPECT_THAT(error_of([&] { run.train(); }),
                AllOf(HasSubstr("train.jsonl, line 1"), HasSubstr("the model's context 128"),
                      HasSubstr("sft.max_tokens = 128")));
    EXPECT_FALSE(posix_file_system().exists(run.options.train.run_dir));
  }
  {
    TinySft run;
    run.options.sft.train.clear();
    EXPECT_THAT(error_of([&] { run.train(); }), HasSubstr("sft.train is empty"));
  }
  {
    TinySft run;
    run.options.warm_start.steps = 5;
    EXPECT_THAT(error_of([&] { run.train(); }), HasSubstr("warm_start.steps = 0"));
  }
  {
    TinySft run;
    run.options.optimizer.learning_rate = 1e300;
    run.options.train.max_steps = 20;
    EXPECT_THAT(error_of([&] { run.train(); }),
                AllOf(HasSubstr("10 updates in a row had a gradient that is not finite"),
                      HasSubstr("a lower optimizer.learning_rate,")));
  }
}

// A model that makes nothing finite of a text with "/" in it.
void poison(const TinySft& run) {
  ModelConfig config = run.model.decoder.config();
  config.tie_embeddings = false;
  config.config_json["tie_word_embeddings"] = false;
  const Decoder decoder = Decoder::random(config, 1, at::kCPU, at::kDouble);
  for (const auto& [name, tensor] : decoder.parameters().named_tensors()) {
    if (name.find("embed_tokens") == std::string::npos) continue;
    at::Tensor row = tensor[run.model.encode("/").back()];
    row.fill_(std::numeric_limits<double>::quiet_NaN());
  }
  decoder.save(run.model.directory.path(), at::kDouble);
}

const std::string kPoisoned =
    dump_json(Json{{"prompt", "8/2="}, {"response", "4"}}) + "\n";  // a line of its own

TEST(Sft, AnUpdateWhoseGradientIsNotFiniteIsSkipped) {
  TinySft run;
  const std::string path = run.options.sft.train.at(0);
  write_file_atomically(path, read_file(path) + kPoisoned);
  poison(run);
  RecordingTerminal screen(false);
  TrainState state;
  {
    const ScopedTerminal scope(screen.terminal());
    state = run.train().state;
  }
  EXPECT_EQ(state.step, 5);
  EXPECT_THAT(screen.written(), AllOf(HasSubstr("an update was skipped: its gradient's norm is nan "
                                                "(examples: "),
                                      HasSubstr("train.jsonl, line 8")));
  QueryOrder order(kTrainExamples + 1, 1);  // train.seed
  int64_t skipped = 0;
  for (const Json& line : run.metrics()) {
    if (line.contains("eval/loss")) {
      EXPECT_TRUE(line.at("eval/loss").is_number());
    }
    if (!line.contains("learning_rate")) continue;
    const int64_t end = 3 * line.at("step").get<int64_t>();
    bool poisoned = false;
    for (int64_t i = end - 3; i < end; ++i) poisoned |= order.at(i).query == kTrainExamples;
    EXPECT_EQ(line.at("update/skipped"), poisoned ? 1 : 0);
    EXPECT_EQ(line.contains("loss"), !poisoned);
    EXPECT_EQ(line.contains("grad_norm"), !poisoned);
    skipped += poisoned;
  }
  EXPECT_GT(skipped, 0);
  EXPECT_EQ(state.skipped.total, skipped);
}

TEST(Sft, SkippedUpdatesInARowEndTheRun) {
  TinySft run;
  write_file_atomically(run.options.sft.train.at(0), kPoisoned);
  poison(run);
  run.options.train.max_skipped_updates = 3;
  run.options.train.keep_checkpoints = 9;
  EXPECT_THAT(error_of([&] { run.train(); }),
              AllOf(HasSubstr("step 3: 3 updates in a row had a gradient that is not finite"),
                    HasSubstr(run.path("checkpoints/step-000003")),
                    HasSubstr("goes on with the next examples")));
  EXPECT_EQ(read_file(run.path("checkpoints/step-000003/model.safetensors")),
            read_file(run.path("checkpoints/step-000000/model.safetensors")));
  EXPECT_EQ(run.resume().state.skipped.total, 5);  // two steps are left
}

// Before anything of the model is read.
TEST(Sft, TheFolderOfARunIsNotTakenForAnother) {
  TinySft run;
  run.train();
  run.options.model.path = run.directory / "no such model";
  EXPECT_THAT(error_of([&] { run.train(); }),
              AllOf(HasSubstr("holds a run already"),
                    HasSubstr("treepo sft --resume " + run.options.train.run_dir + ";")));
}

TEST(Sft, OptionsWithoutEffectAreNamed) {
  const auto warnings_of = [](const TinySft& run) {
    RecordingTerminal screen(false);
    const ScopedTerminal scope(screen.terminal());
    run.train();
    return screen.written();
  };
  TinySft run;
  EXPECT_EQ(warnings_of(run).find("does not read"), std::string::npos);
  TinySft other;
  other.options.evaluate.samples = 9;
  other.options.update.packed = false;
  EXPECT_THAT(warnings_of(other),
              HasSubstr("supervised training does not read update.packed, evaluate.samples\n"));
  EXPECT_EQ(other.metrics(), run.metrics());
}

}  // namespace
}  // namespace treepo
