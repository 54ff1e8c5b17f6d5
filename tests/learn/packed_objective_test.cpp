#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "learn/importance_mask.h"
#include "learn/loss_terms.h"
#include "learn/objective.h"
#include "learn/random_objective.h"
#include "learn/random_tree.h"
#include "learn/sequence_ratio.h"

namespace treepo {
namespace {

// What a trajectory's tokens have, in their order.
struct TokenFacts {
  double logp = 0, old_logp = 0, sampled = 0, reference = 0, entropy = 0, advantage = 0;
};

// Finds each token by its tree and slot.
std::vector<TokenFacts> facts_of(const std::vector<TrainingTree>& batch, size_t b, size_t leaf,
                                 const PackedTrees& pack, const std::vector<double>& logprobs,
                                 const std::vector<double>& entropies) {
  const TrainingTree& training = batch[b];
  const SearchTree& tree = *training.tree;
  const auto path = tree.path(training.leaves[leaf]);
  const auto used = tree.path_used_tokens(training.leaves[leaf]);
  std::vector<TokenFacts> facts;
  for (size_t n = 1; n < path.size(); ++n) {
    for (int32_t offset = 0; offset < used[n]; ++offset) {
      const auto slot = static_cast<size_t>(path[n] * tree.segment_tokens() + offset);
      size_t t = 0;
      while (pack.target_tree[t] != static_cast<int32_t>(b) ||
             pack.target_slot[t] != static_cast<int64_t>(slot))
        ++t;
      facts.push_back({.logp = logprobs[t],
                       .old_logp = training.old_logprobs[slot],
                       .sampled = tree.logprobs(path[n])[static_cast<size_t>(offset)],
                       .reference = training.reference_logprobs[slot],
                       .entropy = entropies[static_cast<size_t>(pack.target_source[t])],
                       .advantage = training.node_advantages.empty()
                                        ? training.advantages[leaf]
                                        : training.node_advantages[static_cast<size_t>(path[n])]});
    }
  }
  return facts;
}

double inside(double ratio, const ObjectiveOptions& o) {
  return ratio >= o.importance_mask_low && ratio <= o.importance_mask_high ? 1.0 : 0.0;
}

// Sum of the losses of one trajectory's tokens, straight from the formulas.
double trajectory_loss(const std::vector<TokenFacts>& tokens, const ObjectiveOptions& o) {
  double log_ratio = 0, log_importance = 0;
  for (const TokenFacts& f : tokens) {
    log_ratio += f.logp - f.old_logp;
    log_importance += f.old_logp - f.sampled;
  }
  const auto length = static_cast<double>(tokens.size());
  const bool by_sequence = o.kind == Objective::gspo || o.ratio == RatioLevel::sequence;
  double sum = 0;
  for (const TokenFacts& f : tokens) {
    const double r = std::exp(by_sequence ? log_ratio / length : f.logp - f.old_logp);
    const double clipped = std::clamp(r, 1 - o.clip_low, 1 + o.clip_high);
    double loss = std::max(-f.advantage * r, -f.advantage * clipped);
    if (f.advantage < 0 && o.dual_clip > 0) loss = std::min(loss, -f.advantage * o.dual_clip);
    if (o.kind == Objective::cispo) loss = -f.advantage * clipped * f.logp;
    const double importance = std::exp(f.old_logp - f.sampled);
    if (o.importance_cap > 0) loss *= std::min(importance, o.importance_cap);
    if (o.importance_mask == ImportanceMask::token) loss *= inside(importance, o);
    if (o.importance_mask == ImportanceMask::sequence) loss *= inside(std::exp(log_importance), o);
    if (o.importance_mask == ImportanceMask::geometric)
      loss *= inside(std::exp(log_importance / length), o);
    const double d = f.reference - f.logp;
    const double kl = o.kl_estimator == KlEstimator::k1   ? -d
                      : o.kl_estimator == KlEstimator::k2 ? d * d / 2
                                                          : std::exp(d) - d - 1;
    sum += loss + o.kl_beta * kl - o.entropy_beta * f.entropy;
  }
  return sum;
}

struct RandomCase {
  RandomTrees random;
  std::vector<TrainingTree> batch;
  PackedTrees pack;
  ObjectiveOptions options;
  std::vector<double> logprobs, entropies;

