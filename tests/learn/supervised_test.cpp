#include "learn/supervised.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "learn/tiny_decoder.h"
#include "learn/update.h"  // make_optimizer
#include "model/packed_forward.h"

namespace treepo {
namespace {

const std::vector<Example> kExamples = {{.prompt = {2, 3}, .response = {4, 5, 1}},
                                        {.prompt = {2, 6, 7}, .response = {8, 1}},
                                        {.prompt = {9}, .response = {10, 10, 10, 1}}};

// Mean cross-entropy of the responses and how many of their tokens are the most likely ones, each
// example run alone.
std::pair<double, int64_t> score_one_by_one(const Decoder& decoder) {
  double sum = 0;
  int64_t tokens = 0, right = 0;
  for (const Example& example : kExamples) {
    std::vector<int32_t> all = example.prompt;
    all.insert(all.end(), example.response.begin(), example.response.end());
    const auto size = static_cast<int32_t>(all.size());
    PackedSequence sequence{.tokens = all, .positions = {}, .subtree_end = {}};
    for (int32_t i = 0; i < size; ++i) {
      sequence.positions.push_back(i);
      sequence.subtree_end.push_back(size);
    }
    const at::Tensor hidden = packed_hidden(decoder, sequence).detach();
    const at::Tensor logp = at::log_softmax(at::matmul(hidden, decoder.head_weight().t()), 1);
    for (size_t t = example.prompt.size(); t < all.size(); ++t) {
      sum -= logp[static_cast<int64_t>(t) - 1][all[t]].item<double>();
      right += logp[static_cast<int64_t>(t) - 1].argmax().item<int64_t>() == all[t];
      ++tokens;
    }
  }
  return {sum / static_cast<double>(tokens), right};
}

double loss_one_by_one(const Decoder& decoder) {
  return score_one_by_one(decoder).first;
}

TEST(Supervised, LossIsThatOfTheExamplesOneByOneWhateverThePacks) {
  for (const int64_t max_tokens : {1, 5, 100}) {
    Decoder decoder = tiny_decoder(at::kDouble);
    AdamW optimizer = make_optimizer(decoder, {});
    const double expected = loss_one_by_one(decoder);
    const SupervisedReport report =
        supervised_update(decoder, optimizer, kExamples, 1e-3, {.max_tokens = max_tokens});
    EXPECT_NEAR(report.loss, expected, 1e-12);
    EXPECT_EQ(report.tokens, 9);
    EXPECT_LT(loss_one_by_one(decoder), expected);
  }
}

// A chat's loss is that of its answers, each given all that goes before it.
TEST(Supervised, TokensThatAreReadOnlyHaveNoLoss) {
  const std::vector<Example> chat = {{.prompt = {2, 3},
                                      .response = {4, 1, 5, 6, 7, 1},
                                      .learned = {true, true, false, false, true, true}}};
  const std::vector<Example> answers = {{.prompt = {2, 3}, .response = {4, 1}},
                                        {.prompt = {2, 3, 4, 1, 5, 6}, .response = {7, 1}}};
  for (const int64_t max_tokens : {1, 100}) {
    const Decoder decoder = tiny_decoder(at::kDouble);
    const SupervisedScore of_chat = score_examples(decoder, chat, {.max_tokens = max_tokens});
    const SupervisedScore of_answers = score_examples(decoder, answers, {.max_tokens = max_tokens});
    EXPECT_EQ(of_chat.tokens, 4);
    EXPECT_NEAR(of_chat.loss, of_answers.loss, 1e-12);
  }
}

TEST(Supervised, LearnsTheExamplesByHeart) {
  Decoder decoder = tiny_decoder(at::kFloat);
  AdamW optimizer = make_optimizer(decoder, {.weight_decay = 0});
  for (int step = 0; step < 60; ++step) supervised_update(decoder, optimizer, kExamples, 2e-2, {});
  EXPECT_LT(loss_one_by_one(decoder), 0.05);
}

TEST(Supervised, ScoresAreThoseOfTheExamplesOneByOneWhateverThePacks) {
  for (const auto dtype : {at::kDouble, at::kFloat}) {
    Decoder decoder = tiny_decoder(dtype);
    AdamW optimizer = make_optimizer(decoder, {.weight_decay = 0});
    for (int step = 0; step < 2; ++step) supervised_update(decoder, optimizer, kExamples, 1e-2, {});
    const auto [loss, right] = score_one_by_one(decoder);
    ASSERT_GT(right, 0);
    ASSERT_LT(right, 9);
    for (const int64_t max_tokens : {1, 5, 100}) {
      const SupervisedScore score =
          score_examples(decoder, kExamples, {.max_tokens = max_tokens, .logit_chunk_tokens = 2});
      EXPECT_NEAR(score.loss, loss, dtype == at::kDouble ? 1e-12 : 1e-5);
      EXPECT_EQ(score.token_accuracy, right / 9.0);
      EXPECT_EQ(score.tokens, 9);
    }
  }
  EXPECT_EQ(score_examples(tiny_decoder(at::kFloat), {}, {}).tokens, 0);
}

TEST(Supervised, NoTokensNoStep) {
  Decoder decoder = tiny_decoder(at::kFloat);
  AdamW optimizer = make_optimizer(decoder, {});
  EXPECT_TRUE(supervised_update(decoder, optimizer, {}, 1e-3, {}).step.skipped);
}

}  // namespace
}  // namespace treepo
