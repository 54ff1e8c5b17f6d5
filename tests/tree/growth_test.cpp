#include "tree/growth.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "support/expect_error.h"
#include "tree/fallback.h"
#include "tree/picture.h"
#include "tree/scripted_growth.h"
#include "tree/stop_rules.h"

namespace treepo {
namespace {

using testing::StartsWith;

TEST(TreeGrowth, NamesTheOptionThatIsOutOfRange) {
  EXPECT_EQ(error_of([] { check_growth_options({.depth = 0}); }),
            "rollout.depth is 0 | it must lie between 1 and 16777216");
  const auto expect = [](const GrowthOptions& options, const std::string& part) {
    const std::string error = error_of([&] { check_growth_options(options); });
    EXPECT_NE(error.find(part), std::string::npos) << error;
  };
  expect({.first_split_min = 5, .first_split_max = 4},
         "rollout.first_split_max is 4 | it must lie between 5");
  expect({.branching_min = 5, .branching_max = 4}, "rollout.branching_max is 4");
  expect({.tokens_per_step = 0}, "rollout.tokens_per_step is 0");
  expect({.token_budget = 0}, "rollout.token_budget is 0");
  expect({.width_min = 0}, "rollout.width_min is 0");
  expect({.divergence_temperature = 0}, "rollout.divergence_temperature is 0 | it must be above 0");
  expect({.divergence_temperature_low = 3, .divergence_temperature_high = 2},
         "rollout.divergence_temperature_high is 2");
  expect({.prune_share = 1}, "rollout.prune_share is 1");
  expect({.prune_margin = NAN}, "rollout.prune_margin is nan");
  expect({.fallback_min_windows = 0}, "rollout.fallback_min_windows is 0");
  expect({.fallback_block_tokens = 0}, "rollout.fallback_block_tokens is 0");
  expect({.fallback_copies = -1}, "rollout.fallback_copies is -1");
  expect({.fallback_max_rounds = -1}, "rollout.fallback_max_rounds is -1");
  check_growth_options({});
}

// What a tree grows under: options, and how often its paths stop.
struct Situation {
  GrowthOptions growth{};
  StopOptions stop{};
  GrowthFacts facts{};
  double eos_rate = 0, stop_string_rate = 0, answer_rate = 0, repetition_rate = 0;
  uint32_t seed = 0;
};

// A tree that grows at random, without model or engine. Beside it grow the responses as a plain
// list, one for each node.
class RandomTree {
 public:
  explicit RandomTree(const Situation& situation)
      : s_(situation),
        rules_(make_stop_rules(s_.growth, s_.stop)),
        tree_({'p'}, rules_.segment_tokens),
        random_(s_.seed) {}

  void grow() {
    TreeGrowth growth(s_.growth, s_.seed, 2, 3, s_.facts);
    for (std::vector<Branch> branches = growth.start(); !branches.empty();
         branches = growth.next(tree_, active_, stopped_)) {
      check_branches(branches);
      const int32_t first = tree_.num_nodes();
      for (const Branch& branch : branches) {
        for (int32_t i = 0; i < branch.copies; ++i) add_child(branch);
      }
      active_.clear();
      stopped_ = 0;
      for (int32_t node = first; node < tree_.num_nodes(); ++node) decode(node);
      prune(growth);
      if (growth.needs_next_entropies(tree_, active_, stopped_)) {
        for (const int32_t node : active_) tree_.set_next_entropy(node, 3 * uniform());
        ++entropies_asked;
      }
      ++barriers;
      // Each fallback but kMaxBarrenFallbacks in a row brings a trajectory.
      const int64_t most = (s_.growth.width + 1) * (kMaxBarrenFallbacks + 1) * rules_.depth;
      if (barriers > most) throw std::runtime_error("the tree grows without end");
    }
  }

