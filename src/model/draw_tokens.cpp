#include "model/draw_tokens.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <limits>

#include "base/error.h"
#include "kernels/parallel.h"
#include "model/cuda_kernels.h"

namespace treepo {

namespace {

template <typename T>
void draw_all(const at::Tensor& logits, const SamplingParams& params,
              std::span<const TokenDraw> draws, std::vector<DrawnToken>& drawn) {
  constexpr int64_t kWorkPerToken = 8;
  const int64_t vocab_size = logits.size(1), count = static_cast<int64_t>(draws.size());
  const T* rows = logits.const_data_ptr<T>();
  std::vector<std::exception_ptr> failures(draws.size());  // none may leave the parallel region
  parallel_rows(count, count * vocab_size * kWorkPerToken, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const auto at = static_cast<size_t>(i);
      try {
        drawn[at] = draw_token<T>(rows + draws[at].row * vocab_size,
                                  static_cast<int32_t>(vocab_size), params, draws[at].uniform);
      } catch (...) {
        failures[at] = std::current_exception();
      }
    }
  });
  for (const std::exception_ptr& failure : failures)
    if (failure) std::rethrow_exception(failure);
}

// The weights [draws, vocab] without what top_k, top_p and min_p cut off: each keeps the first
// tokens of a ranking by logit, equal ones by id.
at::Tensor truncated(const at::Tensor& logits, const at::Tensor& weights,
                     const SamplingParams& params) {
  const int64_t vocab_size = logits.size(1);
  const at::Tensor order = std::get<1>(at::sort(logits, /*stable=*/true, -1, /*descending=*/true));
  at::Tensor ranked = weights.gather(1, order);
  const at::Tensor least = ranked.narrow(1, 0, 1) * params.min_p;
  if (params.top_k > 0 && params.top_k < vocab_size)
    ranked.narrow(1, params.top_k, vocab_size - params.top_k).zero_();
  if (params.top_p < 1) {
    const at::Tensor before = ranked.cumsum(1) - ranked;
    const at::Tensor past = before.ge(ranked.sum(1, true) * params.top_p);
    past.narrow(1, 0, 1).fill_(false);  // the likeliest token is always kept
    ranked.masked_fill_(past, 0);
  }
  ranked.masked_fill_(ranked.lt(least), 0);
  return at::empty_like(weights).scatter_(1, order, ranked);
}

// [draws, 4]: token, log-prob, entropy, mass that was cut; NaN where the logits are not finite.
at::Tensor draw_chunk(const at::Tensor& logits, const at::Tensor& uniforms,
                      const SamplingParams& params) {
  const double temperature = params.temperature > 0 ? params.temperature : 1;
  const at::Tensor wide = logits.to(at::kDouble);
  const at::Tensor z = (wide - wide.amax(1, true)) / temperature;
  const at::Tensor weights = z.exp();
  const at::Tensor total = weights.sum(1, true);
  const at::Tensor entropy = total.log() - (weights * z.clamp_min(-1e4)).sum(1, true) / total;

  at::Tensor token, cut = at::zeros_like(total);
  if (params.temperature == 0) {
    // The first of equal logits, which argmax does not promise.
    const at::Tensor ids = at::arange(z.size(1), z.options().dtype(at::kLong)).expand_as(z);
    token = ids.masked_fill(z.ne(0), z.size(1)).amin(1, true).clamp_max(z.size(1) - 1);
  } else {
    const bool top_k = params.top_k > 0 && params.top_k < logits.size(1);
    const bool truncates = top_k || params.top_p < 1 || params.min_p > 0;
    const at::Tensor kept = truncates ? truncated(wide, weights, params) : weights;
    const at::Tensor cumulative = kept.cumsum(1);
    const at::Tensor mass = cumulative.narrow(1, cumulative.size(1) - 1, 1);
    if (truncates) cut = (weights - kept).sum(1, true) / total;
    const at::Tensor last = cumulative.lt(mass).sum(1, true);  // the last token with a weight
    token = at::minimum(cumulative.le(uniforms.unsqueeze(1) * mass).sum(1, true), last);
  }
  const at::Tensor logprob = z.gather(1, token) - total.log();
  return at::cat({token.to(at::kDouble), logprob, entropy.clamp_min(0), cut}, 1);
}

