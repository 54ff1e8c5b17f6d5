#include "report/model_card.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/files.h"
#include "config/save.h"
#include "report/small_log.h"

namespace treepo {
namespace {

using testing::HasSubstr;
using testing::Not;

// A run with evaluations at steps 0 to `last`, each with its step's value.
void write_run(const SmallRun& run, const RunOptions& options, int64_t last) {
  std::string lines;
  for (int64_t step = 0; step <= last; ++step)
    lines += fmt::format(
        "{{\"step\": {0}, \"reward/mean\": 0.{0:03}, \"sampling/unique_tokens\": 10, "
        "\"time/step\": 2}}\n{{\"step\": {0}, \"eval/pass@1\": 0.{0:03}5, \"eval/greedy\": 0.5}}\n",
        step);
  run.write("metrics.jsonl", lines);
  run.write("config.toml", options_as_toml(options));
}

TEST(ModelCard, HasResultsUpToItsStepOnly) {
  const SmallRun run;
  write_run(run, {}, 5);
  const ModelCard card = model_card(read_run_files(run.path()), 3);
  EXPECT_THAT(card.readme, HasSubstr("| step | success, one sample | success, greedy | tokens | "
                                     "seconds |"));
  EXPECT_THAT(card.readme, HasSubstr("| 3 | 0.0035 | 0.5 | 40 | 8 |"));
  EXPECT_THAT(card.readme, Not(HasSubstr("\n| 4 |")));
  EXPECT_THAT(card.curves, HasSubstr("<svg"));
  EXPECT_THAT(card.readme, HasSubstr("curves.svg"));
}

TEST(ModelCard, ThinsALongTableAndKeepsTheLastRow) {
  const SmallRun run;
  write_run(run, {}, 100);
  const ModelCard card = model_card(read_run_files(run.path()), 100);
  size_t rows = 0;
  for (size_t at = 0; (at = card.readme.find("\n| ", at)) != std::string::npos; ++at) ++rows;
  EXPECT_LE(rows, 13u);
  EXPECT_THAT(card.readme, HasSubstr("| 100 | 0.1005 |"));
}

TEST(ModelCard, FrontMatterAndOptionsTellWhereItCameFrom) {
  RunOptions options;
  options.model.path = "/cache/models--Org--Base-7B/snapshots/abc";
  options.rollout.width = 9;
  options.train.max_steps = 77;
  const SmallRun run;
  write_run(run, options, 1);
  const ModelCard card = model_card(read_run_files(run.path()), 1);
  EXPECT_THAT(card.readme, testing::StartsWith("---\nbase_model: Org/Base-7B\n"
                                               "library_name: transformers\n"));
  EXPECT_THAT(card.readme, HasSubstr("- reinforcement-learning\n"));
  EXPECT_THAT(card.readme, HasSubstr("step 1 of at most 77"));
  EXPECT_THAT(card.readme, HasSubstr("[rollout]\nwidth = 9\n"));
  EXPECT_THAT(card.readme, Not(HasSubstr("branching_factor")));  // the default
}

TEST(ModelCard, OfAnAdapterSaysHowToLoadOne) {
  RunOptions options;
  options.lora.rank = 4;
  const SmallRun run;
  write_run(run, options, 1);
  const ModelCard card = model_card(read_run_files(run.path()), 1);
  EXPECT_THAT(card.readme, HasSubstr("library_name: peft\n"));
  EXPECT_THAT(card.readme, HasSubstr("treepo merge"));
}

TEST(ModelCard, OfARunWithoutEvaluationHasNoTable) {
  const SmallRun run;
  run.write("config.toml", options_as_toml({}));
  const ModelCard card = model_card(read_run_files(run.path()), 0);
  EXPECT_THAT(card.readme, Not(HasSubstr("## Results")));
  EXPECT_EQ(card.curves, "");
}

TEST(ModelCard, WritesBothFilesIntoTheCheckpoint) {
  const SmallRun run;
  write_run(run, {}, 3);
  const TemporaryDirectory checkpoint;
  write_model_card(run.path(), checkpoint.path(), 3);
  EXPECT_THAT(file_system().list(checkpoint.path()),
              testing::ElementsAre("README.md", "curves.svg"));
}

}  // namespace
}  // namespace treepo