  // What holds for every tree.
  void check() const {
    tree_.check_invariants();
    EXPECT_LE(tree_.leaves().size(), static_cast<size_t>(s_.growth.width));
    std::vector<bool> has_child(static_cast<size_t>(tree_.num_nodes()));
    for (int32_t id = 1; id < tree_.num_nodes(); ++id) {
      const TreeNode& node = tree_.node(id);
      has_child[static_cast<size_t>(node.parent)] = true;
      EXPECT_LE(node.depth, s_.growth.depth);
      EXPECT_LE(tree_.path_tokens(id), rules_.response_tokens);
      EXPECT_EQ(tree_.response(id), responses_[static_cast<size_t>(id)]);
      EXPECT_EQ(tree_.response_logprobs(id), logprobs_[static_cast<size_t>(id)]);
      EXPECT_EQ(tree_.response_entropies(id), entropies_[static_cast<size_t>(id)]);
    }
    for (int32_t id = 1; id < tree_.num_nodes(); ++id) {
      EXPECT_TRUE(has_child[static_cast<size_t>(id)] || tree_.node(id).stop != StopReason::none)
          << "the path of node " << id << " has no end";
    }
  }

  const SearchTree& tree() const { return tree_; }

  int64_t barriers = 0, fallbacks = 0, pruned = 0, cuts = 0, entropies_asked = 0;

 private:
  double uniform() { return std::uniform_real_distribution<>(0, 1)(random_); }

  void add_child(const Branch& branch) {
    const int32_t node = tree_.add_child(branch.parent, branch.parent_used_tokens);
    const auto kept = static_cast<size_t>(tree_.node(node).prefix_tokens);
    const auto begin_with = [&](auto& lists) {
      auto list = lists[static_cast<size_t>(branch.parent)];
      list.resize(kept);
      lists.push_back(std::move(list));
    };
    begin_with(responses_);
    begin_with(logprobs_);
    begin_with(entropies_);
    cuts += branch.parent_used_tokens < tree_.node(branch.parent).num_tokens;
  }

  void decode(int32_t node) {
    TokenFacts token;
    do {
      token.eos = uniform() < s_.eos_rate;
      token.stop_string = uniform() < s_.stop_string_rate;
      const auto id = static_cast<size_t>(node);
      responses_[id].push_back(static_cast<int32_t>(random_() % 100));
      logprobs_[id].push_back(-5 * uniform());
      entropies_[id].push_back(3 * uniform());
      tree_.append(node, responses_[id].back(), logprobs_[id].back(), entropies_[id].back());
    } while (!ends_segment(rules_, tree_.node(node), token));
    const SegmentFacts facts{.answer = uniform() < s_.answer_rate,
                             .repetition = uniform() < s_.repetition_rate};
    const StopReason reason = judge_segment(rules_, tree_.node(node), token, facts);
    if (reason == StopReason::none) {
      active_.push_back(node);
      return;
    }
    ++stopped_;
    const bool discarded = is_too_short(rules_, tree_.node(node));
    tree_.stop(node, reason, discarded);
    if (!discarded && is_finished(reason) && needs_leaf_scores(s_.growth)) {
      tree_.set_score(node, uniform() < 0.4 ? 1 : 0);
    }
  }

  void prune(const TreeGrowth& growth) {
    const std::vector<int32_t> gone = growth.prune(tree_, active_);
    EXPECT_LE(static_cast<double>(gone.size()),
              s_.growth.prune_share * static_cast<double>(active_.size()) + 1e-9);
    if (!active_.empty()) {
      EXPECT_LT(gone.size(), active_.size());
    }
    for (const int32_t node : gone) {
      EXPECT_EQ(std::erase(active_, node), 1u);
      tree_.stop(node, StopReason::pruned,
                 !s_.growth.train_pruned || is_too_short(rules_, tree_.node(node)));
      ++stopped_;
      ++pruned;
    }
  }