[[noreturn]] void throw_not_finite(const at::Tensor& logits) {
  const at::Tensor row = logits.to(at::kCPU, at::kDouble);
  for (int64_t token = 0; token < row.size(0); ++token) {
    const double logit = row.const_data_ptr<double>()[token];
    if (std::isnan(logit) || logit == std::numeric_limits<double>::infinity())
      throw Error(fmt::format("the model gave the logit {} for token {}", logit, token),
                  "the weights hold NaN or infinite values, or overflow in this dtype");
  }
  throw Error("the model gave the logit -inf for every token",
              "the weights hold NaN or infinite values, or overflow in this dtype");
}

}  // namespace

void draw_tokens_cpu(const at::Tensor& logits, const SamplingParams& params,
                     std::span<const TokenDraw> draws, std::vector<DrawnToken>& drawn) {
  drawn.resize(draws.size());
  const at::Tensor dense = logits.contiguous();
  if (dense.scalar_type() == at::kDouble)
    draw_all<double>(dense, params, draws, drawn);
  else
    draw_all<float>(dense, params, draws, drawn);
}

void draw_tokens_on_device(const at::Tensor& logits, const SamplingParams& params,
                           std::span<const TokenDraw> draws, std::vector<DrawnToken>& drawn) {
  constexpr int64_t kNumbersAtOnce = int64_t{1} << 24;  // of a [draws, vocab] array
  drawn.resize(draws.size());
  const auto count = static_cast<int64_t>(draws.size());
  const int64_t at_once = std::max<int64_t>(1, kNumbersAtOnce / logits.size(1));
  at::Tensor rows = at::empty({count}, at::kLong), uniforms = at::empty({count}, at::kDouble);
  for (int64_t i = 0; i < count; ++i) {
    rows.mutable_data_ptr<int64_t>()[i] = draws[static_cast<size_t>(i)].row;
    uniforms.mutable_data_ptr<double>()[i] = draws[static_cast<size_t>(i)].uniform;
  }
  rows = rows.to(logits.device());
  uniforms = uniforms.to(logits.device());
  std::vector<at::Tensor> parts;
  for (int64_t begin = 0; begin < count; begin += at_once) {
    const int64_t end = std::min(count, begin + at_once);
    parts.push_back(draw_chunk(logits.index_select(0, rows.slice(0, begin, end)),
                               uniforms.slice(0, begin, end), params));
  }
  if (parts.empty()) return;
  const at::Tensor host = at::cat(parts).to(at::kCPU);
  for (int64_t i = 0; i < count; ++i) {
    const double* numbers = host.const_data_ptr<double>() + 4 * i;
    const auto at = static_cast<size_t>(i);
    if (!std::isfinite(numbers[1]) || !std::isfinite(numbers[2]))
      throw_not_finite(logits.select(0, draws[at].row));
    drawn[at] = {.token = static_cast<int32_t>(numbers[0]),
                 .logprob = numbers[1],
                 .entropy = numbers[2],
                 .cut_mass = numbers[3]};
  }
}

void draw_tokens_cuda(const at::Tensor& logits, CudaDraw work) {
  const CudaKernels& kernels = *cuda_kernels_on(logits.device());
  const at::Tensor dense = logits.contiguous();
  work.type = cuda_type(dense.scalar_type());
  work.logits = dense.const_data_ptr();
  work.vocab_size = static_cast<int32_t>(dense.size(1));
  check_cuda(kernels, kernels.draw_tokens(CudaStream(dense.device()), work));
}

void check_drawn(const at::Tensor& logits, std::span<const TokenDraw> draws,
                 std::span<const DrawnToken> drawn) {
  for (size_t i = 0; i < drawn.size(); ++i)
    if (drawn[i].token < 0) throw_not_finite(logits.select(0, draws[i].row));
}

}  // namespace treepo
