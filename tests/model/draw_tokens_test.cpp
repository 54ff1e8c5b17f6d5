// Holds draws by tensor operations against draw_token.

#include "model/draw_tokens.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "base/random.h"

namespace treepo {
namespace {

at::Tensor random_logits(int64_t rows, int64_t vocab_size, bool with_ties) {
  const RandomStream stream(4, Purpose::generate);
  at::Tensor logits = at::empty({rows, vocab_size}, at::kDouble);
  for (int64_t i = 0; i < logits.numel(); ++i)
    logits.mutable_data_ptr<double>()[i] = 3 * stream.normal(0, static_cast<uint32_t>(i));
  return with_ties ? logits.round() : logits;
}

TEST(DrawTokens, TensorOperationsEqualTheKernel) {
  const RandomStream stream(8, Purpose::train);
  for (const auto dtype : {at::kDouble, at::kFloat})
    for (const bool with_ties : {false, true}) {
      const at::Tensor logits = random_logits(30, 200, with_ties).to(dtype);
      std::vector<TokenDraw> draws;
      for (uint32_t i = 0; i < 60; ++i)
        draws.push_back({.row = static_cast<int32_t>(i / 2), .uniform = stream.uniform(0, i)});
      for (const SamplingParams& params :
           {SamplingParams{}, SamplingParams{.temperature = 0},
            SamplingParams{.temperature = 0, .top_k = 3}, SamplingParams{.temperature = 0.6},
            SamplingParams{.top_k = 5}, SamplingParams{.top_k = 1000}, SamplingParams{.top_p = 0.7},
            SamplingParams{.top_p = 0.0}, SamplingParams{.min_p = 0.1},
            SamplingParams{.temperature = 1.5, .top_k = 20, .top_p = 0.8, .min_p = 0.02}}) {
        SCOPED_TRACE(testing::Message()
                     << "T " << params.temperature << " k " << params.top_k << " p " << params.top_p
                     << " min " << params.min_p << " ties " << with_ties);
        std::vector<DrawnToken> kernel, plain;
        draw_tokens_cpu(logits, params, draws, kernel);
        draw_tokens_on_device(logits, params, draws, plain);
        for (size_t i = 0; i < draws.size(); ++i) {
          EXPECT_EQ(plain[i].token, kernel[i].token) << "draw " << i;
          EXPECT_NEAR(plain[i].logprob, kernel[i].logprob, 1e-12);
          EXPECT_NEAR(plain[i].entropy, kernel[i].entropy, 1e-12);
          EXPECT_NEAR(plain[i].cut_mass, kernel[i].cut_mass, 1e-12);
        }
      }
    }
}

TEST(DrawTokens, NoDrawsAreNoWork) {
  std::vector<DrawnToken> drawn(3);
  draw_tokens_on_device(at::zeros({0, 5}), {}, {}, drawn);
  EXPECT_TRUE(drawn.empty());
  drawn.resize(3);
  draw_tokens_cpu(at::zeros({0, 5}), {}, {}, drawn);
  EXPECT_TRUE(drawn.empty());
}

}  // namespace
}  // namespace treepo
