#include "data/data_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "base/files.h"
#include "data/carry_task.h"
#include "support/assets.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"

namespace treepo {
namespace {

using ::testing::HasSubstr;

TEST(DataSet, AsksTheProblemsOfAFileEpochAfterEpoch) {
  TemporaryDirectory directory;
  DataOptions options;
  options.train = {directory / "train.jsonl"};
  options.test = {directory / "test.jsonl"};
  write_file_atomically(options.train[0],
                        "{\"prompt\":\"a\"}\n{\"prompt\":\"b\"}\n{\"ids\":[4]}\n");
  write_file_atomically(options.test[0],
                        "{\"prompt\":\"c\"}\n{\"prompt\":\"b\"}\n{\"ids\":[4]}\n{\"ids\":[5]}\n");
  const DataSet data = load_data_set(options, {}, {});
  EXPECT_EQ(data.test.size(), 4u);
  EXPECT_EQ(data.test_seen, (std::vector<bool>{false, true, true, false}));
  ASSERT_EQ(data.train->problems().size(), 3u);
  EXPECT_EQ(data.train->epoch_size(), 3);
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

std::vector<LoadedSource> two_sources(std::optional<double> first, std::optional<double> second) {
  std::vector<LoadedSource> sources(2);
  for (size_t s = 0; s < 2; ++s) {
    sources[s].spec.weight = s == 0 ? first : second;
    for (int i = 0; i < (s == 0 ? 6 : 2); ++i) {
      Problem problem;
      problem.id = fmt::format("{}{}", s == 0 ? "a" : "b", i);
      sources[s].problems.push_back(problem);
    }
  }
  return sources;
}

// Whatever was asked before, a position has its problem: a run resumes in the middle of an epoch.
TEST(DataSet, MixturesResumeAtAnyPosition) {
  const auto whole = shuffled_queries(two_sources(1, 1), 5);
  std::vector<std::string> ids;
  for (int64_t position = 0; position < 40; ++position)
    ids.push_back(whole->at(position).problem.id);
  for (const int64_t position : {39, 0, 17, 8, 7, 23})
    EXPECT_EQ(shuffled_queries(two_sources(1, 1), 5)->at(position).problem.id,
              ids[static_cast<size_t>(position)])
        << position;
}

TEST(DataSet, NumbersAndVisitsOfAMixtureNameEachRolloutOnce) {
  const auto queries = shuffled_queries(two_sources(1, 1), 5);
  std::set<std::pair<uint64_t, uint64_t>> met;
  int64_t of_second = 0;
  for (int64_t position = 0; position < 80; ++position) {
    const ProblemVisit visit = queries->at(position);
    EXPECT_TRUE(met.emplace(visit.number, visit.visit).second);
    EXPECT_EQ(queries->problems()[visit.number].id, visit.problem.id);
    of_second += visit.problem.id[0] == 'b' ? 1 : 0;
  }
  EXPECT_EQ(of_second, 40) << "half of the queries, though a quarter of the problems";
}

TEST(DataSet, WithoutWeightsEveryProblemComesOnceInAnEpoch) {
  const auto queries = shuffled_queries(two_sources({}, {}), 5);
  std::set<std::string> ids;
  for (int64_t position = 8; position < 16; ++position)
    ids.insert(queries->at(position).problem.id);
  EXPECT_EQ(ids.size(), 8u);
}

TEST(DataSet, StreamsTheCarryTask) {
  DataOptions options;
  options.kind = "carry";
  options.held_out = 50;
  options.seed = 4;
  const DataSet data = load_data_set(options, {}, {});
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
  EXPECT_THAT(error_of([&] { load_data_set(options, {}, {}); }),
              HasSubstr("data.train names no file"));
  options.kind = "parquet";
  EXPECT_THAT(error_of([&] { load_data_set(options, {}, {}); }),
              HasSubstr("unknown data.kind \"parquet\" | one of files, carry"));
}

// TASK.md beside the digit model: 29 of the 193 distinct test prompts also occur in training.
// Sources a a a b c c: in turn a b c, a c, a.
TEST(DataSet, EverySourceStandsAmongAFewProblems) {
  std::vector<Problem> problems(6);
  for (size_t i = 0; i < 6; ++i) problems[i].source = std::string("aaabcc").substr(i, 1);
  using testing::ElementsAre;
  EXPECT_THAT(first_of_each_source(problems, 0), ElementsAre());
  EXPECT_THAT(first_of_each_source(problems, 2), ElementsAre(0, 3));
  EXPECT_THAT(first_of_each_source(problems, 3), ElementsAre(0, 3, 4));
  EXPECT_THAT(first_of_each_source(problems, 4), ElementsAre(0, 1, 3, 4));
  EXPECT_THAT(first_of_each_source(problems, 5), ElementsAre(0, 1, 3, 4, 5));
  EXPECT_THAT(first_of_each_source(problems, 9), ElementsAre(0, 1, 2, 3, 4, 5));
}

TEST(DataSet, KnowsWhichDigitPromptsTrainingHasSeen) {
  const std::string folder = std::string(TREEPO_ASSETS) + "/models/verl-arith-seq-llama/";
  if (!file_system().exists(folder)) GTEST_SKIP() << no_assets();
  DataOptions options;
  options.train = {folder + "train_qa.jsonl"};
  options.test = {folder + "test_qa.jsonl"};
  const DataSet data = load_data_set(options, {}, {});
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