  void check_branches(const std::vector<Branch>& branches) {
    const auto trajectories = static_cast<int64_t>(tree_.leaves().size());
    int64_t total = 0;
    for (const Branch& branch : branches) {
      EXPECT_GE(branch.copies, 1);
      EXPECT_LT(tree_.node(branch.parent).depth, s_.growth.depth);
      total += branch.copies;
    }
    EXPECT_LE(total + trajectories, s_.growth.width);
    if (tree_.num_nodes() == 1) return check_first_split(total);
    if (active_.empty()) return check_fallback(branches, total, trajectories);
    ASSERT_EQ(branches.size(), active_.size());  // every active path goes on
    for (size_t i = 0; i < active_.size(); ++i) {
      EXPECT_EQ(branches[i].parent, active_[i]);
      EXPECT_EQ(branches[i].parent_used_tokens, tree_.node(active_[i]).num_tokens);
      if (s_.growth.divergence == BudgetSplit::even && i + 1 < active_.size()) {
        EXPECT_EQ(branches[i].copies, total / static_cast<int64_t>(active_.size()));
      }
    }
    check_total(total, trajectories);
  }

  void check_first_split(int64_t total) const {
    const GrowthOptions& o = s_.growth;
    int64_t low = 0, high = 0;
    switch (o.budget) {
      case BudgetPolicy::transfer:
      case BudgetPolicy::fixed:
        low = o.first_split_min;
        high = o.first_split_max;
        break;
      case BudgetPolicy::random:
        low = o.branching_min;
        high = o.branching_max;
        break;
      case BudgetPolicy::tokens_per_step:
        low = high = std::max<int64_t>(1, o.tokens_per_step / o.segment_tokens / s_.facts.trees);
        break;
    }
    if (o.sequential) low = high = o.width;
    EXPECT_GE(total, std::min(low, most_trajectories()));
    EXPECT_LE(total, std::min(high, most_trajectories()));
  }

  // How many paths a fallback makes, and that each leaves a trajectory before its end.
  void check_fallback(const std::vector<Branch>& branches, int64_t total, int64_t trajectories) {
    ++fallbacks;
    const GrowthOptions& o = s_.growth;
    EXPECT_NE(o.fallback, FallbackPolicy::none);
    const int64_t missing = most_trajectories() - trajectories;
    const int64_t candidates =
        std::ranges::count_if(tree_.leaves(), [this](int32_t leaf) { return is_candidate(leaf); });
    const int64_t copies = o.fallback_copies > 0 ? o.fallback_copies : o.branching_factor;
    if (o.sequential) {
      EXPECT_EQ(total, missing);
    } else if (o.fallback == FallbackPolicy::from_start || candidates == 0) {
      EXPECT_EQ(total, 1);
    } else {
      EXPECT_EQ(total, std::min(missing, copies * candidates));
    }
    for (const Branch& branch : branches) {
      EXPECT_TRUE(branch.parent == 0 || std::ranges::any_of(tree_.leaves(),
                                                            [&](int32_t leaf) {
                                                              return is_candidate(leaf) &&
                                                                     leaves_path(branch, leaf);
                                                            }))
          << "from node " << branch.parent;
    }
  }

  bool is_candidate(int32_t leaf) const {
    const GrowthOptions& o = s_.growth;
    const StopReason stop = tree_.node(leaf).stop;
    const bool answered = stop == StopReason::answer || stop == StopReason::stop_string;
    const int64_t window = o.fallback_window > 0 ? o.fallback_window : o.segment_tokens;
    switch (o.fallback_from) {
      case FallbackFrom::any:
      case FallbackFrom::finished_first:
      case FallbackFrom::finished_first_strict:
      case FallbackFrom::longest:
        return true;
      case FallbackFrom::finished:
        return answered || stop == StopReason::eos;
      case FallbackFrom::long_answers:
        return answered && tree_.path_tokens(leaf) >= o.fallback_min_windows * window;
    }
    ADD_FAILURE() << "unknown fallback_from";
    return false;
  }

  // Whether the branch begins on the path of `leaf`, before its last token.
  bool leaves_path(const Branch& branch, int32_t leaf) const {
    const auto at = static_cast<size_t>(tree_.node(branch.parent).depth);
    const std::vector<int32_t> path = tree_.path(leaf), used = tree_.path_used_tokens(leaf);
    const int32_t kept = tree_.node(branch.parent).prefix_tokens + branch.parent_used_tokens;
    return at < path.size() && path[at] == branch.parent && branch.parent_used_tokens <= used[at] &&
           kept < tree_.path_tokens(leaf);
  }

