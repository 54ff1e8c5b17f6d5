#include "evaluate/evaluation_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "support/expect_error.h"

namespace treepo {
namespace {

using testing::HasSubstr;

std::vector<bool> none_equal(std::span<const std::pair<std::string, std::string>> pairs) {
  return std::vector<bool>(pairs.size(), false);
}

// A problem whose answers are right (r) or wrong (w), of 10 tokens each, half of them shared.
LoggedProblem problem(const std::string& source, const std::string& id, const std::string& answers,
                      bool greedy = false) {
  LoggedProblem made{.source = source, .id = id, .greedy = greedy, .answers = {}};
  for (const char c : answers)
    made.answers.push_back({.text = "",
                            .tokens = 10,
                            .stop = "eos",
                            .finished = c == 'r',
                            .sample = {.score = c == 'r' ? 1.0 : 0.0,
                                       .correct = c == 'r',
                                       .answer = std::string(1, c)},
                            .reason = ""});
  made.unique_tokens = static_cast<int64_t>(5 * answers.size());
  made.seconds = 0.5;
  return made;
}

TEST(EvaluationReport, EachDataSetAndAllTogetherWeighedByProblems) {
  const std::vector<LoggedProblem> problems = {
      problem("small", "1", "rrrr"),    problem("large", "1", "wwww"),
      problem("large", "2", "rwww"),    problem("large", "3", "wwww"),
      problem("small", "1", "r", true), problem("large", "1", "w", true),
      problem("large", "2", "r", true), problem("large", "3", "w", true)};
  const std::vector<EvaluationRow> rows = evaluation_rows(problems, none_equal, 1);
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0].name, "small");
  EXPECT_EQ(rows[2].name, "all");
  EXPECT_DOUBLE_EQ(rows[0].summary.average.mean, 1);
  EXPECT_DOUBLE_EQ(rows[1].summary.average.mean, 1.0 / 12);
  EXPECT_DOUBLE_EQ(rows[2].summary.average.mean, 5.0 / 16);
  EXPECT_DOUBLE_EQ(rows[2].summary.greedy->mean, 0.5);
  EXPECT_DOUBLE_EQ(rows[2].summary.at_k.back().pass.mean, 0.5);
  EXPECT_EQ(rows[1].trajectory_tokens, 3 * 40 + 3 * 10);
  EXPECT_EQ(rows[1].unique_tokens, 3 * 20 + 3 * 5);
  EXPECT_DOUBLE_EQ(rows[1].seconds, 3);
  EXPECT_DOUBLE_EQ(rows[2].finished, 5.0 / 16);
  EXPECT_DOUBLE_EQ(rows[2].mean_tokens, 10);
}

TEST(EvaluationReport, AnswersThatMeanTheSameVoteTogether) {
  LoggedProblem split = problem("a", "1", "wwrrr");
  split.answers[3].sample.answer = "R";
  split.answers[4].sample.answer = "rr";
  const auto majority = [&](const AnswerEquivalence& equivalent) {
    return evaluation_rows(std::vector<LoggedProblem>{split}, equivalent, 3)[0]
        .summary.at_k.back()
        .majority.mean;
  };
  const double apart = majority(none_equal);
  const double together = majority([](std::span<const std::pair<std::string, std::string>> pairs) {
    std::vector<bool> same;
    for (const auto& [a, b] : pairs) same.push_back(a != "w" && b != "w");
    return same;
  });
  EXPECT_LT(apart, 0.55);
  EXPECT_GT(together, 0.6);
}

TEST(EvaluationReport, UnequalCountsAreAnError) {
  const std::vector<LoggedProblem> problems = {problem("a", "1", "rw"), problem("a", "2", "r")};
  EXPECT_THAT(error_of([&] { evaluation_rows(problems, none_equal, 1); }),
              HasSubstr("problem \"2\" has 1 answers, \"1\" has 2"));
  const std::vector<LoggedProblem> half = {problem("a", "1", "rw"), problem("a", "2", "rw"),
                                           problem("a", "1", "r", true)};
  EXPECT_THAT(error_of([&] { evaluation_rows(half, none_equal, 1); }), HasSubstr("greedy one"));
}

TEST(EvaluationReport, TableAndJsonHoldTheNumbers) {
  const std::vector<EvaluationRow> rows = evaluation_rows(
      std::vector<LoggedProblem>{problem("a", "1", "rrww"), problem("a", "1", "r", true)},
      none_equal, 1);
  const std::string table = evaluation_table(rows);
  for (const char* word : {"avg@4", "pass@4", "maj@4", "greedy", "50.0 (", "100.0 (", "decoded"})
    EXPECT_THAT(table, HasSubstr(word));
  const Json json = Json::parse(dump_json(evaluation_json(rows[0])));
  EXPECT_EQ(json["name"], "a");
  EXPECT_DOUBLE_EQ(json["pass@k"]["2"]["mean"].get<double>(), 1 - 1.0 / 6);
  EXPECT_DOUBLE_EQ(json["greedy"]["mean"].get<double>(), 1);
  EXPECT_EQ(json["trajectory_tokens"], 50);
}

}  // namespace
}  // namespace treepo
