// Holds log-softmax, its gradient and token_logprobs on the device against float64.

#include "kernels/log_softmax.h"

#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <limits>

#include "each_device.h"
#include "learn/token_logprobs.h"

namespace treepo {
namespace {

TREEPO_EACH_DEVICE(CudaLogSoftmaxTest);

constexpr c10::ScalarType kTypes[] = {at::kBFloat16, at::kHalf, at::kFloat};
constexpr float kInfinity = std::numeric_limits<float>::infinity();

double rounding_of(c10::ScalarType dtype) {
  return dtype == at::kFloat ? 1e-7 : rounding(dtype);
}

struct Targets {
  std::vector<int64_t> begin, token;

  at::Tensor rows() const {  // of each target
    std::vector<int64_t> rows;
    for (size_t r = 0; r + 1 < begin.size(); ++r)
      rows.insert(rows.end(), static_cast<size_t>(begin[r + 1] - begin[r]),
                  static_cast<int64_t>(r));
    return at::tensor(at::ArrayRef<int64_t>(rows), at::kLong);
  }
  at::Tensor tokens() const { return at::tensor(at::ArrayRef<int64_t>(token), at::kLong); }
};

// Rows with one target, none, several of which some are equal, and more than a block has threads.
Targets draw_targets(int64_t rows, int64_t vocab) {
  const RandomStream stream(4, Purpose::train);
  Targets targets{.begin = {0}, .token = {}};
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t count = r % 4 == 0 ? 1 : r % 4 == 1 ? 0 : r % 4 == 2 ? 7 : 700;
    for (int64_t t = 0; t < count; ++t) {
      const auto at = static_cast<uint32_t>(targets.token.size());
      const auto most = static_cast<double>(t % 3 == 0 ? std::min<int64_t>(vocab, 2) : vocab);
      targets.token.push_back(static_cast<int64_t>(stream.uniform(0, at) * most));
    }
    targets.begin.push_back(static_cast<int64_t>(targets.token.size()));
  }
  return targets;
}

struct Result {
  at::Tensor largest, log_sum, entropy, logprob, gradient;
};

// By the kernels; `logits` is overwritten by the gradient.
Result run(at::Tensor logits, int64_t rows, double temperature, const Targets& targets,
           const at::Tensor& d_logprob, const at::Tensor& d_entropy) {
  const c10::Device device = logits.device();
  const CudaKernels& kernels = *cuda_kernels_on(device);
  const auto floats = [&](int64_t n) {
    return at::empty({n}, at::device(device).dtype(at::kFloat));
  };
  const at::Tensor begin = at::tensor(at::ArrayRef<int64_t>(targets.begin), at::kLong).to(device);
  const at::Tensor token = targets.tokens().to(device);
  const at::Tensor d = d_logprob.to(device, at::kFloat);
  const at::Tensor turn = d_entropy.defined() ? d_entropy.to(device, at::kFloat) : d_entropy;
  Result result{floats(rows), floats(rows), floats(rows), floats(token.numel()), logits};
  CudaLogSoftmax work;
  work.type = cuda_type(logits.scalar_type());
  work.logits = logits.mutable_data_ptr();
  work.rows = rows;
  work.vocab_size = static_cast<int32_t>(logits.size(1));
  work.inverse_temperature = static_cast<float>(1 / temperature);
  work.target_begin = begin.const_data_ptr<int64_t>();
  work.target_token = token.const_data_ptr<int64_t>();
  work.largest = result.largest.mutable_data_ptr<float>();
  work.log_sum = result.log_sum.mutable_data_ptr<float>();
  work.entropy = result.entropy.mutable_data_ptr<float>();
  work.logprob = result.logprob.mutable_data_ptr<float>();
  check_cuda(kernels, kernels.log_softmax_statistics(CudaStream(device), work));
  work.d_logprob = d.const_data_ptr<float>();
  if (turn.defined()) work.d_entropy = turn.const_data_ptr<float>();
  check_cuda(kernels, kernels.log_softmax_gradient(CudaStream(device), work));
  return result;
}

// The same in float64 by autograd. A logit of -inf has weight 0.
Result twin(const at::Tensor& logits, double temperature, const Targets& targets,
            const at::Tensor& d_logprob, const at::Tensor& d_entropy) {
  const at::Tensor leaf = logits.clone().set_requires_grad(true);
  const at::Tensor all = at::log_softmax(leaf / temperature, 1);
  const at::Tensor logprob = all.index({targets.rows(), targets.tokens()});
  const at::Tensor entropy = -(all.exp() * all.clamp_min(-1e4)).sum(1);
  at::Tensor loss = (logprob * d_logprob).sum();
  if (d_entropy.defined()) loss = loss + (entropy * d_entropy).sum();
  const at::Tensor largest = logits.amax(1);
  const at::Tensor log_sum = ((logits - largest.unsqueeze(1)) / temperature).exp().sum(1).log();
  return {largest, log_sum, entropy.detach(), logprob.detach(),
          torch::autograd::grad({loss}, {leaf})[0]};
}

// Rows that begin at every place of 16 bytes, shorter and longer than a block of threads reads at
// once; what lies behind them stays.
TEST_P(CudaLogSoftmaxTest, EqualsFloat64) {
  constexpr int64_t kRows = 9;
  for (const c10::ScalarType dtype : kTypes) {
    for (const int64_t vocab : {1, 3, 8, 61, 4096, 5003, 9001}) {
      SCOPED_TRACE(testing::Message() << c10::toString(dtype) << " vocabulary " << vocab);
      const at::Tensor logits = (3 * normals(1, {kRows, vocab})).to(dtype).to(at::kDouble);
      if (vocab > 4) logits.select(1, 3).fill_(-kInfinity);
      if (vocab > 4) logits[2].narrow(0, 0, vocab / 2).fill_(-kInfinity);
      const Targets targets = draw_targets(kRows, std::min<int64_t>(vocab, 3));
      const at::Tensor d_logprob = normals(2, {static_cast<int64_t>(targets.token.size())});
      for (const at::Tensor& d_entropy : {at::Tensor(), normals(3, {kRows})}) {
        if (vocab > 4 && d_entropy.defined()) logits.clamp_min_(-30);  // autograd has no 0 * inf
        const double temperature = d_entropy.defined() ? 0.7 : 1;
        const at::Tensor there =
            at::cat({logits, at::full({2, vocab}, 5.0, at::kDouble)}).to(device, dtype);
        const Result found = run(there, kRows, temperature, targets, d_logprob, d_entropy);
        const Result expected =
            twin(logits.to(dtype).to(at::kDouble), temperature, targets, d_logprob, d_entropy);
        EXPECT_TRUE(at::equal(wide(found.largest), expected.largest));
        EXPECT_LT(largest_difference(found.log_sum, expected.log_sum), 3e-6);
        EXPECT_LT(largest_difference(found.entropy, expected.entropy), 1e-5);
        const at::Tensor finite = expected.logprob.gt(-1e9);
        EXPECT_LT(excess(found.logprob.to(at::kCPU).masked_select(finite),
                         expected.logprob.masked_select(finite), 1e-6),
                  5e-6);
        const at::Tensor gradient = found.gradient.narrow(0, 0, kRows);
        const double most = expected.gradient.abs().max().item<double>();
        EXPECT_LT(excess(gradient, expected.gradient, rounding_of(dtype)), 3e-6 * (1 + most));
        EXPECT_TRUE(wide(found.gradient.narrow(0, kRows, 2)).eq(5).all().item<bool>());
      }
    }
  }
}

// NaN, +inf and a row of -inf make what the CPU's kernel makes, and touch no other row.
TEST_P(CudaLogSoftmaxTest, NumbersThatAreNotFinite) {
  constexpr int64_t kRows = 5, kVocab = 5001;
  for (const c10::ScalarType dtype : kTypes) {
    const at::Tensor logits = normals(1, {kRows, kVocab}).to(dtype).to(at::kFloat);
    logits[1][4000] = std::numeric_limits<float>::quiet_NaN();
    logits[2][17] = kInfinity;
    logits[3].fill_(-kInfinity);
    const Targets targets{.begin = {0, 1, 2, 3, 4, 5}, .token = {1, 1, 1, 1, 1}};
    const at::Tensor d_logprob = at::ones({kRows}, at::kDouble);
    const at::Tensor largest = at::empty({kRows}), log_sum = at::empty({kRows});
    const at::Tensor entropy = at::empty({kRows});
    log_softmax_statistics_cpu<float>(
        logits.const_data_ptr<float>(), kRows, kVocab, 1, largest.mutable_data_ptr<float>(),
        log_sum.mutable_data_ptr<float>(), entropy.mutable_data_ptr<float>());
    const Result found =
        run(logits.to(device, dtype, false, /*copy=*/true), kRows, 1, targets, d_logprob, {});
    const auto same = [](const at::Tensor& a, const at::Tensor& b) {
      return at::allclose(wide(a), wide(b), 1e-5, 1e-5, /*equal_nan=*/true);
    };
    EXPECT_TRUE(same(found.largest, largest));
    EXPECT_TRUE(same(found.log_sum, log_sum));
    EXPECT_TRUE(same(found.entropy, entropy));
    const at::Tensor bad = wide(found.gradient).isnan();
    EXPECT_FALSE(bad[0].any().item<bool>() || bad[4].any().item<bool>());
    EXPECT_TRUE(bad.narrow(0, 1, 3).all().item<bool>());
    EXPECT_TRUE(wide(found.logprob).isnan().narrow(0, 1, 3).all().item<bool>());
  }
}

// Whole numbers so small that products are exact in every type; a source with three targets, two
// of them the same token; chunks that end between sources.
struct Problem {
  at::Tensor hidden, weight;
  at::Tensor rows = at::tensor({0, 2, 3, 5, 6}, at::kLong);
  at::Tensor sources = at::tensor({0, 1, 1, 1, 2, 3, 3, 4}, at::kLong);
  at::Tensor tokens = at::tensor({4, 0, 8, 0, 2, 10, 1, 3}, at::kLong);
  at::Tensor d_logprob = normals(3, {8}), d_entropy = normals(4, {5});