  // U once more, in floating point.
  int64_t most_trajectories() const {
    const GrowthOptions& o = s_.growth;
    if (o.sequential || o.limit == WidthLimit::trajectories) return o.width;
    double spent = 0, length = 0;  // length: what a further trajectory takes
    for (const int32_t leaf : tree_.leaves()) spent += tree_.path_tokens(leaf);
    for (const int32_t node : active_) length += tree_.path_tokens(node);
    const auto finished = static_cast<double>(tree_.leaves().size());
    const auto segment = static_cast<double>(o.segment_tokens);
    if (!active_.empty()) {
      length = length / static_cast<double>(active_.size()) + segment;
    } else {
      length = finished > 0 ? spent / finished : segment;
    }
    const double left = std::max(0.0, static_cast<double>(o.token_budget) - spent);
    const auto more = static_cast<int64_t>(finished + std::floor(left / length + 1e-9));
    return std::clamp(more, std::min(o.width_min, o.width), o.width);
  }

  // treepo.md's formulas once more, in floating point.
  void check_total(int64_t total, int64_t trajectories) const {
    const GrowthOptions& o = s_.growth;
    const auto active = static_cast<double>(active_.size());
    if (o.sequential) {
      EXPECT_EQ(static_cast<double>(total), active);
      return;
    }
    const auto upper = static_cast<double>(most_trajectories());
    const auto expected = [&](double wanted) {
      return std::max(active, std::min(upper - static_cast<double>(trajectories), wanted));
    };
    const double stopped = stopped_;
    const auto b = static_cast<double>(o.branching_factor);
    switch (o.budget) {
      case BudgetPolicy::transfer:
        EXPECT_EQ(static_cast<double>(total), expected(b * (stopped + active)));
        return;
      case BudgetPolicy::fixed:
        EXPECT_EQ(static_cast<double>(total), expected(b * active));
        return;
      case BudgetPolicy::random: {
        bool found = false;
        for (int64_t drawn = o.branching_min; drawn <= o.branching_max; ++drawn) {
          found |= static_cast<double>(total) ==
                   expected(static_cast<double>(drawn) * (stopped + active));
        }
        EXPECT_TRUE(found) << total;
        return;
      }
      case BudgetPolicy::tokens_per_step: {
        const int64_t paths = o.tokens_per_step / s_.facts.trees / o.segment_tokens;
        EXPECT_EQ(static_cast<double>(total), expected(static_cast<double>(paths)));
        return;
      }
    }
    ADD_FAILURE() << "unknown budget";
  }

  Situation s_;
  StopRules rules_;
  SearchTree tree_;
  std::mt19937 random_;
  std::vector<int32_t> active_;
  int32_t stopped_ = 0;
  std::vector<std::vector<int32_t>> responses_{{}};
  std::vector<std::vector<double>> logprobs_{{}}, entropies_{{}};
};

class Picker {
 public:
  explicit Picker(uint32_t seed) : random_(seed) {}

  int64_t number(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(random_() % static_cast<uint64_t>(high - low + 1));
  }
  bool one_in(int64_t n) { return number(1, n) == 1; }
  template <typename E>
  E value() {
    return static_cast<E>(number(0, static_cast<int64_t>(kEnumNames<E>.size()) - 1));
  }

