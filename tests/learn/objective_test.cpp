#include "learn/objective.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "learn/loss_terms.h"
#include "learn/random_tree.h"
#include "learn/sequence_ratio.h"
#include "support/assets.h"

namespace treepo {
namespace {

using nlohmann::json;

constexpr double kOracleTolerance = 1e-6;  // TRL computes in float32

json read_golden(const std::string& name) {
  const std::string file = TREEPO_ASSETS "/oracles/grpo-loss/" + name;
  return std::filesystem::exists(file) ? json::parse(std::ifstream(file)) : json();
}

// One trajectory with known log-probs.
struct Row {
  double advantage = 0;
  std::vector<double> logprobs = {}, old_logprobs = {}, reference_logprobs = {};
};

// Each row as a chain, every token of it a target. A row may be empty.
struct Chains {
  PackedTrees pack;
  std::vector<double> logprobs, entropies;
};

Chains make_chains(const std::vector<Row>& rows, LeafWeight weighting) {
  Chains chains;
  PackedTrees& pack = chains.pack;
  for (const Row& row : rows) {
    const auto length = std::ssize(row.logprobs);
    const double weight = weighting == LeafWeight::one ? 1.0 : 1.0 / static_cast<double>(length);
    for (size_t t = 0; t < row.logprobs.size(); ++t) {
      pack.source_row.push_back(pack.num_targets());
      pack.target_source.push_back(pack.num_targets());
      pack.target_token.push_back(0);
      pack.positive.push_back(weight * std::max(row.advantage, 0.0));
      pack.negative.push_back(weight * std::min(row.advantage, 0.0));
      pack.weight.push_back(weight);
      pack.positive_leaves.push_back(row.advantage > 0);
      pack.negative_leaves.push_back(row.advantage < 0);
      pack.num_leaves.push_back(1);
      pack.masked_leaves.push_back(0);
      pack.first_trajectory.push_back(static_cast<int32_t>(pack.trajectories.size()));
      pack.sampled_logprob.push_back(row.old_logprobs[t]);
      pack.old_logprob.push_back(row.old_logprobs[t]);
      if (!row.reference_logprobs.empty())
        pack.reference_logprob.push_back(row.reference_logprobs[t]);
      chains.logprobs.push_back(row.logprobs[t]);
      chains.entropies.push_back(0);
    }
    if (length > 0)
      pack.trajectories.push_back(
          {.advantage = row.advantage, .weight = weight, .num_tokens = length});
  }
  return chains;
}

std::vector<double> ratios_of(const Chains& chains) {
  std::vector<double> log_ratios(chains.pack.trajectories.size());
  add_log_ratios(chains.pack, chains.logprobs, log_ratios);
  return sequence_ratios(chains.pack, log_ratios);
}

ObjectiveResult evaluate(const Chains& chains, const ObjectiveOptions& options, double normalizer) {
  std::vector<double> ratios;
  if (uses_sequence_ratio(options)) ratios = ratios_of(chains);
  return evaluate_objective(chains.pack, chains.logprobs, chains.entropies, options, normalizer,
                            ratios);
}

double loss_of(const std::vector<Row>& rows, const ObjectiveOptions& options, double normalizer) {
  return evaluate(make_chains(rows, leaf_weight(options.kind)), options, normalizer)
      .statistics.loss;
}

std::vector<Row> trl_rows(const json& batch) {
  std::vector<Row> rows;
  for (size_t i = 0; i < batch["advantages"].size(); ++i) {
    Row row{.advantage = batch["advantages"][i]};
    for (size_t t = 0; t < batch["mask"][i].size(); ++t) {
      if (batch["mask"][i][t] == 0.0) continue;
      row.logprobs.push_back(batch["logp"][i][t]);
      row.old_logprobs.push_back(batch["logp_old"][i][t]);
      row.reference_logprobs.push_back(batch["logp_ref"][i][t]);
    }
    rows.push_back(row);
  }
  return rows;
}

Objective objective_named(const std::string& name) {
  if (name == "grpo") return Objective::grpo;
  return name == "dr_grpo" ? Objective::dr_grpo : Objective::dapo;
}

// TRL has no dual clip, counts empty rows in its means, and for dapo divides by a given number.
TEST(Objective, EqualsTrl) {
  const json golden = read_golden("grpo_golden_trl.json");
  if (golden.is_null()) GTEST_SKIP() << no_assets();
  const std::vector<Row> rows = trl_rows(golden["batch"]);
  const auto max_length = static_cast<int64_t>(golden["batch"]["mask"][0].size());
  int by_token = 0, by_sequence = 0;
  std::set<std::string> kinds;
  for (const json& c : golden["cases"]) {
    kinds.insert(c["loss_type"].get<std::string>());
    const bool sequence = c["importance_sampling_level"] == "sequence";
    const ObjectiveOptions options{.kind = objective_named(c["loss_type"]),
                                   .ratio = sequence ? RatioLevel::sequence : RatioLevel::token,
                                   .clip_low = c["eps_low"],
                                   .clip_high = c["eps_high"],
                                   .dual_clip = 0,
                                   .kl_beta = c["beta"]};
    const double normalizer =
        loss_normalizer(options.kind, {.trajectory_tokens = c["dapo_norm"].get<int64_t>(),
                                       .trajectories = std::ssize(rows),
                                       .max_response_tokens = max_length});
    EXPECT_NEAR(loss_of(rows, options, normalizer), c["loss"].get<double>(), kOracleTolerance) << c;
    ++(sequence ? by_sequence : by_token);
    if (options.kind == Objective::grpo && sequence) {  // that is GSPO
      ObjectiveOptions gspo = options;
      gspo.kind = Objective::gspo;
      gspo.ratio = RatioLevel::automatic;
      EXPECT_EQ(loss_of(rows, gspo, normalizer), loss_of(rows, options, normalizer));
    }
  }
  EXPECT_EQ(kinds.size(), 3u);
  EXPECT_EQ(by_token, 16);
  EXPECT_EQ(by_sequence, 16);
}

// TRL's cispo has one bound, epsilon_high itself, above the ratio: the mapping of
// docs/guides/from-trl-verl.md.
TEST(Objective, CispoWithoutALowerBoundIsTrls) {
  constexpr double kEpsilonHigh = 5;
  const ObjectiveOptions options{
      .kind = Objective::cispo, .clip_low = 1, .clip_high = kEpsilonHigh - 1};
  RandomTrees random(1, 5);
  std::vector<Row> rows(20);
  double loss = 0;
  int64_t tokens = 0, above = 0, far_below = 0;
  std::vector<double> gradient;
  for (Row& row : rows) {
    row.advantage = random.uniform(-1, 1);
    for (int32_t t = random.integer(1, 6); t > 0; --t, ++tokens) {
      const double logp = random.uniform(-4, 0), old = random.uniform(-4, 0);
      row.logprobs.push_back(logp);
      row.old_logprobs.push_back(old);
      const double weight = std::min(std::exp(logp - old), kEpsilonHigh);
      above += weight == kEpsilonHigh;
      far_below += weight < 0.1;
      loss -= weight * row.advantage * logp;
      gradient.push_back(-weight * row.advantage);
    }
  }
  EXPECT_GT(above, 3);
  EXPECT_GT(far_below, 3);
  const auto normalizer = static_cast<double>(tokens);
  EXPECT_NEAR(loss_of(rows, options, normalizer), loss / normalizer, 1e-14);
  const Chains chains = make_chains(rows, LeafWeight::one);
  const ObjectiveResult found =
      evaluate_objective(chains.pack, chains.logprobs, chains.entropies, options, normalizer);
  for (size_t t = 0; t < gradient.size(); ++t)
    EXPECT_NEAR(found.logprob_gradient[t], gradient[t] / normalizer, 1e-15);
}

TEST(Objective, EqualsGoldenNumbers) {
  const json golden = read_golden("grpo_golden.json");
  if (golden.is_null()) GTEST_SKIP() << no_assets();
  for (const json& c : golden["clipped_surrogate"]) {
    const Row row{.advantage = c["advantage"],
                  .logprobs = {std::log(c["ratio"].get<double>())},
                  .old_logprobs = {0}};
    const ObjectiveOptions options{
        .clip_low = c["eps_low"], .clip_high = c["eps_high"], .dual_clip = 0};
    EXPECT_NEAR(-loss_of({row}, options, 1), c["value"].get<double>(), 1e-12) << c;
  }
  for (const json& c : golden["k3_kl"]) {
    const Row row{.advantage = 0,
                  .logprobs = {c["logp"]},
                  .old_logprobs = {c["logp"]},
                  .reference_logprobs = {c["logp_ref"]}};
    EXPECT_NEAR(loss_of({row}, {.kl_beta = 1}, 1), c["kl"].get<double>(), 1e-12) << c;
  }
  // At ratio 1 a token's loss is minus its advantage: a row for each number gives any per-token
  // loss.
  const json& mean = golden["masked_mean"];
  for (const char* kind : {"grpo", "dr_grpo", "dapo"}) {
    double sum = 0;
    for (size_t i = 0; i < mean["per_token"].size(); ++i) {
      const size_t length = mean["mask"][i][2] == 1.0 ? 3 : 2;
      for (size_t t = 0; t < length; ++t) {
        Chains chain = make_chains({{.advantage = 1,
                                     .logprobs = std::vector<double>(length),
                                     .old_logprobs = std::vector<double>(length)}},
                                   leaf_weight(objective_named(kind)));
        for (size_t other = 0; other < length; ++other) {
          if (other != t) chain.pack.positive[other] = 0;
        }
        sum -= mean["per_token"][i][t].get<double>() *
               evaluate_objective(
                   chain.pack, chain.logprobs, chain.entropies, {},
                   loss_normalizer(
                       objective_named(kind),
                       {.trajectory_tokens = 5, .trajectories = 2, .max_response_tokens = 3}))
                   .statistics.loss;
      }
    }
    EXPECT_NEAR(sum, mean[kind].get<double>(), 1e-12) << kind;
  }
  for (const json& c : golden["sequence_log_ratio"]) {
    Row row;
    for (size_t t = 0; t < c["mask"].size(); ++t) {
      if (c["mask"][t] == 0.0) continue;
      row.logprobs.push_back(c["logp"][t]);
      row.old_logprobs.push_back(c["logp_old"][t]);
    }
    if (row.logprobs.empty()) continue;  // no tokens: no trajectory
    const auto ratios = ratios_of(make_chains({row}, LeafWeight::one));
    EXPECT_NEAR(std::log(ratios.at(0)), c["value"].get<double>(), 1e-12) << c;
  }
}

TEST(Objective, StatisticsCountTrajectoryTokens) {
  // Ratios 1.5, 0.5, 20 and 1; each of the rows clips where its sign says.
  const std::vector<double> logprobs = {std::log(1.5), std::log(0.5), std::log(20.0), 0.0};
  const std::vector<double> old(4, 0.0);
  const Chains chains = make_chains({{.advantage = 1, .logprobs = logprobs, .old_logprobs = old},
                                     {.advantage = -1, .logprobs = logprobs, .old_logprobs = old}},
                                    LeafWeight::one);
  ObjectiveStatistics statistics =
      evaluate_objective(chains.pack, chains.logprobs, chains.entropies, {}, 8).statistics;
  EXPECT_EQ(statistics.tokens, 8);
  EXPECT_EQ(statistics.clipped_high, 2);  // 1.5 and 20, positive row
  EXPECT_EQ(statistics.clipped_low, 1);   // 0.5, negative row
  EXPECT_EQ(statistics.dual_clipped, 1);  // 20, negative row
  EXPECT_DOUBLE_EQ(statistics.ratio_sum, 2 * 23.0);
  EXPECT_DOUBLE_EQ(statistics.ratio_max, 20.0);
  EXPECT_EQ(statistics.mismatch_outside, 6);
  EXPECT_DOUBLE_EQ(statistics.mismatch_max, std::log(20.0));
  const double once = statistics.loss;
  statistics.add(ObjectiveStatistics(statistics));
  EXPECT_EQ(statistics.tokens, 16);
  EXPECT_DOUBLE_EQ(statistics.loss, 2 * once);
  EXPECT_DOUBLE_EQ(statistics.ratio_max, 20.0);
}

TEST(Objective, MismatchIsOfRecomputedLogprobsWhereTheyAreThere) {
  Chains chains =
      make_chains({{.advantage = 1, .logprobs = {-1.0}, .old_logprobs = {-2.0}}}, LeafWeight::one);
  chains.pack.sampled_logprob = {-2.25};
  const auto mismatch = [&] {
    return evaluate_objective(chains.pack, chains.logprobs, chains.entropies, {}, 1)
        .statistics.mismatch_sum;
  };
  EXPECT_DOUBLE_EQ(mismatch(), 1.25);
  chains.pack.old_recomputed = true;
  EXPECT_DOUBLE_EQ(mismatch(), 0.25);
}

// Trajectories of two queries that share some tokens, packed once: the means over all their tokens
// that a program without trees would log, verl's rollout_corr/kl and k3_kl and the k3 of old policy
// and new.
TEST(Objective, DivergencesAreThoseOfTheTrajectoriesApart) {
  Chains chains = make_chains(
      {{.advantage = 1, .logprobs = {-1.0, -0.25, -3.0}, .old_logprobs = {-1.5, -0.5, -2.0}},
       {.advantage = -1, .logprobs = {-2.0}, .old_logprobs = {-1.75}}},
      LeafWeight::one);
  PackedTrees& pack = chains.pack;
  pack.old_recomputed = true;
  pack.sampled_logprob = {-1.25, -0.75, -1.0, -2.25};
  pack.num_leaves = {3, 1, 2, 1};
  double k1 = 0, k3 = 0, policy_k3 = 0;
  for (size_t t = 0; t < 4; ++t) {
    for (int32_t leaf = 0; leaf < pack.num_leaves[t]; ++leaf) {
      const double log_ratio = pack.old_logprob[t] - pack.sampled_logprob[t];
      k1 += pack.sampled_logprob[t] - pack.old_logprob[t];
      k3 += std::exp(log_ratio) - log_ratio - 1;
      const double update = chains.logprobs[t] - pack.old_logprob[t];
      policy_k3 += std::exp(update) - update - 1;
    }
  }
  const ObjectiveStatistics found =
      evaluate_objective(pack, chains.logprobs, chains.entropies, {}, 1).statistics;
  EXPECT_NEAR(found.mismatch_k1_sum, k1, 1e-14);
  EXPECT_NEAR(found.mismatch_k3_sum, k3, 1e-14);
  EXPECT_NEAR(found.policy_kl_sum, policy_k3, 1e-14);
}

// A ratio that overflows must not turn a clipped token's gradient into NaN.
TEST(Objective, HugeRatiosStayFinite) {
  const Chains chains = make_chains({{.advantage = 1, .logprobs = {0}, .old_logprobs = {-2000}},
                                     {.advantage = -1, .logprobs = {0}, .old_logprobs = {-2000}}},
                                    LeafWeight::one);
  const auto result = evaluate_objective(chains.pack, chains.logprobs, chains.entropies, {}, 1);
  EXPECT_DOUBLE_EQ(result.statistics.loss, -1.28 + 10);
  for (const double gradient : result.logprob_gradient) EXPECT_EQ(gradient, 0);
}

// Every branch of every objective: ratio 1.5, 0.5 and 20 against bounds 0.8, 1.28 and dual clip 10.
TEST(LossTerms, PolicyTermByHand) {
  struct Expected {
    Objective kind;
    double advantage, ratio, loss, slope;
  };
  constexpr double kLogp = -0.5;
  for (const auto& [kind, advantage, ratio, loss, slope] : std::initializer_list<Expected>{
           {Objective::dapo, 2, 1.1, -2.2, -2.2},
           {Objective::dapo, 2, 1.5, -2.56, 0},
           {Objective::dapo, 2, 0.5, -1, -1},
           {Objective::dapo, -2, 1.5, 3, 3},
           {Objective::dapo, -2, 0.5, 1.6, 0},
           {Objective::dapo, -2, 20, 20, 0},
           {Objective::dapo, 0, 20, 0, 0},
           {Objective::cispo, 2, 1.1, 1.1, -2.2},  // -A clip(r) logp, slope -A clip(r)
           {Objective::cispo, 2, 1.5, 1.28, -2.56},
           {Objective::cispo, 2, 0.5, 0.8, -1.6},
           {Objective::cispo, -2, 1.5, -1.28, 2.56},
           {Objective::cispo, -2, 20, -1.28, 2.56},  // no dual clip
       }) {
    const LossTerm term = policy_term(advantage, ratio, kLogp, {.kind = kind});
    EXPECT_DOUBLE_EQ(term.loss, loss) << advantage << " " << ratio;
    EXPECT_DOUBLE_EQ(term.slope, slope) << advantage << " " << ratio;
  }
  EXPECT_EQ(clip_of(1.5, false, {.kind = Objective::cispo}), Clip::high);
  EXPECT_EQ(clip_of(1.5, false, {}), Clip::none);
  EXPECT_EQ(clip_of(20, false, {}), Clip::dual);
  EXPECT_EQ(clip_of(0.5, true, {}), Clip::none);
}

// Values and derivatives of the three estimators, and what the derivatives are on average: for two
// tokens of probability p and 1 - p, reference q and 1 - q, by the logit that moves p.
TEST(LossTerms, KlEstimators) {
  const double p = 0.3, q = 0.45;
  const auto mean = [&](KlEstimator estimator, bool slope) {
    const LossTerm a = kl_term(estimator, std::log(q / p));
    const LossTerm b = kl_term(estimator, std::log((1 - q) / (1 - p)));
    if (!slope) return p * a.loss + (1 - p) * b.loss;
    return p * a.slope * (1 - p) + (1 - p) * b.slope * -p;  // d logp / d logit
  };
  const double kl = p * std::log(p / q) + (1 - p) * std::log((1 - p) / (1 - q));
  EXPECT_NEAR(mean(KlEstimator::k1, false), kl, 1e-15);
  EXPECT_NEAR(mean(KlEstimator::k3, false), kl, 1e-15);
  EXPECT_NEAR(mean(KlEstimator::k1, true), 0, 1e-15);
  const double reverse = p * (1 - p) * (std::log(p / q) - std::log((1 - p) / (1 - q)));
  EXPECT_NEAR(mean(KlEstimator::k2, true), reverse, 1e-15);  // of KL(policy || reference)
  EXPECT_NEAR(mean(KlEstimator::k3, true), p - q, 1e-15);    // of KL(reference || policy)
  EXPECT_DOUBLE_EQ(kl_term(KlEstimator::k2, 0.4).loss, 0.08);
}

TEST(Objective, WhatAStepIsDividedBy) {
  const LossCounts counts{
      .trajectory_tokens = 100, .trajectories = 8, .queries = 2, .max_response_tokens = 20};
  using enum Objective;
  for (const Objective kind : {dapo, cispo, reinforce_plus_plus})
    EXPECT_EQ(loss_normalizer(kind, counts), 100);
  for (const Objective kind : {grpo, gspo}) EXPECT_EQ(loss_normalizer(kind, counts), 8);
  EXPECT_EQ(loss_normalizer(dr_grpo, counts), 160);
  EXPECT_EQ(loss_normalizer(bnpo, counts), 2);
}

// A token without any weight must not bring NaN, however far off it is.
TEST(Objective, WhatIsMaskedIsNothing) {
  Chains chains = make_chains({{.advantage = -1, .logprobs = {0, 0}, .old_logprobs = {-2000, 0}}},
                              LeafWeight::one);
  chains.pack.sampled_logprob = {-1, 0};
  const auto result =
      evaluate(chains, {.dual_clip = 0, .importance_mask = ImportanceMask::token}, 1);
  EXPECT_DOUBLE_EQ(result.statistics.loss, 1);
  EXPECT_EQ(result.logprob_gradient[0], 0);
  EXPECT_DOUBLE_EQ(result.logprob_gradient[1], 1);
  EXPECT_EQ(result.statistics.masked, 1);
}

}  // namespace
}  // namespace treepo
