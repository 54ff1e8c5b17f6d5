// An evaluation with a log: the numbers of train/evaluation.h, whatever interrupts it.

#include "train/evaluation_run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/files.h"
#include "base/log.h"
#include "evaluate/evaluation_report.h"
#include "hand_made_verifier.h"
#include "model/tree_step_model.h"
#include "support/expect_error.h"
#include "support/recording_terminal.h"
#include "tiny_model.h"
#include "train/evaluation.h"

namespace treepo {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

// Even first characters are right; the answer is the first character.
Verdict by_first_character(const Response& response, size_t) {
  if (response.text.empty()) return verdict(0);
  Verdict said = verdict(0.5, response.text[0] % 2 == 0);
  said.answer = std::string(1, response.text[0]);
  return said;
}

class EvaluationRunTest : public testing::Test {
 protected:
  EvaluationRunTest() {
    options_.rollout = {.width = 3, .depth = 3, .segment_tokens = 4};
    options_.evaluate = {.samples = 4, .temperature = 0.8};
    options_.engine.max_rows = 4;  // chunks of 16 problems
    options_.train.seed = 7;
    std::vector<Problem> problems;
    for (int i = 0; i < 40; ++i) {
      const std::string prompt = fmt::format("{}+{}=", i / 9 + 1, i % 9 + 1);
      problems.push_back(problem_of(fmt::format("{}", i), prompt));
      problems.back().source = i < 12 ? "easy" : "hard";
    }
    queries_ = make_training_queries(problems, model_.tokenizer);
  }

  std::optional<std::vector<LoggedProblem>> run(bool trees, const std::string& log,
                                                int stop_after = -1) {
    TreeStepModel step_model(model_.decoder);
    return run_evaluation(step_model, options_, trees, queries_, model_.text, verifier_,
                          directory_ / log, [&] { return stop_after-- == 0; });
  }
  void expect_to_go_on(bool trees) {
    const auto undisturbed = run(trees, "log");
    EXPECT_FALSE(run(trees, "other", 1));  // after one chunk
    const std::string path = directory_ / "other";
    const std::string begun = read_file(path);
    EXPECT_EQ(std::ranges::count(begun, '\n'), 16);
    write_file_atomically(path, begun.substr(0, begun.size() - 40));
    const auto resumed = run(trees, "other");
    ASSERT_TRUE(resumed);
    EXPECT_EQ(texts(*resumed), texts(*undisturbed));
    EXPECT_EQ(std::ranges::count(read_file(path), '\n'), 80);
    const std::string finished = read_file(path);
    EXPECT_EQ(texts(run(trees, "other").value()), texts(*undisturbed));
    EXPECT_EQ(read_file(path), finished);  // nothing was asked again
  }
  std::vector<EvaluationRow> rows(const std::vector<LoggedProblem>& problems) {
    return evaluation_rows(problems, equivalence_of(verifier_), 7);
  }
  static std::vector<std::string> texts(const std::vector<LoggedProblem>& problems) {
    std::vector<std::string> all;
    for (const LoggedProblem& problem : problems)
      for (const LoggedAnswer& answer : problem.answers)
        all.push_back(fmt::format("{} {} {} {}", problem.source, problem.id, answer.stop,
                                  dump_json(Json(answer.text))));
    return all;
  }

  TinyModel model_{3};
  RunOptions options_;
  std::vector<TrainingQuery> queries_;
  HandMadeVerifier verifier_{by_first_character};
  TemporaryDirectory directory_;
};

TEST_F(EvaluationRunTest, GivesTheNumbersOfATrainingRunsEvaluation) {
  const auto problems = run(false, "log");
  ASSERT_TRUE(problems);
  const std::vector<EvaluationRow> found = rows(*problems);
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[0].summary.num_problems, 12);
  EXPECT_EQ(found[1].name, "hard");
  TreeStepModel step_model(model_.decoder);
  const EvaluationResult direct = evaluate(step_model, options_, queries_, model_.text, verifier_);
  EXPECT_DOUBLE_EQ(found[2].summary.average.mean, direct.summary.average.mean);
  EXPECT_DOUBLE_EQ(found[2].summary.average.low, direct.summary.average.low);
  EXPECT_DOUBLE_EQ(found[2].summary.at_k.back().majority.mean,
                   direct.summary.at_k.back().majority.mean);
  EXPECT_DOUBLE_EQ(found[2].summary.greedy->mean, direct.summary.greedy->mean);
  EXPECT_DOUBLE_EQ(found[2].mean_tokens, direct.mean_tokens);
  EXPECT_DOUBLE_EQ(found[2].finished, direct.finished);
  EXPECT_EQ(found[2].unique_tokens, found[2].trajectory_tokens);  // nothing is shared
}

TEST_F(EvaluationRunTest, GoesOnAfterAnInterruptAndAHalfWrittenLine) {
  expect_to_go_on(false);
}

// A tree's share of the tokens depends on the number of trees beside it.
TEST_F(EvaluationRunTest, GoesOnWithTheSameTreesWhereTheyShareABudget) {
  options_.rollout.budget = BudgetPolicy::tokens_per_step;
  options_.rollout.tokens_per_step = 16 * 2 * options_.rollout.segment_tokens;
  expect_to_go_on(true);
}

// What was answered before has taken no time, and tells nothing of the time that is left.
TEST_F(EvaluationRunTest, TimeLeftCountsOnlyWhatIsAnsweredSince) {
  run(false, "log", 1);
  RecordingTerminal screen(true);
  const ScopedTerminal scope(screen.terminal());
  set_log_level(LogLevel::info);
  run(false, "log");
  set_log_level(LogLevel::warning);
  const std::string& written = screen.written();
  const size_t begin = written.find("16/40");
  ASSERT_NE(begin, std::string::npos);
  EXPECT_THAT(written.substr(begin, written.find('\r', begin) - begin), Not(HasSubstr("left")));
}

TEST_F(EvaluationRunTest, TreesShareTokensAndHaveAsManyAnswers) {
  const std::vector<EvaluationRow> found = rows(run(true, "log").value());
  EXPECT_EQ(found[2].summary.num_samples, 4);
  EXPECT_LT(found[2].unique_tokens, found[2].trajectory_tokens);
  EXPECT_EQ(found[2].summary.greedy->mean, rows(run(false, "b").value())[2].summary.greedy->mean);
}

TEST_F(EvaluationRunTest, TreesWithTooFewAnswersAreAnError) {
  options_.rollout.fallback = FallbackPolicy::none;
  options_.rollout.first_split_min = options_.rollout.first_split_max = 1;
  options_.rollout.depth = 1;
  EXPECT_THAT(error_of([&] { run(true, "log"); }), HasSubstr("answers, not 4"));
}

TEST_F(EvaluationRunTest, ALogOfOtherProblemsIsAnError) {
  run(false, "log");
  queries_.pop_back();
  EXPECT_THAT(error_of([&] { run(false, "log"); }), HasSubstr("problems that are not asked"));
  const std::string path = directory_ / "log", text = read_file(path);
  write_file_atomically(path, text + text.substr(0, text.find('\n') + 1));
  EXPECT_THAT(error_of([&] { run(false, "log"); }),
              AllOf(HasSubstr("line 81"), HasSubstr("answered above")));
}

}  // namespace
}  // namespace treepo