  Problem(c10::Device device, c10::ScalarType dtype) {
    hidden = normals(1, {7, 16}).round().to(device, dtype).set_requires_grad(true);
    weight = normals(2, {11, 16}).round().to(device, dtype).set_requires_grad(true);
  }

  TokenLogprobs twin(const at::Tensor& h, const at::Tensor& w, double temperature) const {
    const at::Tensor logits = h.index_select(0, rows).mm(w.t());
    const at::Tensor all = at::log_softmax(logits / temperature, 1);
    return {.logprob = all.index({sources, tokens}), .entropy = -(all.exp() * all).sum(1)};
  }

  void backward(const TokenLogprobs& outputs, bool with_entropy) const {
    const auto like = outputs.logprob.options();
    if (with_entropy)
      torch::autograd::backward({outputs.logprob, outputs.entropy},
                                {d_logprob.to(like), d_entropy.to(like)});
    else
      torch::autograd::backward({outputs.logprob}, {d_logprob.to(like)});
  }
};

TEST_P(CudaLogSoftmaxTest, TokenLogprobsFollowFloat64) {
  for (const c10::ScalarType dtype : kTypes)
    for (const bool with_entropy : {false, true})
      for (const int64_t chunk : {1, 2, 100}) {
        SCOPED_TRACE(testing::Message() << c10::toString(dtype) << " chunks of " << chunk);
        const Problem p(device, dtype);
        const at::Tensor hidden = wide(p.hidden).set_requires_grad(true);
        const at::Tensor weight = wide(p.weight).set_requires_grad(true);
        const TokenLogprobs expected = p.twin(hidden, weight, 0.7);
        p.backward(expected, with_entropy);
        const at::Tensor sink = at::ones({11, 16}, at::device(device).dtype(at::kFloat));
        const auto run = [&](const at::Tensor& gradient) {
          return token_logprobs(p.hidden, p.weight, p.rows, p.sources, p.tokens, 0.7, chunk,
                                gradient);
        };
        const TokenLogprobs found = run(sink);
        EXPECT_EQ(found.logprob.scalar_type(), at::kFloat);
        EXPECT_LT(largest_difference(found.logprob, expected.logprob), 1e-5);
        EXPECT_LT(largest_difference(found.entropy, expected.entropy), 1e-5);
        p.backward(found, with_entropy);
        EXPECT_FALSE(p.weight.grad().defined());
        const double tolerance = 2e-6 + 1.5 * rounding_of(dtype);
        EXPECT_LT(relative_difference(p.hidden.grad(), hidden.grad()), tolerance);
        EXPECT_LT(relative_difference(sink - 1, weight.grad()), tolerance);

        const at::Tensor first = p.hidden.grad().clone();
        p.hidden.mutable_grad() = at::Tensor();
        p.backward(run({}), with_entropy);  // autograd gets the weight's gradient
        EXPECT_TRUE(at::equal(p.hidden.grad(), first));
        EXPECT_LT(relative_difference(p.weight.grad(), weight.grad()), 2 * tolerance);
      }
}

TEST_P(CudaLogSoftmaxTest, FrozenWeightsGetNoGradient) {
  const Problem p(device, at::kBFloat16);
  p.weight.set_requires_grad(false);
  p.backward(token_logprobs(p.hidden, p.weight, p.rows, p.sources, p.tokens, 1, 2), true);
  EXPECT_TRUE(p.hidden.grad().defined());
  EXPECT_FALSE(p.weight.grad().defined());
}

TEST_P(CudaLogSoftmaxTest, ScoresFollowFloat64) {
  for (const c10::ScalarType dtype : kTypes) {
    Problem p(device, dtype);
    const at::Tensor hidden = wide(p.hidden), weight = wide(p.weight);
    const at::Tensor likeliest = hidden.index_select(0, p.rows).mm(weight.t()).argmax(1);
    p.tokens[2] = likeliest[1];
    p.tokens[7] = likeliest[4];
    const TargetScores found = score_targets(p.hidden, p.weight, p.rows, p.sources, p.tokens, 2);
    EXPECT_LT(largest_difference(found.logprob, p.twin(hidden, weight, 1).logprob), 1e-5);
    const at::Tensor logits = hidden.index_select(0, p.rows).mm(weight.t());
    const at::Tensor expected =
        logits.index({p.sources, p.tokens}).eq(logits.amax(1).index_select(0, p.sources));
    EXPECT_TRUE(at::equal(found.most_likely.to(at::kCPU), expected));
  }
}

}  // namespace
}  // namespace treepo
