#include "learn/loss_scale.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "learn/random_tree.h"
#include "learn/supervised.h"
#include "learn/tiny_decoder.h"
#include "learn/update.h"

namespace treepo {
namespace {

constexpr int32_t kVocab = 11;

double relative(const at::Tensor& found, const at::Tensor& expected) {
  return ((found.to(at::kDouble) - expected).norm() / expected.norm()).item<double>();
}

// Padding between parameters is another for each dtype.
void copy_weights(const Decoder& from, Decoder& to) {
  auto targets = to.parameters().named_tensors();
  const auto sources = from.parameters().named_tensors();
  for (size_t i = 0; i < targets.size(); ++i)
    targets[i].second.detach().copy_(sources[i].second.detach());
}

at::Tensor flat_gradients(const Decoder& decoder) {
  std::vector<at::Tensor> parts;
  for (const auto& [name, tensor] : decoder.parameters().named_gradients())
    parts.push_back(tensor.flatten());
  return at::cat(parts);
}

// The gradient of a batch of trees whose loss is a mean over `normalizer` tokens.
at::Tensor gradient(const Decoder& weights, c10::ScalarType dtype, double normalizer) {
  Decoder decoder = tiny_decoder(dtype, kVocab);
  copy_weights(weights, decoder);
  decoder.parameters().enable_gradients();
  RandomTrees random(3, kVocab);
  const auto batch = random.batch(4, /*with_old=*/false, /*with_reference=*/false);
  const PackRunOptions options{.max_tokens = 20};
  ObjectiveOptions objective;
  objective.entropy_beta = 0.01;
  const auto packs = make_packs(batch, leaf_weight(objective.kind), options);
  EXPECT_GT(packs.size(), 1u);
  accumulate_gradients(decoder, packs, objective, normalizer, options);
  return flat_gradients(decoder);
}

// However many tokens share the loss, float16 loses no more than its rounding.
TEST(LossScale, MeansOverManyTokensDoNotUnderflowInFloat16) {
  Decoder weights = tiny_decoder(at::kDouble, kVocab);
  weights.parameters().values().copy_(weights.parameters().values().to(at::kHalf));
  const double few = relative(gradient(weights, at::kHalf, 8), gradient(weights, at::kDouble, 8));
  EXPECT_LT(few, 0.02);
  for (const double normalizer : {1e5, 1e8, 1e12})
    EXPECT_NEAR(relative(gradient(weights, at::kHalf, normalizer),
                         gradient(weights, at::kDouble, normalizer)),
                few, 0.01)
        << normalizer;
}

TEST(LossScale, ScalesNothingButFloat16) {
  for (const auto dtype : {at::kDouble, at::kFloat, at::kBFloat16, at::kHalf}) {
    Decoder decoder = tiny_decoder(dtype, kVocab);
    decoder.parameters().enable_gradients();
    decoder.parameters().gradients().fill_(3);
    LossScale scale(decoder.parameters());
    std::vector<double> none = {0, 0}, logprob = {-1e-6, 3e-7}, entropy = {2e-7};
    scale.apply(none, none);
    scale.apply(logprob, entropy);
    const double by = dtype == at::kHalf ? std::exp2(20) : 1;  // 1e-6 · 2²⁰ = 1.05
    EXPECT_EQ(logprob, (std::vector<double>{-1e-6 * by, 3e-7 * by}));
    EXPECT_EQ(entropy, (std::vector<double>{2e-7 * by}));
    EXPECT_EQ(decoder.parameters().gradients()[0].item<double>(), 3 * by);
    scale.finish();
    EXPECT_EQ(decoder.parameters().gradients()[0].item<double>(), 3);
  }
}

// The sums are float32: a scale beyond its range would make no numbers of those that are 0.
TEST(LossScale, StaysInTheRangeOfTheSums) {
  for (const double largest : {1e-60, 1e60}) {
    Decoder decoder = tiny_decoder(at::kHalf, kVocab);
    decoder.parameters().enable_gradients();
    decoder.parameters().gradients().zero_();
    LossScale scale(decoder.parameters());
    std::vector<double> logprob = {largest}, entropy;
    scale.apply(logprob, entropy);
    scale.finish();
    EXPECT_EQ(decoder.parameters().gradients().abs().max().item<double>(), 0) << largest;
  }
}

// A mean over copies of one example has its gradient, however small each copy's part is.
TEST(LossScale, SupervisedStepsAreScaledToo) {
  const auto gradient_of = [](size_t copies) {
    Decoder decoder = tiny_decoder(at::kHalf, kVocab);
    AdamW optimizer = make_optimizer(decoder, {});
    const std::vector<Example> examples(copies, {.prompt = {1, 2}, .response = {3, 4, 5}});
    supervised_update(decoder, optimizer, examples, 0, {.max_tokens = 100'000});
    return flat_gradients(decoder).to(at::kDouble);
  };
  // Sums of float16 products differ by their order; without a scale it is 4e-3.
  EXPECT_LT(relative(gradient_of(4096), gradient_of(1)), 5e-4);
}

}  // namespace
}  // namespace treepo