  explicit RandomCase(uint64_t seed) : random(seed, 5) {
    batch = random.batch(2, /*with_old=*/true, /*with_reference=*/true);
    if (random.integer(0, 2) == 0) random.draw_node_advantages(batch);
    options = random_objective(random);
    mask_trajectories(batch, options);
    pack = pack_trees(batch, leaf_weight(options.kind));
    for (const double old_logp : pack.old_logprob)
      logprobs.push_back(old_logp + random.uniform(-0.8, 0.8));
    for (int64_t s = 0; s < pack.num_sources(); ++s) entropies.push_back(random.uniform(0, 3));
  }

  ObjectiveResult evaluate() const {
    std::vector<double> ratios;
    if (uses_sequence_ratio(options)) {
      std::vector<double> log_ratios(pack.trajectories.size());
      add_log_ratios(pack, logprobs, log_ratios);
      ratios = sequence_ratios(pack, log_ratios);
    }
    return evaluate_objective(pack, logprobs, entropies, options, 7, ratios);
  }

  // Trajectory by trajectory, token by token.
  double loss_apart() const {
    double sum = 0;
    for (size_t b = 0; b < batch.size(); ++b) {
      double in_tree = 0, tokens_in_tree = 0;
      for (size_t i = 0; i < batch[b].leaves.size(); ++i) {
        const auto facts = facts_of(batch, b, i, pack, logprobs, entropies);
        const double loss = trajectory_loss(facts, options);
        const auto length = static_cast<double>(facts.size());
        const bool means = options.kind == Objective::grpo || options.kind == Objective::gspo;
        in_tree += means ? loss / length : loss;
        tokens_in_tree += length;
      }
      if (options.kind == Objective::bnpo && tokens_in_tree > 0) in_tree /= tokens_in_tree;
      sum += in_tree;
    }
    return sum / 7;
  }
};

TEST(PackedObjective, SumsEqualTrajectoriesOneByOne) {
  std::set<Objective> kinds;
  int64_t masked = 0, clipped = 0;
  for (uint64_t seed = 0; seed < 600; ++seed) {
    const RandomCase c(seed);
    const ObjectiveStatistics statistics = c.evaluate().statistics;
    const double apart = c.loss_apart();
    EXPECT_NEAR(statistics.loss, apart, 1e-12 * (1 + std::abs(apart))) << "seed " << seed;
    kinds.insert(c.options.kind);
    masked += statistics.masked;
    clipped += statistics.clipped_low + statistics.clipped_high + statistics.dual_clipped;
  }
  EXPECT_EQ(kinds.size(), 7u);
  EXPECT_GT(masked, 1000);
  EXPECT_GT(clipped, 1000);
}

// cispo's gradient is not that of its value; update_twin_test.cpp has it. A ratio of sequences with
// weights or advantages that differ from token to token takes those of its own token, which the
// value does not show either.
TEST(PackedObjective, GradientEqualsDifferences) {
  constexpr double kStep = 1e-5;
  int compared = 0, kinks = 0;
  for (uint64_t seed = 0; seed < 250; ++seed) {
    RandomCase c(seed);
    if (c.options.kind == Objective::cispo) continue;
    if (uses_sequence_ratio(c.options) &&
        (c.options.importance_cap > 0 || c.options.importance_mask == ImportanceMask::token ||
         !c.pack.node_advantage.empty()))
      continue;
    ++compared;
    const ObjectiveResult result = c.evaluate();
    const auto expect_slope = [&](double& x, double found) {
      const double at = x;
      const auto loss = [&](double value) {
        x = value;
        return c.evaluate().statistics.loss;
      };
      const double above = loss(at + kStep), here = loss(at), below = loss(at - kStep);
      x = at;
      if (std::abs(above - 2 * here + below) > 1e-4 * kStep) {  // a bound lies in between
        ++kinks;
        return;
      }
      EXPECT_NEAR(found, (above - below) / (2 * kStep), 1e-8) << "seed " << seed;
    };
    for (size_t t = 0; t < c.logprobs.size(); ++t)
      expect_slope(c.logprobs[t], result.logprob_gradient[t]);
    for (size_t s = 0; s < result.entropy_gradient.size(); ++s)
      expect_slope(c.entropies[s], result.entropy_gradient[s]);
    EXPECT_EQ(result.entropy_gradient.empty(),
              c.options.entropy_beta == 0 || c.pack.num_sources() == 0);
  }
  EXPECT_GT(compared, 60);
  EXPECT_LT(kinks, 20);
}

// Three tokens, importance ratios 1.5, 0.8, 1 and so 1.2 of the whole and 1.2^(1/3) = 1.063 on
// average.
TEST(ImportanceMask, ByTokenSequenceAndMean) {
  SearchTree tree({1}, 3);
  const int32_t node = tree.add_child(0);
  for (const double logprob : {-1.0, -1.0, -1.0}) tree.append(node, 2, logprob, 0);
  const TrainingTree training{.tree = &tree,
                              .leaves = {node},
                              .advantages = {1},
                              .old_logprobs = {0, 0, 0, std::log(1.5) - 1, std::log(0.8) - 1, -1}};
  const auto masked = [&](ImportanceMask mask, double low, double high) {
    std::vector<TrainingTree> batch = {training};
    const ObjectiveOptions options{
        .importance_mask = mask, .importance_mask_low = low, .importance_mask_high = high};
    mask_trajectories(batch, options);
    const PackedTrees pack = pack_trees(batch);
    return evaluate_objective(pack, pack.old_logprob, std::vector<double>(3), options, 1)
        .statistics.masked;
  };
  EXPECT_EQ(masked(ImportanceMask::none, 1, 1), 0);
  EXPECT_EQ(masked(ImportanceMask::token, 0.9, 1.1), 2);
  EXPECT_EQ(masked(ImportanceMask::token, 0.7, 1.1), 1);
  EXPECT_EQ(masked(ImportanceMask::sequence, 0.9, 1.1), 3);
  EXPECT_EQ(masked(ImportanceMask::sequence, 0.9, 1.21), 0);
  EXPECT_EQ(masked(ImportanceMask::geometric, 0.9, 1.1), 0);
  EXPECT_EQ(masked(ImportanceMask::geometric, 0.9, 1.05), 3);
}

TEST(SequenceRatio, SumsOverPacksThatCutATree) {
  for (uint64_t seed = 0; seed < 100; ++seed) {
    RandomTrees random(seed, 5);
    const auto batch = random.batch(3, /*with_old=*/true);
    const PackedTrees whole = pack_trees(batch);
    std::vector<double> logprobs;
    for (int64_t t = 0; t < whole.num_targets(); ++t) logprobs.push_back(random.uniform(-3, 0));
    std::vector<double> expected(whole.trajectories.size()), found(expected.size());
    add_log_ratios(whole, logprobs, expected);
    EXPECT_FALSE(cuts_trajectories(whole));
    const auto packs = split_packs(whole, random.integer(1, 30));
    EXPECT_EQ(num_trajectories(packs), std::ssize(expected));
    int64_t first = 0;
    for (const PackedTrees& pack : packs) {  // targets stay in order
      add_log_ratios(pack,
                     std::span(logprobs).subspan(static_cast<size_t>(first),
                                                 static_cast<size_t>(pack.num_targets())),
                     found);
      first += pack.num_targets();
      pack.check_invariants();
    }
    for (size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(found[i], expected[i], 1e-12);
  }
}

}  // namespace
}  // namespace treepo
