#include "train/evaluation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "dense_forward.h"
#include "hand_made_verifier.h"
#include "model/tree_step_model.h"
#include "rollout/reference_rollout.h"
#include "tiny_model.h"

namespace treepo {
namespace {

// The first character decides: digits score by their value, even ones are right; the answer is the
// first character.
Verdict by_first_character(const Response& response, size_t) {
  if (response.text.empty()) return verdict(-1);
  const char first = response.text[0];
  const bool digit = first >= '0' && first <= '9';
  Verdict said = verdict(digit ? (first - '0') / 9.0 : 0.0, digit && (first - '0') % 2 == 0);
  said.answer = std::string(1, first);
  return said;
}

// Calls digits of one parity the same answer.
class ParityVerifier : public HandMadeVerifier {
 public:
  ParityVerifier() : HandMadeVerifier(by_first_character) {}
  std::vector<bool> equivalent(std::span<const AnswerPair> pairs) override {
    std::vector<bool> same;
    for (const auto& [a, b] : pairs) same.push_back(a[0] % 2 == b[0] % 2);
    return same;
  }
};

struct Evaluated {
  Evaluated() {
    options.rollout = {.width = 9, .depth = 3, .segment_tokens = 4};  // the width is training's
    options.evaluate = {.samples = 5, .temperature = 0.8, .top_p = 0.9};
    options.train.seed = 7;
    std::vector<Problem> problems;
    for (const std::string prompt : {"1+2=", "3*", "9-4:", "7", "5+5=", "8/2="})
      problems.push_back(problem_of(prompt, prompt));
    queries = make_training_queries(problems, model.tokenizer);
  }

  EvaluationResult run() {
    TreeStepModel step_model(model.decoder);
    return evaluate(step_model, options, queries, model.text, verifier);
  }

  // Verdicts of the answers to query i, from dense forward passes, one token after the other.
  std::vector<Verdict> direct(const TrainingQuery& query, int64_t samples,
                              const SamplingOptions& sampling) {
    const RolloutSettings settings{.growth = {.width = samples,
                                              .depth = 3,
                                              .segment_tokens = 4,
                                              .sequential = true,
                                              .fallback = FallbackPolicy::none},
                                   .sampling = sampling,
                                   .eos_ids = {kCarryEosId},
                                   .seed = 7,
                                   .purpose = Purpose::evaluate};
    const SearchTree tree = reference_rollout(
        {.id = query.id, .prompt = query.prompt}, settings,
        [&](const std::vector<int32_t>& path) { return next_logits(model.decoder, path); }, {});
    std::vector<Verdict> verdicts;
    for (const int32_t leaf : tree.leaves()) {
      std::vector<int32_t> response = tree.response(leaf);
      tokens += static_cast<double>(response.size());
      finished += response.back() == kCarryEosId;
      if (response.back() == kCarryEosId) response.pop_back();
      const std::string text = model.tokenizer.decode(response, false);
      verdicts.push_back(by_first_character({.problem = &query.problem, .text = text}, 0));
    }
    return verdicts;
  }

