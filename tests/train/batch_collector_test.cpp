#include "train/batch_collector.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "hand_made_verifier.h"
#include "model/tree_step_model.h"
#include "reward/overlong.h"
#include "support/expect_error.h"
#include "tiny_model.h"

namespace treepo {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

// Problem i of the stream is called by the i-th character: "k" problems are worth keeping, all
// answers to the others have the same score. After the last one it starts again.
class Stream : public QuerySource {
 public:
  explicit Stream(std::string kinds) : kinds_(std::move(kinds)) {}

  ProblemVisit at(int64_t position) override {
    const auto count = static_cast<int64_t>(kinds_.size());
    const auto number = static_cast<size_t>(position % count);
    asked.push_back(position);
    return {problem_of(fmt::format("{}{}", kinds_[number], number), "2+3="), number,
            static_cast<uint64_t>(position / count)};
  }
  std::span<const Problem> problems() const override { return {}; }
  int64_t epoch_size() const override { return 0; }

  std::vector<int64_t> asked;

 private:
  std::string kinds_;
};

Verdict even_and_odd(const Response& response, size_t index) {
  const bool keep = response.problem->id[0] == 'k';
  return verdict(keep ? static_cast<double>(index % 2) : 0.25);
}

struct Collector {
  explicit Collector(const std::string& kinds, HandMadeVerifier::Judge judge = even_and_odd)
      : source(kinds), verifier(std::move(judge)) {
    options.rollout = {.width = 4, .depth = 2, .segment_tokens = 3};
    options.train.queries_per_step = 3;
    options.train.max_sampling_rounds = 4;
  }

  CollectedBatch collect(int64_t position = 0) {
    TreeStepModel step_model(model.decoder);
    RolloutEngine engine(step_model, settings());
    return BatchCollector(options, source, model.text, verifier, engine)
        .collect(position, {}, times);
  }
  RolloutSettings settings() const {
    return {.growth = options.rollout, .stop = options.stop, .eos_ids = eos_ids, .seed = 1};
  }