 private:
  std::mt19937 random_;
};

// All policies crossed.
Situation random_situation(uint32_t round) {
  Picker pick(round);
  Situation s{.seed = round};
  GrowthOptions& g = s.growth;
  g.width = pick.number(1, 24);
  g.depth = pick.number(1, 8);
  g.segment_tokens = pick.number(1, 6);
  g.branching_factor = pick.number(1, 4);
  g.first_split_min = pick.number(1, 4);
  g.first_split_max = g.first_split_min + pick.number(0, 4);
  g.sequential = pick.one_in(8);
  g.budget = pick.value<BudgetPolicy>();
  g.branching_min = pick.number(1, 3);
  g.branching_max = g.branching_min + pick.number(0, 3);
  g.tokens_per_step = pick.number(1, 400);
  g.limit = pick.one_in(3) ? WidthLimit::tokens : WidthLimit::trajectories;
  g.token_budget = pick.number(1, 300);
  g.width_min = pick.number(1, 8);
  g.divergence = pick.value<BudgetSplit>();
  g.divergence_schedule = pick.value<TemperatureSchedule>();
  g.divergence_temperature = 0.1 * static_cast<double>(pick.number(1, 40));
  g.prune = pick.one_in(2) ? PrunePolicy::none : pick.value<PrunePolicy>();
  g.prune_share = 0.1 * static_cast<double>(pick.number(0, 9));
  g.prune_margin = pick.one_in(3) ? 0.3 : 0;
  g.train_pruned = pick.one_in(2);
  g.fallback = pick.value<FallbackPolicy>();
  g.fallback_from = pick.value<FallbackFrom>();
  g.fallback_min_windows = pick.number(1, 3);
  g.fallback_window = pick.number(0, 8);
  g.fallback_max_windows = pick.number(0, 3);
  g.fallback_block_tokens = pick.number(1, 8);
  g.fallback_copies = pick.number(0, 3);
  g.fallback_max_rounds = pick.one_in(4) ? pick.number(1, 3) : 0;
  s.stop.response_tokens = pick.one_in(2) ? pick.number(1, 20) : 0;
  s.stop.min_response_tokens = pick.one_in(3) ? pick.number(1, 12) : 0;
  s.stop.answer =
      std::to_array({"none", "boxed", "boxed_with_eos"})[static_cast<size_t>(pick.number(0, 2))];
  s.stop.repetition = pick.one_in(3);
  s.stop.repetition_first = pick.one_in(2);
  s.facts = {.training_share = 0.1 * static_cast<double>(pick.number(0, 10)),
             .trees = pick.number(1, 8)};
  s.eos_rate = 0.05 * static_cast<double>(pick.number(0, 10));
  s.stop_string_rate = pick.one_in(4) ? 0.1 : 0;
  s.answer_rate = 0.1 * static_cast<double>(pick.number(0, 5));
  s.repetition_rate = 0.1 * static_cast<double>(pick.number(0, 3));
  return s;
}

// In many thousand random situations: never more than w trajectories, exactly w unless paths are
// discarded for their length or a limit says otherwise, always an end, at least one child for each
// active path, budgets of first split, branching and fallback exact, no path beyond depth or length
// or without an end, every fallback inside a candidate, every trajectory's tokens those along its
// path, and the same tree for the same seed.
TEST(TreeGrowth, KeepsItsPromisesUnderAllPolicies) {
  int64_t fallbacks = 0, short_of_width = 0, pruned = 0, cuts = 0, entropies_asked = 0;
  std::map<StopReason, int64_t> reasons;
  for (uint32_t round = 0; round < 30000; ++round) {
    const Situation s = random_situation(round);
    RandomTree grown(s), again(s);
    grown.grow();
    grown.check();
    const SearchTree& tree = grown.tree();
    const auto width = static_cast<size_t>(s.growth.width);
    const bool ends_early = s.growth.fallback == FallbackPolicy::none ||
                            s.stop.min_response_tokens > 0 || s.growth.fallback_max_rounds > 0;
    if (!ends_early) {
      const auto least = static_cast<size_t>(std::min(s.growth.width_min, s.growth.width));
      const bool by_tokens = s.growth.limit == WidthLimit::tokens && !s.growth.sequential;
      EXPECT_GE(tree.leaves().size(), by_tokens ? least : width);
    }
    again.grow();
    EXPECT_EQ(picture(again.tree()), picture(tree));
    if (HasFailure()) {
      FAIL() << "round " << round << "\n" << picture(tree);
    }
    short_of_width += tree.leaves().size() < width;
    fallbacks += grown.fallbacks;
    pruned += grown.pruned;
    cuts += grown.cuts;
    entropies_asked += grown.entropies_asked;
    for (const int32_t leaf : tree.leaves()) ++reasons[tree.node(leaf).stop];
  }
  // The cases that matter did occur.
  EXPECT_GT(fallbacks, 30000);
  EXPECT_GT(short_of_width, 2000);
  EXPECT_GT(pruned, 2000);
  EXPECT_GT(cuts, 2000);
  EXPECT_GT(entropies_asked, 500);
  EXPECT_EQ(reasons.size(), 7u);  // all but none
}

// The least likely path gets all that is free, one child fewer than the budget has.
TEST(TreeGrowth, DividesTheBudgetAsItsUserSays) {
  const auto greedy_split = [](const SearchTree& tree, std::span<const int32_t> active,
                               int32_t budget) {
    EXPECT_EQ(budget, 4);
    EXPECT_EQ(tree.num_nodes(), 3);
    EXPECT_EQ(std::vector<int32_t>(active.begin(), active.end()), (std::vector<int32_t>{1, 2}));
    return std::vector<int32_t>{2, 1};
  };
  ScriptedGrowth{.growth = {.width = 4,
                            .depth = 2,
                            .segment_tokens = 1,
                            .divergence = BudgetSplit::high_logprob,
                            .fallback = FallbackPolicy::none},
                 .split = greedy_split,
                 .script = {{"p", "b"}, {"p", "a"}, {"pb", "d"}, {"pb", "e"}, {"pa", "f"}},
                 .expected =
                     "p\n"
                     "  b\n"
                     "    d length\n"
                     "    e length\n"
                     "  a\n"
                     "    f length\n"}
      .check();
}

TEST(TreeGrowth, RefusesNumbersOfChildrenThatCannotBe) {
  SearchTree tree({1}, 4);
  for (int i = 0; i < 2; ++i) tree.append(tree.add_child(0), 7, -1, 1);
  const auto error = [&](const std::vector<int32_t>& children) {
    TreeGrowth growth({.width = 4}, 1, 2, 3);
    const auto split = [&](const SearchTree&, std::span<const int32_t>, int32_t) {
      return children;
    };
    return error_of([&] { growth.next(tree, std::vector<int32_t>{1, 2}, 0, split); });
  };
  EXPECT_EQ(error({1, 1}), "(no error was thrown)");
  EXPECT_EQ(error({3, 1}), "(no error was thrown)");
  EXPECT_EQ(error({3, 2}),
            "split_budget gave 2 paths the children [3, 2] | one number for each path, at least 1, "
            "together at most 4");
  EXPECT_THAT(error({4, 0}), StartsWith("split_budget gave 2 paths"));
  EXPECT_THAT(error({4}), StartsWith("split_budget gave 2 paths"));
  EXPECT_THAT(error({1, 1, 1}), StartsWith("split_budget gave 2 paths"));
}

// All paths are too short for ever: the tree ends all the same.
TEST(TreeGrowth, EndsEvenIfEverythingIsDiscarded) {
  Situation s{.growth = {.width = 8, .depth = 4, .segment_tokens = 3}, .stop = {}, .facts = {}};
  s.stop.min_response_tokens = 1000;
  s.eos_rate = 0.1;
  RandomTree grown(s);
  grown.grow();
  EXPECT_TRUE(grown.tree().leaves().empty());
  EXPECT_EQ(grown.fallbacks, kMaxBarrenFallbacks);
}

// One new path a round, and each of them ends at once: more rounds than kMaxBarrenFallbacks.
TEST(TreeGrowth, FallsBackUntilTheWidthIsReached) {
  Situation s{.growth = {.width = 100,
                         .depth = 1,
                         .segment_tokens = 1,
                         .fallback = FallbackPolicy::from_start},
              .stop = {},
              .facts = {}};
  RandomTree grown(s);
  grown.grow();
  EXPECT_EQ(grown.tree().leaves().size(), 100u);
  EXPECT_EQ(grown.fallbacks, 98);
}

}  // namespace
}  // namespace treepo
