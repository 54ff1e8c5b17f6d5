#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <set>

#include "config/enum_names.h"
#include "learn/importance_mask.h"
#include "learn/loss_terms.h"
#include "learn/random_objective.h"
#include "learn/random_tree.h"
#include "learn/tiny_decoder.h"
#include "learn/update.h"
#include "train/dense_forward.h"

namespace treepo {
namespace {

constexpr int32_t kVocab = 11;
constexpr double kTemperature = 0.8;

at::Tensor tensor(const std::vector<double>& values) {
  return at::tensor(values, at::kDouble);
}

// One trajectory as tensors of its tokens [n], log-probs and entropy differentiable: a forward pass
// of its own over prompt and response with dense attention.
struct Trajectory {
  at::Tensor logp, entropy, old_logp, sampled, reference, advantage;

  Trajectory(const Decoder& decoder, const TrainingTree& training, size_t leaf) {
    const SearchTree& tree = *training.tree;
    const auto path = tree.path(training.leaves[leaf]);
    const auto used = tree.path_used_tokens(training.leaves[leaf]);
    std::vector<int64_t> tokens(tree.prompt().begin(), tree.prompt().end());
    const auto prompt = std::ssize(tokens);
    std::vector<double> olds, drawn, references, advantages;
    for (size_t n = 1; n < path.size(); ++n) {
      for (int32_t offset = 0; offset < used[n]; ++offset) {
        const auto slot = static_cast<size_t>(path[n] * tree.segment_tokens() + offset);
        tokens.push_back(tree.tokens(path[n])[static_cast<size_t>(offset)]);
        drawn.push_back(tree.logprobs(path[n])[static_cast<size_t>(offset)]);
        olds.push_back(training.old_logprobs[slot]);
        references.push_back(training.reference_logprobs[slot]);
        advantages.push_back(training.node_advantages.empty()
                                 ? training.advantages[leaf]
                                 : training.node_advantages[static_cast<size_t>(path[n])]);
      }
    }
    DenseAttention attention(decoder.config());
    const at::Tensor ids = at::tensor(tokens, at::kLong);
    const at::Tensor hidden = decoder.hidden(ids, at::arange(ids.size(0), at::kLong), attention);
    const at::Tensor logits = hidden.matmul(decoder.head_weight().t()) / kTemperature;
    const at::Tensor all = logits.slice(0, prompt - 1, ids.size(0) - 1).log_softmax(-1);
    logp = all.gather(1, ids.slice(0, prompt).unsqueeze(1)).squeeze(1);
    entropy = -(all.exp() * all).sum(1);
    old_logp = tensor(olds);
    sampled = tensor(drawn);
    reference = tensor(references);
    advantage = tensor(advantages);
  }
};

at::Tensor inside(const at::Tensor& ratio, const ObjectiveOptions& o) {
  return ((ratio >= o.importance_mask_low) & (ratio <= o.importance_mask_high)).to(at::kDouble);
}

at::Tensor importance_of(const Trajectory& x, const ObjectiveOptions& o) {
  const at::Tensor difference = x.old_logp - x.sampled;
  at::Tensor weight = at::ones_like(difference);
  if (o.importance_cap > 0) weight = difference.exp().clamp_max(o.importance_cap);
  if (o.importance_mask == ImportanceMask::token) weight = weight * inside(difference.exp(), o);
  if (o.importance_mask == ImportanceMask::sequence)
    weight = weight * inside(difference.sum().exp(), o);
  if (o.importance_mask == ImportanceMask::geometric)
    weight = weight * inside(difference.mean().exp(), o);
  return weight;
}

// The ratio of a sequence in the form for tokens (GSPO, arXiv 2507.18071): its value is s for all,
// its gradient that of each token's own log-prob.
at::Tensor ratio_of(const Trajectory& x, const ObjectiveOptions& o) {
  const at::Tensor difference = x.logp - x.old_logp;
  if (!uses_sequence_ratio(o)) return difference.exp();
  return difference.mean().exp().detach() * (x.logp - x.logp.detach()).exp();
}

at::Tensor token_losses(const Trajectory& x, const ObjectiveOptions& o) {
  const at::Tensor ratio = ratio_of(x, o), a = x.advantage;
  const at::Tensor clipped = ratio.clamp(1 - o.clip_low, 1 + o.clip_high);
  at::Tensor loss = at::max(-a * ratio, -a * clipped);
  if (o.dual_clip > 0) loss = at::where(a < 0, at::min(loss, -a * o.dual_clip), loss);
  if (o.kind == Objective::cispo) loss = -a * clipped.detach() * x.logp;
  loss = loss * importance_of(x, o);
  const at::Tensor d = x.reference - x.logp;
  const at::Tensor kl = o.kl_estimator == KlEstimator::k1   ? -d
                        : o.kl_estimator == KlEstimator::k2 ? d * d / 2
                                                            : d.exp() - d - 1;
  return loss + o.kl_beta * kl - o.entropy_beta * x.entropy;
}

constexpr int64_t kLongest = 40;

at::Tensor batch_loss(const Decoder& decoder, const std::vector<TrainingTree>& batch,
                      const ObjectiveOptions& o) {
  at::Tensor tokens_sum = at::zeros({}, at::kDouble), means_sum = tokens_sum,
             queries_sum = tokens_sum;
  int64_t tokens = 0, trajectories = 0, queries = 0;
  for (const TrainingTree& training : batch) {
    std::vector<at::Tensor> losses;
    for (size_t i = 0; i < training.leaves.size(); ++i) {
      losses.push_back(token_losses(Trajectory(decoder, training, i), o));
      means_sum = means_sum + losses.back().mean();
    }
    if (losses.empty()) continue;
    const at::Tensor all = at::cat(losses);
    tokens_sum = tokens_sum + all.sum();
    queries_sum = queries_sum + all.mean();
    tokens += all.numel();
    trajectories += std::ssize(losses);
    ++queries;
  }
  switch (o.kind) {
    case Objective::grpo:
    case Objective::gspo:
      return means_sum / trajectories;
    case Objective::dr_grpo:
      return tokens_sum / (trajectories * kLongest);
    case Objective::bnpo:
      return queries_sum / queries;
    default:
      return tokens_sum / tokens;
  }
}

// `update` with a gradient clipped to nothing it changes: the loss and gradient of one step.
struct Step {
  double loss = 0;
  at::Tensor gradients;
};

Step packed_step(Decoder& decoder, const std::vector<TrainingTree>& batch,
                 const ObjectiveOptions& o, const PackRunOptions& run) {
  AdamW optimizer = make_optimizer(decoder, {});
  const UpdateReport report =
      update(decoder, optimizer, batch, o, kLongest, /*learning_rate=*/0.0, run);
  return {.loss = report.objective.loss, .gradients = decoder.parameters().gradients().clone()};
}

Step twin_step(Decoder& decoder, const std::vector<TrainingTree>& batch,
               const ObjectiveOptions& o) {
  decoder.parameters().enable_gradients();
  decoder.parameters().zero_gradients();
  const at::Tensor loss = batch_loss(decoder, batch, o);
  torch::autograd::backward({loss}, {});
  return {.loss = loss.item<double>(), .gradients = decoder.parameters().gradients().clone()};
}

void expect_close(const Step& found, const Step& expected, const std::string& what) {
  EXPECT_NEAR(found.loss, expected.loss, 1e-11 * (1 + std::abs(expected.loss))) << what;
  const double scale = expected.gradients.norm().item<double>();
  EXPECT_LT((found.gradients - expected.gradients).norm().item<double>(), 1e-10 * (1e-3 + scale))
      << what;
}

// Every objective with random options, advantages of leaves and of nodes: packed, apart and cut
// into small packs, against plain autograd over the trajectories.
TEST(UpdateTwin, EveryObjectiveEqualsPlainAutograd) {
  Decoder decoder = tiny_decoder(at::kDouble, kVocab);
  std::set<std::pair<Objective, bool>> seen;
  for (uint64_t seed = 0; seed < 56; ++seed) {
    RandomTrees random(seed, kVocab);
    auto batch = random.batch(2, /*with_old=*/true, /*with_reference=*/true);
    if (random.integer(0, 2) == 0) random.draw_node_advantages(batch);
    ObjectiveOptions objective = random_objective(random);
    objective.kind = static_cast<Objective>(seed % 7);
    mask_trajectories(batch, objective);
    int64_t trajectories = 0;
    for (const TrainingTree& training : batch) trajectories += std::ssize(training.leaves);
    if (trajectories == 0) continue;
    seen.emplace(objective.kind, uses_sequence_ratio(objective));

    const Step twin = twin_step(decoder, batch, objective);
    const std::string what =
        fmt::format("seed {}, {}", seed, kEnumNames<Objective>[static_cast<size_t>(seed % 7)]);
    expect_close(packed_step(decoder, batch, objective, {.temperature = kTemperature}), twin, what);
    expect_close(
        packed_step(decoder, batch, objective, {.temperature = kTemperature, .packed = false}),
        twin, what + ", apart");
    expect_close(
        packed_step(decoder, batch, objective, {.temperature = kTemperature, .max_tokens = 10}),
        twin, what + ", cut");
    if (HasFailure()) FAIL();
  }
  EXPECT_EQ(seen.size(), 13u) << "gspo always has the ratio of sequences, the others both";
}

// Where advantages and weights are the trajectory's, the form for tokens is GSPO's own: the
// gradient of the mean over trajectories of max(-A s, -A clip(s)).
TEST(UpdateTwin, SequenceRatioIsGspo) {
  Decoder decoder = tiny_decoder(at::kDouble, kVocab);
  for (uint64_t seed = 0; seed < 10; ++seed) {
    RandomTrees random(seed, kVocab);
    const auto batch = random.batch(2, /*with_old=*/true, /*with_reference=*/true);
    decoder.parameters().enable_gradients();
    decoder.parameters().zero_gradients();
    at::Tensor sum = at::zeros({}, at::kDouble);
    int64_t trajectories = 0;
    for (const TrainingTree& training : batch) {
      for (size_t i = 0; i < training.leaves.size(); ++i) {
        const Trajectory x(decoder, training, i);
        const at::Tensor s = (x.logp - x.old_logp).mean().exp();
        const double a = training.advantages[i];
        sum = sum + at::max(-a * s, -a * s.clamp(0.9, 1.1));
        ++trajectories;
      }
    }
    if (trajectories == 0) continue;
    const at::Tensor loss = sum / trajectories;
    torch::autograd::backward({loss}, {});
    const Step twin{.loss = loss.item<double>(),
                    .gradients = decoder.parameters().gradients().clone()};
    const ObjectiveOptions gspo{
        .kind = Objective::gspo, .clip_low = 0.1, .clip_high = 0.1, .dual_clip = 0};
    expect_close(packed_step(decoder, batch, gspo, {.temperature = kTemperature}), twin,
                 fmt::format("seed {}", seed));
  }
}

}  // namespace
}  // namespace treepo