  TinyModel model{3};
  RunOptions options;
  std::vector<TrainingQuery> queries;
  HandMadeVerifier verifier{by_first_character};
  double tokens = 0, finished = 0;  // sums over the answers of direct()
};

double share_right(const std::vector<Verdict>& verdicts) {
  return static_cast<double>(std::ranges::count_if(verdicts, &Verdict::correct)) /
         static_cast<double>(verdicts.size());
}

double mean_score_of(const std::vector<Verdict>& verdicts) {
  double sum = 0;
  for (const Verdict& said : verdicts) sum += said.score;
  return sum / static_cast<double>(verdicts.size());
}

TEST(Evaluation, EqualsADirectComputation) {
  Evaluated evaluated;
  const EvaluationResult result = evaluated.run();
  double score = 0, right = 0, any_of_two = 0, any = 0, greedy = 0;
  for (const TrainingQuery& query : evaluated.queries) {
    const std::vector<Verdict> verdicts =
        evaluated.direct(query, 5, {.temperature = 0.8, .top_p = 0.9});
    ASSERT_EQ(verdicts.size(), 5u);
    score += mean_score_of(verdicts) / 6;
    right += share_right(verdicts) / 6;
    any += (share_right(verdicts) > 0 ? 1.0 : 0.0) / 6;
    int64_t pairs = 0, pairs_with_right = 0;
    for (size_t i = 0; i < 5; ++i) {
      for (size_t j = i + 1; j < 5; ++j, ++pairs)
        pairs_with_right += verdicts[i].correct || verdicts[j].correct;
    }
    any_of_two += static_cast<double>(pairs_with_right) / static_cast<double>(pairs) / 6;
  }
  const double tokens = evaluated.tokens / 30, finished = evaluated.finished / 30;
  for (const TrainingQuery& query : evaluated.queries)
    greedy += share_right(evaluated.direct(query, 1, {.temperature = 0})) / 6;

  const EvaluationSummary& summary = result.summary;
  EXPECT_EQ(summary.num_problems, 6);
  EXPECT_EQ(summary.num_samples, 5);
  EXPECT_NEAR(summary.score.mean, score, 1e-12);
  EXPECT_NEAR(result.headline(), score, 1e-12);
  EXPECT_NEAR(summary.average.mean, right, 1e-12);
  ASSERT_EQ(summary.at_k.size(), 4u);  // 1, 2, 4, 5
  EXPECT_NEAR(summary.at_k[1].pass.mean, any_of_two, 1e-12);
  EXPECT_NEAR(summary.at_k[3].pass.mean, any, 1e-12);
  EXPECT_NEAR(summary.greedy.value().mean, greedy, 1e-12);
  EXPECT_NEAR(result.mean_tokens, tokens, 1e-12);
  EXPECT_NEAR(result.finished, finished, 1e-12);
  EXPECT_FALSE(result.unseen);
  EXPECT_GT(result.seconds, 0);
  // The case is one that could go wrong.
  EXPECT_GT(right, 0);
  EXPECT_LT(right, any_of_two);
  EXPECT_GT(finished, 0);
  EXPECT_LT(finished, 1);
}

TEST(Evaluation, GreedyIsTheLikeliestTokenEachTime) {
  Evaluated evaluated;
  evaluated.options.evaluate.samples = 0;
  std::map<std::string, std::string> answers;
  evaluated.verifier = HandMadeVerifier([&](const Response& response, size_t index) {
    answers[response.problem->id] = response.text;
    return by_first_character(response, index);
  });
  const EvaluationResult result = evaluated.run();
  double right = 0, score = 0;
  for (const TrainingQuery& query : evaluated.queries) {
    std::vector<int32_t> path = query.prompt;
    while (path.size() < query.prompt.size() + 12 && path.back() != kCarryEosId) {
      const std::vector<double> logits = next_logits(evaluated.model.decoder, path);
      path.push_back(static_cast<int32_t>(std::ranges::max_element(logits) - logits.begin()));
    }
    path.erase(path.begin(), path.begin() + std::ssize(query.prompt));
    if (path.back() == kCarryEosId) path.pop_back();
    const std::string text = evaluated.model.tokenizer.decode(path, false);
    EXPECT_EQ(answers.at(query.problem.id), text);
    const Verdict said = by_first_character({.problem = &query.problem, .text = text}, 0);
    right += said.correct / 6.0;
    score += said.score / 6;
  }
  // Without samples the greedy answers stand for them.
  EXPECT_EQ(result.summary.num_samples, 1);
  EXPECT_NEAR(result.summary.greedy.value().mean, right, 1e-12);
  EXPECT_NEAR(result.summary.average.mean, right, 1e-12);
  EXPECT_NEAR(result.headline(), score, 1e-12);
}

TEST(Evaluation, ProblemsThatOccurInTrainingAreToldApart) {
  Evaluated evaluated;
  for (const size_t seen : {0, 2, 3}) evaluated.queries[seen].seen_in_training = true;
  const EvaluationResult result = evaluated.run();
  double score = 0, right = 0, greedy = 0;
  for (const TrainingQuery& query : evaluated.queries) {
    if (query.seen_in_training) continue;
    const std::vector<Verdict> verdicts =
        evaluated.direct(query, 5, {.temperature = 0.8, .top_p = 0.9});
    score += mean_score_of(verdicts) / 3;
    right += share_right(verdicts) / 3;
    greedy += share_right(evaluated.direct(query, 1, {.temperature = 0})) / 3;
  }
  EXPECT_EQ(result.summary.num_problems, 6);
  const EvaluationSummary& unseen = result.unseen.value();
  EXPECT_EQ(unseen.num_problems, 3);
  EXPECT_NEAR(unseen.score.mean, score, 1e-12);
  EXPECT_NEAR(unseen.average.mean, right, 1e-12);
  EXPECT_NEAR(unseen.greedy.value().mean, greedy, 1e-12);
  EXPECT_NE(unseen.score.mean, result.summary.score.mean);

  Metrics metrics;
  result.add_to(metrics);
  std::map<std::string, Metrics::Value> values(metrics.values().begin(), metrics.values().end());
  EXPECT_EQ(std::get<int64_t>(values.at("eval/problems")), 6);
  EXPECT_EQ(std::get<int64_t>(values.at("eval/unseen/problems")), 3);
  EXPECT_EQ(std::get<double>(values.at("eval/unseen/score")), unseen.score.mean);
  EXPECT_EQ(std::get<double>(values.at("eval/unseen/pass@1")), unseen.average.mean);
  EXPECT_EQ(std::get<double>(values.at("eval/unseen/greedy")), unseen.greedy->mean);
  EXPECT_EQ(std::get<double>(values.at("eval/score")), result.summary.score.mean);
  EXPECT_TRUE(values.contains("eval/unseen/pass@2"));

  for (TrainingQuery& query : evaluated.queries) query.seen_in_training = true;
  EXPECT_FALSE(evaluated.run().unseen);
}

TEST(Evaluation, GivesTheSameNumbersForTheSameWeights) {
  Evaluated evaluated;
  const EvaluationResult first = evaluated.run();
  evaluated.options.engine = {.max_rows = 3, .page_tokens = 2};
  const EvaluationResult second = evaluated.run();
  EXPECT_EQ(first.summary.score.mean, second.summary.score.mean);
  EXPECT_EQ(first.summary.score.low, second.summary.score.low);
  EXPECT_EQ(first.summary.greedy->mean, second.summary.greedy->mean);
  evaluated.options.train.seed = 8;
  EXPECT_NE(evaluated.run().summary.score.mean, first.summary.score.mean);
}

// What training does to grow trees must not touch evaluation: every answer counts, however short.
TEST(Evaluation, IgnoresTheGrowthOfTraining) {
  Evaluated evaluated;
  const EvaluationResult plain = evaluated.run();
  evaluated.options.rollout.width = 3;
  evaluated.options.rollout.branching_factor = 3;
  evaluated.options.rollout.fallback_window = 2;
  evaluated.options.stop.min_response_tokens = 5;
  evaluated.options.sampling = {.temperature = 0.1, .top_k = 1};
  const EvaluationResult other = evaluated.run();
  EXPECT_EQ(other.summary.num_samples, 5);
  EXPECT_EQ(other.summary.score.mean, plain.summary.score.mean);
  EXPECT_EQ(other.mean_tokens, plain.mean_tokens);
}

TEST(Evaluation, WithoutGreedy) {
  Evaluated evaluated;
  evaluated.options.evaluate.greedy = false;
  evaluated.queries[0].seen_in_training = true;
  const EvaluationResult result = evaluated.run();
  EXPECT_FALSE(result.summary.greedy);
  EXPECT_FALSE(result.unseen.value().greedy);
  Metrics metrics;
  result.add_to(metrics);
  for (const auto& [name, value] : metrics.values())
    EXPECT_EQ(name.find("greedy"), std::string::npos);
}

SearchTree tree_of(const TinyModel& model, const std::vector<std::string>& responses) {
  SearchTree tree(model.encode("1+1="), 4);
  for (const std::string& response : responses) {
    const int32_t leaf = tree.add_child(0);
    for (const int32_t token : model.encode(response)) tree.append(leaf, token, -1, 1);
    tree.stop(leaf, StopReason::length);
  }
  return tree;
}

// Among 2, 4, 8, 7, 7 the most frequent text is 7, which is wrong; where digits of one parity are
// one answer it is an even one. Of 1, 3, 8 each is as frequent as the others, or the odd ones win.
TEST(TreeAccuracy, VotesAreCountedAsEvaluationCountsThem) {
  Evaluated e;
  const std::vector<TrainingQuery> queries(e.queries.begin(), e.queries.begin() + 2);
  const auto accuracy = [&](Verifier& verifier) {
    std::vector<SearchTree> trees;
    trees.push_back(tree_of(e.model, {"2", "4", "8", "7", "7"}));
    trees.push_back(tree_of(e.model, {"1", "3", "8"}));
    return tree_accuracy(queries, std::move(trees), e.options, e.model.text, verifier);
  };
  ParityVerifier parity;
  const SamplingAccuracy apart = accuracy(e.verifier), together = accuracy(parity);
  EXPECT_DOUBLE_EQ(apart.average.mean, (3.0 / 5 + 1.0 / 3) / 2);
  EXPECT_DOUBLE_EQ(together.average.mean, apart.average.mean);
  EXPECT_DOUBLE_EQ(apart.majority.mean, (0 + 1.0 / 3) / 2);
  EXPECT_DOUBLE_EQ(together.majority.mean, (1 + 0) / 2.0);
}

}  // namespace
}  // namespace treepo