  TinyModel model;
  RunOptions options;
  std::vector<int32_t> eos_ids = {kCarryEosId};
  Stream source;
  HandMadeVerifier verifier;
  PhaseTimes times;
};

std::vector<std::string> ids_of(const std::vector<ScoredTree>& trees) {
  std::vector<std::string> ids;
  for (const ScoredTree& scored : trees) ids.push_back(scored.query.problem.id);
  return ids;
}

TEST(BatchCollector, ReplacesQueriesWhoseScoresAreAllEqual) {
  Collector collector("kdddkkkk");
  const CollectedBatch batch = collector.collect();
  EXPECT_THAT(ids_of(batch.kept), ElementsAre("k0", "k4", "k5"));
  EXPECT_THAT(ids_of(batch.dropped), ElementsAre("d1", "d2", "d3"));
  EXPECT_EQ(batch.rounds, 3);  // 0 1 2, then 3 4, then 5
  EXPECT_EQ(batch.next_position, 6);
  EXPECT_THAT(collector.source.asked, ElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_GT(collector.times.seconds("sample"), 0.0);
  EXPECT_GT(collector.times.seconds("verify"), 0.0);
}

// Says what even_and_odd says, but later; notes what happens when.
class LateVerifier : public Verifier {
 public:
  explicit LateVerifier(std::vector<std::string>& events) : events_(events) {}
  void check(const Problem&) const override {}

 private:
  Pending begin(std::span<const Response> responses) override {
    if (responses.empty()) return [] { return std::vector<Verdict>(); };
    const std::string id = responses[0].problem->id;
    events_.push_back("begin " + id);
    std::vector<Verdict> verdicts;
    for (const Response& response : responses)
      verdicts.push_back(even_and_odd(response, verdicts.size()));
    return [this, id, verdicts] {
      events_.push_back("fetch " + id);
      return verdicts;
    };
  }

  std::vector<std::string>& events_;
};

TEST(BatchCollector, VerifiesFinishedTreesWhileOthersAreDecoded) {
  Collector collector("kkk");
  collector.options.engine.max_rows = 2;  // trees end one after the other
  std::vector<std::string> events;
  LateVerifier verifier(events);
  TreeStepModel step_model(collector.model.decoder);
  RolloutSettings settings = collector.settings();
  settings.engine = collector.options.engine;
  RolloutEngine engine(step_model, settings);
  RolloutCallbacks callbacks;
  callbacks.progress = [&](const RolloutProgress&) { events.push_back("step"); };
  int done = 0;
  callbacks.tree_done = [&](size_t, const Query&, const SearchTree&) { ++done; };
  const CollectedBatch late =
      BatchCollector(collector.options, collector.source, collector.model.text, verifier, engine)
          .collect(0, callbacks, collector.times);
  EXPECT_EQ(done, 3) << "the caller is told, too";

  const auto first = [&](const std::string& what) {
    return std::ranges::find_if(events, [&](const auto& e) { return e.starts_with(what); });
  };
  const auto last_step = std::find(events.rbegin(), events.rend(), "step").base();
  EXPECT_LT(first("begin"), last_step);
  EXPECT_GE(first("fetch"), last_step) << "nothing waits for verdicts while there is decoding";
  EXPECT_THAT(std::vector<std::string>(events.end() - 3, events.end()),
              ElementsAre("fetch k0", "fetch k1", "fetch k2"));

  const CollectedBatch direct = Collector("kkk").collect();  // the same, judged at once
  ASSERT_EQ(late.kept.size(), direct.kept.size());
  for (size_t i = 0; i < late.kept.size(); ++i) {
    EXPECT_EQ(late.kept[i].responses, direct.kept[i].responses);
    EXPECT_EQ(late.kept[i].rewards, direct.kept[i].rewards);
    EXPECT_EQ(late.kept[i].query.problem.id, direct.kept[i].query.problem.id);
  }
}

// Where growth goes by value, leaves are judged while their tree grows, and not again at its end.
TEST(BatchCollector, EachLeafIsJudgedOnce) {
  Collector collector("kkk");
  collector.options.rollout = {
      .width = 12, .depth = 4, .segment_tokens = 2, .divergence = BudgetSplit::low_value};
  collector.options.train.dynamic_sampling = false;
  collector.eos_ids = {kCarryEosId, 4, 5, 6};
  size_t judged = 0;
  const auto by_length = [](const Response& response) {
    return verdict(static_cast<double>(response.text.size()), response.text.size() % 2 == 1);
  };
  HandMadeVerifier verifier([&](const Response& response, size_t) {
    ++judged;
    return by_length(response);
  });
  TreeStepModel step_model(collector.model.decoder);
  RolloutEngine engine(step_model, collector.settings());
  size_t before_the_end = 0;
  const RolloutCallbacks callbacks{.progress = [&](const RolloutProgress& at) {
    before_the_end = at.finished_queries == 0 ? judged : before_the_end;
  }};
  const CollectedBatch batch =
      BatchCollector(collector.options, collector.source, collector.model.text, verifier, engine)
          .collect(0, callbacks, collector.times);
  size_t leaves = 0;
  for (const ScoredTree& scored : batch.kept) {
    ASSERT_EQ(scored.verdicts.size(), scored.tree.leaves().size());
    for (size_t i = 0; i < scored.verdicts.size(); ++i) {
      EXPECT_EQ(scored.verdicts[i].score, static_cast<double>(scored.responses[i].size()));
      const double known = scored.tree.node(scored.tree.leaves()[i]).score;
      if (!std::isnan(known)) {
        EXPECT_EQ(known, scored.verdicts[i].correct ? 1 : 0);
      }
      ++leaves;
    }
  }
  EXPECT_EQ(leaves, 36u);
  EXPECT_EQ(judged, leaves);
  EXPECT_GT(before_the_end, 3u);
}

TEST(BatchCollector, AFullBatchTakesOneRound) {
  Collector collector("kkkk");
  const CollectedBatch batch = collector.collect(1);
  EXPECT_THAT(ids_of(batch.kept), ElementsAre("k1", "k2", "k3"));
  EXPECT_EQ(batch.rounds, 1);
  EXPECT_EQ(batch.next_position, 4);
}

TEST(BatchCollector, GivesUpAfterTheLastRound) {
  Collector collector("kdddddddddddddddd");
  const CollectedBatch batch = collector.collect();
  EXPECT_THAT(ids_of(batch.kept), ElementsAre("k0"));
  EXPECT_EQ(batch.rounds, 4);
  EXPECT_EQ(batch.next_position, 9);  // 3 + 2 + 2 + 2
  EXPECT_EQ(batch.dropped.size(), 8u);
}

TEST(BatchCollector, WithoutDynamicSamplingKeepsAll) {
  Collector collector("kdd");
  collector.options.train.dynamic_sampling = false;
  const CollectedBatch batch = collector.collect();
  EXPECT_THAT(ids_of(batch.kept), ElementsAre("k0", "d1", "d2"));
  EXPECT_EQ(batch.rounds, 1);
}

// Every path stops below the shortest length, and nothing comes in its place.
TEST(BatchCollector, ATreeWithoutTrajectoriesIsNeverKept) {
  Collector collector("kkk");
  collector.options.train.dynamic_sampling = false;
  collector.options.stop.min_response_tokens = 2;
  collector.options.rollout.fallback = FallbackPolicy::none;
  for (int32_t token = 0; token < kCarryVocabularySize; ++token) collector.eos_ids.push_back(token);
  const CollectedBatch batch = collector.collect();
  EXPECT_TRUE(batch.kept.empty());
  ASSERT_EQ(batch.dropped.size(), 3u);
  EXPECT_TRUE(batch.dropped[0].tree.leaves().empty());
  EXPECT_EQ(batch.dropped[0].mean_score(), 0);
}

// A problem met again draws other tokens; trees are those that the engine gives for the query.
TEST(BatchCollector, TellsTheEngineWhichProblemAndWhichVisit) {
  Collector collector("kk");
  const CollectedBatch batch = collector.collect(1);  // k1, then k0 and k1 for the second time
  ASSERT_THAT(ids_of(batch.kept), ElementsAre("k1", "k0", "k1"));
  TreeStepModel step_model(collector.model.decoder);
  RolloutEngine engine(step_model, collector.settings());
  const std::vector<int32_t> prompt = collector.model.encode("2+3=");
  const std::vector<Query> queries = {{.id = 1, .prompt = prompt},
                                      {.id = 0, .visit = 1, .prompt = prompt},
                                      {.id = 1, .visit = 1, .prompt = prompt}};
  const std::vector<SearchTree> trees = engine.run(queries);
  for (size_t i = 0; i < 3; ++i) {
    const ScoredTree& scored = batch.kept[i];
    EXPECT_EQ(scored.query.id, queries[i].id);
    EXPECT_EQ(scored.query.visit, queries[i].visit);
    EXPECT_EQ(scored.query.prompt, prompt);
    ASSERT_EQ(scored.tree.leaves(), trees[i].leaves());
    for (const int32_t leaf : trees[i].leaves())
      EXPECT_EQ(scored.tree.response(leaf), trees[i].response(leaf));
  }
  EXPECT_NE(trees[0].response(trees[0].leaves()[0]), trees[2].response(trees[2].leaves()[0]));
}

TEST(BatchCollector, AScoreThatIsNoNumberNamesTheProblem) {
  Collector collector("kkk", [](const Response& response, size_t index) {
    const bool bad = response.problem->id == "k1" && index == 2;
    return verdict(bad ? std::numeric_limits<double>::quiet_NaN() : 1.0, false, "divided by zero");
  });
  EXPECT_THAT(error_of([&] { collector.collect(); }),
              AllOf(HasSubstr("problem \"k1\" is nan"), HasSubstr("divided by zero"),
                    HasSubstr("finite number")));
}

// A verifier gets each response as text without its EOS, and whether it had one; the overlong
// penalty is taken off afterwards.
TEST(ScoreTree, PassesEveryResponseToTheVerifier) {
  const TinyModel model;
  SearchTree tree(model.encode("1="), 3);
  const auto grow = [&](int32_t parent, const std::string& text, bool eos, StopReason stop) {
    const int32_t node = tree.add_child(parent);
    for (const int32_t token : model.encode(text)) tree.append(node, token, -1, 1);
    if (eos) tree.append(node, kCarryEosId, -1, 1);
    if (stop != StopReason::none) tree.stop(node, stop);
    return node;
  };
  const int32_t inner = grow(0, "12+", false, StopReason::none);
  grow(0, "7", true, StopReason::eos);
  grow(inner, "34!", false, StopReason::depth);
  grow(inner, "", true, StopReason::eos);

  std::vector<std::string> texts;
  std::vector<bool> with_eos;
  HandMadeVerifier verifier([&](const Response& response, size_t index) {
    EXPECT_EQ(response.problem->id, "p");
    texts.emplace_back(response.text);
    with_eos.push_back(response.ended_with_eos);
    return verdict(10.0 + static_cast<double>(index));
  });
  RunOptions options;
  options.rollout = {.width = 3, .depth = 2, .segment_tokens = 3};
  options.reward.overlong_tokens = 4;
  options.reward.overlong_penalty = 0.5;
  TrainingQuery query;
  query.problem = problem_of("p", "1=");
  query.prompt = model.encode("1=");
  const ScoredTree scored = score_tree(query, tree, model.text, verifier, options);

  EXPECT_THAT(texts, ElementsAre("7", "12+34!", "12+"));
  EXPECT_EQ(scored.responses, texts);
  EXPECT_THAT(with_eos, ElementsAre(true, false, true));
  // At most 6 tokens, the last 4 of which cost: 2, 6 and 4 tokens.
  EXPECT_THAT(scored.rewards, ElementsAre(10, 10.5, 11.75));
  EXPECT_DOUBLE_EQ(scored.mean_score(), 11);
  EXPECT_TRUE(scored.advantages.empty());
}

// The penalty makes rewards differ where scores are equal: nothing to learn about being right.
TEST(BatchCollector, PenaltiesDoNotMakeATreeWorthKeeping) {
  Collector collector("ddd");
  collector.options.reward.overlong_tokens = 6;
  collector.eos_ids = {kCarryEosId, 4, 5, 6, 7, 8, 9};  // responses of several lengths
  const CollectedBatch batch = collector.collect();
  EXPECT_TRUE(batch.kept.empty());
  const auto& rewards = batch.dropped.at(0).rewards;
  EXPECT_NE(*std::ranges::min_element(rewards), *std::ranges::max_element(rewards));
}

}  // namespace
}  // namespace treepo
