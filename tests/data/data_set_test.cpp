#include "data/data_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "base/files.h"
#include "data/carry_task.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"

namespace treepo {
namespace {

using ::testing::HasSubstr;

TEST(DataSet, AsksTheProblemsOfAFileEpochAfterEpoch) {
  TemporaryDirectory directory;
  DataOptions options;
  options.train = directory / "train.jsonl";
  options.test = directory / "test.jsonl";
  write_file_atomically(options.train, "{\"prompt\":\"a\"}\n{\"prompt\":\"b\"}\n{\"ids\":[4]}\n");
  write_file_atomically(options.test,
                        "{\"prompt\":\"c\"}\n{\"prompt\":\"b\"}\n{\"ids\":[4]}\n{\"ids\":[5]}\n");
  const DataSet data = load_data_set(options);
  EXPECT_EQ(data.test.size(), 4u);
  EXPECT_EQ(data.test_seen, (std::vector<bool>{false, true, true, false}));
  ASSERT_EQ(data.train->problems().size(), 3u);
  for (int64_t epoch = 0; epoch < 3; ++epoch) {
    std::set<std::string> ids;
    for (int64_t offset = 0; offset < 3; ++offset) {
      const ProblemVisit query = data.train->at(3 * epoch + offset);
      EXPECT_EQ(query.visit, static_cast<uint64_t>(epoch));
      EXPECT_EQ(query.problem.id, data.train->problems()[query.number].id);
      ids.insert(query.problem.id);
    }
    EXPECT_EQ(ids.size(), 3u);
  }
}

TEST(DataSet, StreamsTheCarryTask) {
  DataOptions options;
  options.kind = "carry";
  options.held_out = 50;
  options.seed = 4;
  const DataSet data = load_data_set(options);
  EXPECT_TRUE(data.train->problems().empty()) << "endless";
  EXPECT_EQ(data.test.size(), 50u);
  EXPECT_EQ(data.test_seen, std::vector<bool>(50, false));
  const ProblemVisit query = data.train->at(123456);
  EXPECT_EQ(query.problem.prompt, CarryTask(4).training_problem(123456).prompt);
  EXPECT_EQ(query.number, 123456u);
  EXPECT_EQ(query.visit, 0u);
}

TEST(DataSet, NamesWhatIsWrongWithItsOptions) {
  DataOptions options;
  EXPECT_THAT(error_of([&] { load_data_set(options); }), HasSubstr("data.train names no file"));
  options.kind = "parquet";
  EXPECT_THAT(error_of([&] { load_data_set(options); }),
              HasSubstr("unknown data.kind \"parquet\" | one of jsonl, carry"));
}

// TASK.md beside the digit model: 29 of the 193 distinct test prompts also occur in training.
TEST(DataSet, KnowsWhichDigitPromptsTrainingHasSeen) {
  const std::string folder = std::string(TREEPO_ASSETS) + "/models/verl-arith-seq-llama/";
  if (!file_system().exists(folder)) GTEST_SKIP() << "no assets at " << TREEPO_ASSETS;
  DataOptions options;
  options.train = folder + "train_qa.jsonl";
  options.test = folder + "test_qa.jsonl";
  const DataSet data = load_data_set(options);
  EXPECT_EQ(data.train->problems().size(), 800u);
  ASSERT_EQ(data.test.size(), 200u);
  std::set<std::string> distinct, seen;
  for (size_t i = 0; i < data.test.size(); ++i) {
    distinct.insert(data.test[i].prompt);
    if (data.test_seen[i]) seen.insert(data.test[i].prompt);
  }
  EXPECT_EQ(distinct.size(), 193u);
  EXPECT_EQ(seen.size(), 29u);
}

}  // namespace
}  // namespace treepo
