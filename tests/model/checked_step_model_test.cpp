// --device checked: agreement of the two implementations is silent, and a wrong one is found where
// it goes wrong.

#include "model/checked_step_model.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/greedy_decode.h"
#include "model/make_step_model.h"
#include "model/packed_forward.h"
#include "model/side_by_side.h"
#include "one_token_batch.h"
#include "random_tree.h"
#include "support/expect_error.h"
#include "tiny_models.h"

namespace treepo {
namespace {

using testing::AllOf;
using testing::HasSubstr;

using Rows = std::vector<std::vector<int32_t>>;
const Rows kPrompts = {{3, 4, 5, 6, 7}, {8, 9}, {10}};

Decoder tiny(c10::ScalarType dtype, const char* family = "qwen3") {
  return Decoder::random(tiny_config(family), 3, at::kCPU, dtype);
}

CheckedStepModel side_by_side(const Decoder& first, const Decoder& second) {
  return {std::make_unique<TreeStepModel>(first),
          std::make_unique<TreeStepModel>(second, KernelChoice::tensor_operations)};
}

// The same model with one weight changed: what a wrong implementation computes.
Decoder spoilt(const Decoder& right, const std::string& parameter, double by) {
  Decoder wrong = right.copy_on(at::kCPU);
  for (auto& [name, tensor] : wrong.parameters().named_tensors())
    if (name == parameter) tensor.flatten().narrow(0, 0, 1).add_(by);
  return wrong;
}

TEST(CheckedStepModel, IsSilentWhereBothAgree) {
  for (const char* family : {"llama", "qwen2", "qwen3", "mistral"})
    for (const c10::ScalarType dtype : {at::kDouble, at::kFloat, at::kBFloat16, at::kHalf}) {
      const Decoder decoder = tiny(dtype, family);
      CheckedStepModel checked = side_by_side(decoder, decoder);
      const GreedyTokens greedy = greedy_decode(checked, kPrompts, 20);
      EXPECT_EQ(checked.steps(), 20);
      EXPECT_EQ(checked.draws(), 60);
      EXPECT_LT(checked.largest_share(), 1) << family << " " << c10::toString(dtype);
      TreeStepModel alone(decoder);
      EXPECT_EQ(greedy.tokens, greedy_decode(alone, kPrompts, 20).tokens);
    }
}

TEST(CheckedStepModel, AWrongWeightIsFoundInItsLayer) {
  const Decoder right = tiny(at::kFloat);
  const auto message = [&](const std::string& parameter) {
    const Decoder wrong = spoilt(right, parameter, 0.5);
    CheckedStepModel checked = side_by_side(right, wrong);
    try {
      greedy_decode(checked, kPrompts, 4);
    } catch (const DifferenceFound& found) {
      return std::string(found.what()) + "\n" + found.hint();
    }
    return std::string("nothing was found");
  };
  EXPECT_THAT(message("model.layers.1.self_attn.v_proj.weight"),
              AllOf(HasSubstr("differ in step 1, row "), HasSubstr(" against "),
                    HasSubstr("logit of token "), HasSubstr("layer 1, what attention is given")));
  EXPECT_THAT(message("model.layers.0.mlp.down_proj.weight"),
              HasSubstr("layer 1, what attention is given"));
  EXPECT_THAT(message("model.norm.weight"), HasSubstr("attention agrees in all layers"));
}

// One token alone sees its own value whatever its key is; the step that reads a second key finds
// that it is wrong.
TEST(CheckedStepModel, AWrongKeyIsFoundByTheStepThatReadsIt) {
  const Decoder right = tiny(at::kFloat);
  const Decoder wrong = spoilt(right, "model.layers.1.self_attn.k_norm.weight", 0.5);
  CheckedStepModel checked = side_by_side(right, wrong);
  EXPECT_THAT(error_of([&] { greedy_decode(checked, {{10}}, 4); }),
              HasSubstr("step 2, row 0 of 1"));
}

// Draws with every kind of truncation pass; the sums behind them are double in both.
TEST(CheckedStepModel, ChecksDrawsOfEveryKind) {
  const Decoder decoder = tiny(at::kFloat);
  for (const SamplingParams& params :
       {SamplingParams{}, SamplingParams{.temperature = 0}, SamplingParams{.temperature = 0.7},
        SamplingParams{.top_k = 5}, SamplingParams{.top_p = 0.8}, SamplingParams{.min_p = 0.05}}) {
    CheckedStepModel checked = side_by_side(decoder, decoder);
    checked.allocate_pages(1, 4);
    StepBatch batch = one_token_batch();
    batch.sampling = params;
    for (int i = 0; i < 200; ++i) batch.draws.push_back({.row = 0, .uniform = i / 200.0});
    std::vector<DrawnToken> drawn;
    checked.step(batch, drawn);
    EXPECT_EQ(checked.draws(), 200);
  }
}

// The model and a copy of its own, brought up to date before every rollout.
CheckedStepModel beside_its_copy(const Decoder& decoder) {
  const auto copy = std::make_shared<Decoder>(decoder.copy_on(at::kCPU));
  return {std::make_unique<TreeStepModel>(decoder), std::make_unique<TreeStepModel>(*copy),
          [&decoder, copy] { copy->take_weights(decoder); }};
}

TEST(CheckedStepModel, ASecondCopyFollowsTheWeights) {
  Decoder decoder = tiny(at::kFloat);
  CheckedStepModel checked = beside_its_copy(decoder);
  greedy_decode(checked, kPrompts, 2);
  decoder.parameters().values().mul_(1.25);  // an update
  greedy_decode(checked, kPrompts, 2);       // allocates pages, as every rollout does
  EXPECT_EQ(checked.steps(), 4);
  EXPECT_EQ(checked.largest_share(), 0);  // the same weights by the same kernels
}

// With adapters whose B is not 0.
Decoder adapted(double up) {
  Decoder decoder = tiny(at::kFloat);
  decoder.add_adapters({.rank = 2, .targets = {"q_proj", "down_proj"}}, "base", 1);
  for (auto& [name, tensor] : decoder.trainable().named_tensors())
    if (name.find("lora_B") != std::string::npos) tensor.fill_(up);
  return decoder;
}

TEST(CheckedStepModel, ASecondCopyFollowsTheAdapters) {
  Decoder decoder = adapted(0.5);
  CheckedStepModel checked = beside_its_copy(decoder);
  greedy_decode(checked, kPrompts, 2);
  decoder.trainable().values().mul_(1.25);  // an update
  greedy_decode(checked, kPrompts, 2);
  EXPECT_EQ(checked.steps(), 4);
  EXPECT_EQ(checked.largest_share(), 0);
  // They matter: without them the two differ.
  const Decoder plain = tiny(at::kFloat);
  CheckedStepModel apart = side_by_side(decoder, plain);
  EXPECT_THROW(greedy_decode(apart, kPrompts, 2), DifferenceFound);
}

TEST(CheckedStepModel, IsMadeForCheckedDevices) {
  const Decoder decoder = tiny(at::kFloat);
  EXPECT_NE(dynamic_cast<CheckedStepModel*>(make_step_model(decoder, "checked").get()), nullptr);
  EXPECT_NE(dynamic_cast<CheckedStepModel*>(make_step_model(decoder, "checked:cpu").get()),
            nullptr);
  EXPECT_EQ(dynamic_cast<CheckedStepModel*>(make_step_model(decoder, "cpu").get()), nullptr);
}

TEST(CheckedPackedForward, FindsTheFirstRowThatDiffers) {
  const Decoder decoder = tiny(at::kFloat);
  const RandomTrees trees = random_trees(1, 60, 9, decoder.config().vocab_size);
  at::Tensor hidden = packed_hidden(decoder, trees.packed).detach().clone();
  check_packed_hidden(decoder, trees.packed, hidden);
  hidden[17][3].add_(1);
  hidden[40][0].add_(9);
  EXPECT_THAT(error_of([&] { check_packed_hidden(decoder, trees.packed, hidden); }),
              AllOf(HasSubstr("row 17, number 3: "), HasSubstr(" against ")));
  hidden[5][2].fill_(std::numeric_limits<float>::quiet_NaN());
  EXPECT_THAT(error_of([&] { check_packed_hidden(decoder, trees.packed, hidden); }),
              HasSubstr("row 5, number 2: nan against "));
}

}  // namespace
}  // namespace treepo
