// Holds draws on the device against kernels/sampling.h's on the CPU.

#include <algorithm>
#include <cmath>

#include "each_device.h"
#include "model/draw_tokens.h"
#include "model/staged_arrays.h"
#include "support/expect_error.h"

namespace treepo {
namespace {

TREEPO_EACH_DEVICE(CudaDrawTokens);

std::vector<DrawnToken> draw_on(c10::Device device, const at::Tensor& logits,
                                const SamplingParams& params, const std::vector<TokenDraw>& draws) {
  std::vector<int32_t> rows;
  std::vector<double> uniforms;
  for (const TokenDraw& draw : draws) {
    rows.push_back(draw.row);
    uniforms.push_back(draw.uniform);
  }
  const at::Tensor there_rows = at::tensor(at::ArrayRef<int32_t>(rows), at::kInt).to(device);
  const at::Tensor there_uniforms =
      at::tensor(at::ArrayRef<double>(uniforms), at::kDouble).to(device);
  StagedArrays arrays;
  const auto place = arrays.add(std::vector<DrawnToken>(draws.size()));
  arrays.upload(device);
  const at::Tensor there = logits.to(device);
  draw_tokens_cuda(there, {.num_draws = static_cast<int32_t>(draws.size()),
                           .rows = there_rows.const_data_ptr<int32_t>(),
                           .uniforms = there_uniforms.const_data_ptr<double>(),
                           .params = params,
                           .drawn = arrays.mutable_at<DrawnToken>(place)});
  std::vector<DrawnToken> drawn;
  arrays.download(place, draws.size(), drawn);
  check_drawn(there, draws, drawn);
  return drawn;
}

// The CPU's draw at this uniform or just beside it, where masses differ in the last float digits.
bool is_draw_of(const float* logits, int32_t vocab_size, const SamplingParams& params, double u,
                int32_t token) {
  for (const double at : {u, u - 1e-6, u + 1e-6})
    if (at >= 0 && at < 1 && draw_token<float>(logits, vocab_size, params, at).token == token)
      return true;
  return false;
}

void compare(c10::Device device, const at::Tensor& logits, const SamplingParams& params,
             uint64_t seed) {
  SCOPED_TRACE(testing::Message() << "T " << params.temperature << " k " << params.top_k << " p "
                                  << params.top_p << " min_p " << params.min_p << " vocabulary "
                                  << logits.size(1));
  const RandomStream stream(seed, Purpose::train);
  std::vector<TokenDraw> draws;
  for (uint32_t i = 0; i < 2 * logits.size(0); ++i)
    draws.push_back({static_cast<int32_t>(i / 2), stream.uniform(0, i)});
  const std::vector<DrawnToken> drawn = draw_on(device, logits, params, draws);
  const at::Tensor host = logits.to(at::kCPU, at::kFloat).contiguous();
  const auto vocab_size = static_cast<int32_t>(host.size(1));
  for (size_t i = 0; i < draws.size(); ++i) {
    const float* row = host.const_data_ptr<float>() + draws[i].row * vocab_size;
    const DrawnToken expected = draw_token<float>(row, vocab_size, params, draws[i].uniform);
    ASSERT_TRUE(is_draw_of(row, vocab_size, params, draws[i].uniform, drawn[i].token))
        << drawn[i].token << " for " << expected.token << " at " << draws[i].uniform;
    const double logprob = (row[drawn[i].token] - row[expected.token]) /
                               (params.temperature > 0 ? params.temperature : 1) +
                           expected.logprob;
    EXPECT_NEAR(drawn[i].logprob, logprob, 2e-6);
    EXPECT_NEAR(drawn[i].entropy, expected.entropy, 2e-6);
    EXPECT_NEAR(drawn[i].cut_mass, expected.cut_mass, 1e-6);
  }
}

TEST_P(CudaDrawTokens, EqualsCpuDraws) {
  uint64_t seed = 0;
  for (const int64_t vocab_size : {1, 31, 50, 700, 3001})
    for (const double temperature : {0.0, 0.6, 1.0, 2.5})
      for (const int32_t top_k : {0, 1, 5, 100})
        for (const double top_p : {1.0, 0.9, 0.3, 0.0})
          for (const double min_p : {0.0, 0.05}) {
            if (++seed % (vocab_size > 50 ? 11 : 3) != 0) continue;
            compare(device, (3 * normals(seed, {1, vocab_size})).to(at::kFloat),
                    {temperature, top_k, top_p, min_p}, seed);
          }
}

// Many equal logits: the smaller ids are kept. The kept share is one that no boundary falls on.
TEST_P(CudaDrawTokens, TiesGoToTheSmallerId) {
  for (uint64_t seed = 0; seed < 6; ++seed)
    for (const c10::ScalarType dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
      const at::Tensor logits = (3 * normals(seed, {2, 400})).round().to(dtype);
      compare(device, logits, {.temperature = 0}, seed);
      compare(device, logits, {.temperature = 1, .top_k = 30}, seed);
      compare(device, logits, {.temperature = 0.7, .top_p = 0.777}, seed);
      compare(device, logits, {.temperature = 0.7, .top_k = 90, .top_p = 0.777, .min_p = 0.001},
              seed);
    }
}

TEST_P(CudaDrawTokens, ImpossibleTokensAreNeverDrawn) {
  at::Tensor logits = normals(1, {3, 90}).to(at::kFloat);
  logits.narrow(1, 10, 60).fill_(-INFINITY);
  compare(device, logits, {.temperature = 1}, 1);
  compare(device, logits, {.temperature = 1, .top_k = 60}, 1);
  const std::vector<DrawnToken> drawn =
      draw_on(device, logits, {.temperature = 1}, {{0, 0.0}, {1, std::nextafter(1.0, 0.0)}});
  EXPECT_EQ(drawn[0].token, 0);
  EXPECT_EQ(drawn[1].token, 89);
}

// Frequencies of 4,000 draws; each is off by 5 standard deviations in 1 case of 2 million.
TEST_P(CudaDrawTokens, FollowsTheDistribution) {
  constexpr int kDraws = 4000;
  const at::Tensor logits = normals(3, {1, 12}).to(at::kBFloat16);
  const at::Tensor p = wide(logits)[0].softmax(0);
  const RandomStream stream(5, Purpose::train);
  std::vector<TokenDraw> draws;
  for (uint32_t i = 0; i < kDraws; ++i) draws.push_back({0, stream.uniform(0, i)});
  std::vector<int> counts(12);
  for (const DrawnToken& drawn : draw_on(device, logits, {}, draws))
    ++counts[static_cast<size_t>(drawn.token)];
  for (size_t token = 0; token < counts.size(); ++token) {
    const double each = p[static_cast<int64_t>(token)].item<double>();
    EXPECT_NEAR(counts[token], kDraws * each, 5 * std::sqrt(kDraws * each)) << "token " << token;
  }
}

TEST_P(CudaDrawTokens, LogitsThatAreNotFiniteAreNamed) {
  const auto error_for = [&](double value, bool everywhere) {
    at::Tensor logits = normals(1, {2, 40}).to(at::kFloat);
    if (everywhere)
      logits[1].fill_(value);
    else
      logits[1][33] = value;
    return error_of([&] { draw_on(device, logits, {}, {{0, 0.5}, {1, 0.5}}); });
  };
  EXPECT_NE(error_for(NAN, false).find("nan for token 33"), std::string::npos);
  EXPECT_NE(error_for(INFINITY, false).find("inf for token 33"), std::string::npos);
  EXPECT_NE(error_for(-INFINITY, true).find("-inf for every token"), std::string::npos);
}

}  // namespace
}  // namespace treepo
