#include "learn/update.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "base/error.h"
#include "learn/importance_mask.h"
#include "learn/loss_terms.h"
#include "learn/random_objective.h"
#include "learn/random_tree.h"
#include "learn/tiny_decoder.h"

namespace treepo {
namespace {

constexpr int32_t kVocab = 11;

double relative(const at::Tensor& found, const at::Tensor& expected) {
  return ((found - expected).norm() / (expected.norm() + 1e-300)).item<double>();
}

// Loss statistics and flat gradient of one step's packs.
struct Outcome {
  ObjectiveStatistics statistics;
  at::Tensor gradients;
  size_t num_packs = 0;
  int64_t packed_tokens = 0;
};

Outcome run(Decoder& decoder, const std::vector<TrainingTree>& batch,
            const ObjectiveOptions& objective, const PackRunOptions& options,
            MaskedLeaves masked = MaskedLeaves::packed) {
  decoder.parameters().enable_gradients();
  decoder.parameters().zero_gradients();
  const auto packs = make_packs(batch, leaf_weight(objective.kind), options, masked);
  Outcome outcome{.statistics = accumulate_gradients(decoder, packs, objective, 13.0, options),
                  .gradients = decoder.parameters().gradients().clone(),
                  .num_packs = packs.size()};
  for (const PackedTrees& pack : packs) outcome.packed_tokens += pack.sequence.size();
  return outcome;
}

void expect_equal_counts(const ObjectiveStatistics& found, const ObjectiveStatistics& expected) {
  EXPECT_EQ(found.clipped_low, expected.clipped_low);
  EXPECT_EQ(found.clipped_high, expected.clipped_high);
  EXPECT_EQ(found.dual_clipped, expected.dual_clipped);
  EXPECT_EQ(found.masked, expected.masked);
  EXPECT_EQ(found.mismatch_outside, expected.mismatch_outside);
}

void expect_equal(const Outcome& found, const Outcome& expected) {
  EXPECT_LT(relative(found.gradients, expected.gradients), 1e-10);
  const ObjectiveStatistics &f = found.statistics, &e = expected.statistics;
  EXPECT_NEAR(f.loss, e.loss, 1e-12 * (1 + std::abs(e.loss)));
  EXPECT_EQ(f.tokens, e.tokens);
  expect_equal_counts(f, e);
  EXPECT_NEAR(f.entropy_sum, e.entropy_sum, 1e-10);
  EXPECT_NEAR(f.kl_sum, e.kl_sum, 1e-10);
  EXPECT_NEAR(f.ratio_sum, e.ratio_sum, 1e-10 * (1 + e.ratio_sum));
  EXPECT_NEAR(f.policy_kl_sum, e.policy_kl_sum, 1e-10 * (1 + e.policy_kl_sum));
  EXPECT_NEAR(f.mismatch_k1_sum, e.mismatch_k1_sum, 1e-10);
  EXPECT_NEAR(f.mismatch_k3_sum, e.mismatch_k3_sum, 1e-10 * (1 + e.mismatch_k3_sum));
}

TEST(Update, PackedEqualsTrajectoriesApartAndAnySplit) {
  Decoder decoder = tiny_decoder(at::kDouble, kVocab);
  size_t most_packs = 0;
  int sequence_ratios_over_packs = 0;
  for (uint64_t seed = 0; seed < 40; ++seed) {
    RandomTrees random(seed, kVocab);
    auto batch = random.batch(3, /*with_old=*/true, /*with_reference=*/true);
    const ObjectiveOptions objective = random_objective(random);
    mask_trajectories(batch, objective);
    const double temperature = random.integer(0, 1) == 0 ? 1.0 : 0.8;
    const Outcome apart = run(decoder, batch, objective,
                              {.temperature = temperature, .max_tokens = 100'000, .packed = false});
    const Outcome packed =
        run(decoder, batch, objective, {.temperature = temperature, .max_tokens = 100'000});
    const Outcome split =
        run(decoder, batch, objective,
            {.temperature = temperature, .max_tokens = 12, .logit_chunk_tokens = 3});
    expect_equal(packed, apart);
    expect_equal(split, apart);
    EXPECT_LE(packed.num_packs, 1u);
    most_packs = std::max(most_packs, split.num_packs);
    sequence_ratios_over_packs += uses_sequence_ratio(objective) && split.num_packs > 3;
    if (HasFailure()) FAIL() << "seed " << seed;
  }
  EXPECT_GT(most_packs, 3u);
  EXPECT_GT(sequence_ratios_over_packs, 3);
}

// Where nothing but the policy loss has a weight, masked trajectories are not run, and nothing of
// the step is another for it.
TEST(Update, MaskedTrajectoriesAreNotRunForNothing) {
  Decoder decoder = tiny_decoder(at::kDouble, kVocab);
  int64_t saved = 0, masked = 0;
  for (uint64_t seed = 0; seed < 60; ++seed) {
    RandomTrees random(seed, kVocab);
    auto batch = random.batch(3, /*with_old=*/true, /*with_reference=*/true);
    ObjectiveOptions objective = random_objective(random);
    objective.importance_mask =
        seed % 2 == 0 ? ImportanceMask::sequence : ImportanceMask::geometric;
    mask_trajectories(batch, objective);
    if (objective.kl_beta != 0 || objective.entropy_beta != 0) {
      EXPECT_EQ(masked_leaves(objective), MaskedLeaves::packed);
      objective.kl_beta = objective.entropy_beta = 0;
    }
    ASSERT_EQ(masked_leaves(objective), MaskedLeaves::dropped);
    const PackRunOptions options = {.max_tokens = seed % 3 == 0 ? 12 : 100'000,
                                    .packed = seed % 4 != 3};
    const Outcome all = run(decoder, batch, objective, options);
    Outcome found = run(decoder, batch, objective, options, MaskedLeaves::dropped);
    count_masked(batch, objective, found.statistics);
    EXPECT_LE(relative(found.gradients, all.gradients), 1e-14);
    const ObjectiveStatistics &f = found.statistics, &e = all.statistics;
    EXPECT_NEAR(f.loss, e.loss, 1e-15 * (1 + std::abs(e.loss)));
    expect_equal_counts(f, e);
    EXPECT_EQ(f.tokens + f.masked, e.tokens);
    EXPECT_EQ(f.compared, e.compared);
    EXPECT_EQ(f.mismatch_max, e.mismatch_max);
    EXPECT_NEAR(f.mismatch_sum, e.mismatch_sum, 1e-12 * (1 + e.mismatch_sum));
    EXPECT_NEAR(f.mismatch_k1_sum, e.mismatch_k1_sum, 1e-12 * (1 + e.mismatch_sum));
    EXPECT_NEAR(f.mismatch_k3_sum, e.mismatch_k3_sum, 1e-12 * (1 + e.mismatch_k3_sum));
    EXPECT_NEAR(f.importance_sum, e.importance_sum, 1e-12 * (1 + e.importance_sum));
    saved += all.packed_tokens - found.packed_tokens;
    masked += f.masked;
    if (HasFailure()) FAIL() << "seed " << seed;
  }
  EXPECT_GT(saved, 100);
  EXPECT_GT(masked, 100);
}

// The same step by `update`, also where nothing is left to run.
TEST(Update, DropsMaskedTrajectoriesByItself) {
  Decoder decoder = tiny_decoder(at::kDouble, kVocab);
  AdamW optimizer = make_optimizer(decoder, {});
  RandomTrees random(4, kVocab);
  auto batch = random.batch(3, /*with_old=*/true);
  ObjectiveOptions objective{.importance_mask = ImportanceMask::sequence};
  const auto step = [&](bool mask) {
    for (TrainingTree& training : batch) training.masked.assign(training.leaves.size(), mask);
    return update(decoder, optimizer, batch, objective, 9, /*learning_rate=*/0.0, {});
  };
  const UpdateReport all = step(false), none = step(true);
  EXPECT_GT(all.packed_tokens, 0);
  EXPECT_EQ(none.packed_tokens, 0);
  EXPECT_EQ(none.trajectory_tokens, all.trajectory_tokens);
  EXPECT_EQ(none.objective.masked, all.trajectory_tokens);
  EXPECT_EQ(none.objective.compared, all.objective.compared);
  EXPECT_GT(all.step.gradient_norm, 0);
  EXPECT_EQ(none.step.gradient_norm, 0);
  EXPECT_FALSE(none.step.skipped);
  objective.entropy_beta = 0.1;
  EXPECT_EQ(step(true).packed_tokens, all.packed_tokens);
}

// Trajectories without any loss count in divisors of trajectories, not in those of tokens: as
// trajectories of advantage 0 the former, as if they were not there the latter.
TEST(Update, WhatIsLeftOutCountsAsATrajectory) {
  Decoder decoder = tiny_decoder(at::kDouble, kVocab);
  AdamW optimizer = make_optimizer(decoder, {});
  for (const Objective kind :
       {Objective::dapo, Objective::grpo, Objective::dr_grpo, Objective::bnpo, Objective::gspo}) {
    RandomTrees random(7, kVocab);
    const SearchTree& tree = random.tree(12, 4);
    TrainingTree whole{.tree = &tree,
                       .leaves = tree.leaves(),
                       .advantages = std::vector<double>(tree.leaves().size(), 0.0)};
    ASSERT_GT(whole.leaves.size(), 3u);
    TrainingTree part{.tree = &tree};
    int64_t kept_tokens = 0;
    for (size_t i = 0; i < whole.leaves.size(); ++i) {
      if (i % 3 == 1) {
        ++part.left_out;
        continue;
      }
      whole.advantages[i] = i % 2 == 0 ? 1 : -0.5;
      part.leaves.push_back(whole.leaves[i]);
      part.advantages.push_back(whole.advantages[i]);
      kept_tokens += tree.path_tokens(whole.leaves[i]);
    }
    const auto gradients = [&](const TrainingTree& training) {
      update(decoder, optimizer, {&training, 1}, {.kind = kind}, 9, /*learning_rate=*/0.0, {});
      return decoder.parameters().gradients().clone();
    };
    int64_t all_tokens = 0;
    for (const int32_t leaf : whole.leaves) all_tokens += tree.path_tokens(leaf);
    const bool by_tokens = kind == Objective::dapo || kind == Objective::bnpo;
    const double scale =
        by_tokens ? static_cast<double>(all_tokens) / static_cast<double>(kept_tokens) : 1.0;
    EXPECT_GT(all_tokens, kept_tokens);
    EXPECT_LT(relative(gradients(part), scale * gradients(whole)), 1e-12) << static_cast<int>(kind);
  }
  const SearchTree empty({2}, 3);
  const TrainingTree nothing{.tree = &empty, .left_out = 3};
  const UpdateReport report = update(decoder, optimizer, {&nothing, 1}, {}, 9, 1e-3, {});
  EXPECT_EQ(report.trajectories, 0);
  EXPECT_TRUE(report.step.skipped);
}

// However they are run, and cut into packs.
TEST(Update, UniqueTokensAreThoseOfTheTrees) {
  Decoder decoder = tiny_decoder(at::kDouble, kVocab);
  AdamW optimizer = make_optimizer(decoder, {});
  for (uint64_t seed = 0; seed < 10; ++seed) {
    RandomTrees random(seed, kVocab);
    const auto batch = random.batch(3);
    std::set<std::pair<const SearchTree*, int64_t>> slots;
    for (const TrainingTree& training : batch) {
      for (const int32_t leaf : training.leaves) {
        const auto path = training.tree->path(leaf);
        const auto used = training.tree->path_used_tokens(leaf);
        for (size_t n = 1; n < path.size(); ++n)
          for (int32_t offset = 0; offset < used[n]; ++offset)
            slots.emplace(training.tree, path[n] * training.tree->segment_tokens() + offset);
      }
    }
    for (const PackRunOptions& options :
         {PackRunOptions{}, PackRunOptions{.max_tokens = 12}, PackRunOptions{.packed = false}}) {
      const UpdateReport report = update(decoder, optimizer, batch, {}, 9, 0.0, options);
      EXPECT_EQ(report.unique_tokens, std::ssize(slots)) << seed;
    }
  }
}

TEST(Update, RecomputedLogprobsAreThoseOfTheTrajectories) {
  const Decoder decoder = tiny_decoder(at::kDouble, kVocab);
  RandomTrees random(3, kVocab);
  const auto batch = random.batch(3);
  const auto packed = compute_logprobs(decoder, batch, {.max_tokens = 20});
  const auto apart = compute_logprobs(decoder, batch, {.packed = false});
  for (size_t b = 0; b < batch.size(); ++b) {
    ASSERT_EQ(packed[b].size(), apart[b].size());
    for (size_t slot = 0; slot < packed[b].size(); ++slot) {
      EXPECT_EQ(std::isnan(packed[b][slot]), std::isnan(apart[b][slot]));
      if (std::isnan(packed[b][slot])) continue;
      EXPECT_NEAR(packed[b][slot], apart[b][slot], 1e-12);
    }
  }
}

// One tree, prompt 2 3, trajectories [4, 5] (advantage 1) and [4, 6] (advantage -1).
struct Duel {
  SearchTree tree{{2, 3}, 1};
  TrainingTree training{.tree = &tree};

  explicit Duel(const Decoder& decoder) {
    const int32_t stem = tree.add_child(0);
    tree.append(stem, 4, 0, 0);
    for (const int32_t token : {5, 6}) {
      const int32_t leaf = tree.add_child(stem);
      tree.append(leaf, token, 0, 0);
      tree.stop(leaf, StopReason::eos);
      training.leaves.push_back(leaf);
    }
    training.advantages = {1, -1};
    training.old_logprobs = compute_logprobs(decoder, {&training, 1}, {})[0];
  }
};

TEST(Update, RaisesWhatWasGoodAndLowersWhatWasBad) {
  Decoder decoder = tiny_decoder(at::kFloat, kVocab);
  OptimizerOptions options;
  AdamW optimizer = make_optimizer(decoder, options);
  const Duel duel(decoder);
  const UpdateReport report =
      update(decoder, optimizer, {&duel.training, 1}, {}, 2, /*learning_rate=*/1e-3, {});
  EXPECT_EQ(report.trajectories, 2);
  EXPECT_EQ(report.trajectory_tokens, 4);
  EXPECT_EQ(report.unique_tokens, 3);
  EXPECT_EQ(report.packed_tokens, 3);  // 2 3 4
  EXPECT_EQ(report.packs, 1);
  EXPECT_FALSE(report.step.skipped);
  EXPECT_GT(report.step.gradient_norm, 0);
  EXPECT_NEAR(report.objective.ratio_sum, 4, 1e-5);
  const auto after = compute_logprobs(decoder, {&duel.training, 1}, {})[0];
  EXPECT_GT(after[2], duel.training.old_logprobs[2]);
  EXPECT_LT(after[3], duel.training.old_logprobs[3]);
}

TEST(Update, RunsWithTheSameInputGiveTheSameBits) {
  at::set_num_threads(2);
  const auto weights_after = [] {
    Decoder decoder = tiny_decoder(at::kFloat, kVocab);
    AdamW optimizer = make_optimizer(decoder, {});
    RandomTrees random(8, kVocab);
    const auto batch = random.batch(4, true, true);
    for (int i = 0; i < 3; ++i)
      update(decoder, optimizer, batch, {.entropy_beta = 0.01}, 50, 1e-3, {.max_tokens = 25});
    return decoder.parameters().values().clone();
  };
  const at::Tensor first = weights_after();
  EXPECT_TRUE(first.equal(weights_after()));
  at::set_num_threads(1);
}

TEST(Update, BrokenLogprobSkipsTheStep) {
  Decoder decoder = tiny_decoder(at::kFloat, kVocab);
  AdamW optimizer = make_optimizer(decoder, {});
  Duel duel(decoder);
  duel.training.old_logprobs[1] = NAN;
  const at::Tensor before = decoder.parameters().values().clone();
  const UpdateReport report = update(decoder, optimizer, {&duel.training, 1}, {}, 2, 1e-3, {});
  EXPECT_TRUE(report.step.skipped);
  EXPECT_TRUE(decoder.parameters().values().equal(before));
}

TEST(Update, EachStepStartsFromZeroGradients) {
  Decoder decoder = tiny_decoder(at::kFloat, kVocab);
  AdamW optimizer = make_optimizer(decoder, {});
  Duel duel(decoder);
  const auto norm = [&] {
    return update(decoder, optimizer, {&duel.training, 1}, {}, 2, /*learning_rate=*/0.0, {})
        .step.gradient_norm;
  };
  const double first = norm();
  EXPECT_EQ(norm(), first);
}

TEST(Update, NothingToLearnFromSkipsTheStep) {
  Decoder decoder = tiny_decoder(at::kFloat, kVocab);
  AdamW optimizer = make_optimizer(decoder, {});
  EXPECT_TRUE(update(decoder, optimizer, {}, {}, 2, 1e-3, {}).step.skipped);
  EXPECT_EQ(optimizer.state().steps, 0);
}

TEST(Update, ImportanceRatiosNeedRecomputedLogprobs) {
  Decoder decoder = tiny_decoder(at::kFloat, kVocab);
  AdamW optimizer = make_optimizer(decoder, {});
  Duel duel(decoder);
  duel.training.old_logprobs.clear();
  for (const ObjectiveOptions& objective :
       {ObjectiveOptions{.importance_cap = 2},
        ObjectiveOptions{.importance_mask = ImportanceMask::token}})
    EXPECT_THROW(update(decoder, optimizer, {&duel.training, 1}, objective, 2, 1e-3, {}), Error);
}

// Norms and biases keep their values under a zero gradient; matrices shrink.
TEST(Update, OnlyMatricesDecay) {
  Decoder decoder = tiny_decoder(at::kDouble, kVocab);
  AdamW optimizer = make_optimizer(decoder, {.weight_decay = 0.5});
  std::vector<at::Tensor> before;
  for (const auto& [name, tensor] : decoder.parameters().named_tensors())
    before.push_back(tensor.clone());
  optimizer.step(0.1);
  size_t i = 0;
  for (const auto& [name, tensor] : decoder.parameters().named_tensors()) {
    const at::Tensor expected = tensor.dim() > 1 ? before[i] * (1 - 0.1 * 0.5) : before[i];
    EXPECT_TRUE(tensor.equal(expected)) << name;
    ++i;
  }
}

}  // namespace
}  // namespace treepo
