#include "learn/optimizer.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <type_traits>

#include "base/error.h"
#include "model/cuda_kernels.h"
#include "model/kernel_type.h"

namespace treepo {
namespace {

// Elements summed by one thread before partial sums are added, in the order of blocks.
constexpr int64_t kNormBlock = 8192;
// Below this many elements a second thread costs more than it brings.
constexpr int64_t kGrain = 1 << 17;
// Elements whose weights are still in the cache when they are rounded.
constexpr int64_t kCachedBlock = 4096;
// As clip_grad_norm_ adds to the norm.
constexpr double kClipEpsilon = 1e-6;

template <typename T>
double squared_norm_cpu(const T* values, int64_t size) {
  const int64_t num_blocks = (size + kNormBlock - 1) / kNormBlock;
  std::vector<double> sums(static_cast<size_t>(num_blocks));
  at::parallel_for(0, num_blocks, kGrain / kNormBlock, [&](int64_t first, int64_t last) {
    for (int64_t block = first; block < last; ++block) {
      const int64_t end = std::min(size, (block + 1) * kNormBlock);
      double sum = 0;
#pragma omp simd reduction(+ : sum)
      for (int64_t i = block * kNormBlock; i < end; ++i) {
        sum += static_cast<double>(values[i]) * static_cast<double>(values[i]);
      }
      sums[static_cast<size_t>(block)] = sum;
    }
  });
  double total = 0;
  for (const double sum : sums) total += sum;
  return total;
}

// The numbers of one step, in the dtype of the arithmetic.
template <typename T>
struct Coefficients {
  T gradient_scale, keep, beta1_rest, beta2, beta2_rest, root_scale, epsilon, step_size;
};

template <typename T>
Coefficients<T> coefficients(const OptimizerOptions& options, double learning_rate,
                             double gradient_scale, bool decay, int64_t step) {
  const double correction1 = 1.0 - std::pow(options.beta1, static_cast<double>(step));
  const double correction2 = 1.0 - std::pow(options.beta2, static_cast<double>(step));
  return {.gradient_scale = static_cast<T>(gradient_scale),
          .keep = static_cast<T>(1.0 - (decay ? learning_rate * options.weight_decay : 0.0)),
          .beta1_rest = static_cast<T>(1.0 - options.beta1),
          .beta2 = static_cast<T>(options.beta2),
          .beta2_rest = static_cast<T>(1.0 - options.beta2),
          .root_scale = static_cast<T>(1.0 / std::sqrt(correction2)),
          .epsilon = static_cast<T>(options.epsilon),
          .step_size = static_cast<T>(learning_rate / correction1)};
}

// sqrt as one instruction: a call that may set errno keeps the loop from being vectorised, and one
// of std::sqrt is not inlined into a function of other options.
#if defined(__GNUC__) && !defined(__clang__)
#define TREEPO_NO_MATH_ERRNO __attribute__((optimize("no-math-errno")))
#else
#define TREEPO_NO_MATH_ERRNO
#endif

template <typename T>
TREEPO_NO_MATH_ERRNO void update_block(T* weights, const T* gradients, T* m, T* v, int64_t size,
                                       const Coefficients<T>& c) {
#pragma omp simd
  for (int64_t i = 0; i < size; ++i) {
    const T g = gradients[i] * c.gradient_scale;
    m[i] += c.beta1_rest * (g - m[i]);
    v[i] = v[i] * c.beta2 + c.beta2_rest * g * g;
    T root;
    if constexpr (std::is_same_v<T, float>)
      root = __builtin_sqrtf(v[i]);
    else
      root = __builtin_sqrt(v[i]);
    weights[i] = weights[i] * c.keep - c.step_size * (m[i] / (root * c.root_scale + c.epsilon));
  }
}

template <typename Half>
void round_block(const float* from, Half* to, int64_t size) {
  for (int64_t i = 0; i < size; ++i) {
    if constexpr (std::is_same_v<Half, BFloat16>)
      to[i] = to_bfloat16(from[i]);
    else
      to[i] = from[i];
  }
}

// Parts of the ranges that one thread takes in turn.
std::vector<ParameterRange> cached_blocks(std::span<const ParameterRange> ranges) {
  std::vector<ParameterRange> blocks;
  for (const ParameterRange& range : ranges)
    for (int64_t at = range.begin; at < range.end; at += kCachedBlock)
      blocks.push_back(
          {.begin = at, .end = std::min(range.end, at + kCachedBlock), .decay = range.decay});
  return blocks;
}

// numbers(decay): the coefficients. rounded: weights of half width that follow `weights`; null:
// none.
template <typename T, typename Numbers, typename Half = BFloat16>
void update_cpu(const at::Tensor& weights, const at::Tensor& gradients, const AdamWState& state,
                std::span<const ParameterRange> ranges, const Numbers& numbers,
                Half* rounded = nullptr) {
  T* w = weights.data_ptr<T>();
  const T* g = gradients.const_data_ptr<T>();
  T* m = state.first_moment.data_ptr<T>();
  T* v = state.second_moment.data_ptr<T>();
  const Coefficients<T> plain = numbers(false), decaying = numbers(true);
  const std::vector<ParameterRange> blocks = cached_blocks(ranges);
  at::parallel_for(0, std::ssize(blocks), kGrain / kCachedBlock, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      const auto [at, end, decay] = blocks[static_cast<size_t>(i)];
      update_block(w + at, g + at, m + at, v + at, end - at, decay ? decaying : plain);
      if constexpr (std::is_same_v<T, float>)
        if (rounded != nullptr) round_block(w + at, rounded + at, end - at);
    }
  });
}

void update_by_operations(at::Tensor weights, const at::Tensor& gradients, at::Tensor m,
                          at::Tensor v, const Coefficients<double>& c) {
  const at::Tensor g = gradients.to(weights.scalar_type()) * c.gradient_scale;
  m.lerp_(g, c.beta1_rest);
  v.mul_(c.beta2).addcmul_(g, g, c.beta2_rest);
  weights.mul_(c.keep).addcdiv_(m, v.sqrt().mul_(c.root_scale).add_(c.epsilon), -c.step_size);
}

// The CUDA kernels for float32 numbers on a device that they serve, else null.
const CudaKernels* cuda_kernels_of(const at::Tensor& t) {
  return t.scalar_type() == at::kFloat ? cuda_kernels_on(t.device()) : nullptr;
}

double squared_norm_cuda(const CudaKernels& kernels, const at::Tensor& values) {
  const at::Tensor parts =
      at::empty({cuda_norm_parts(values.numel())}, values.options().dtype(at::kDouble));
  check_cuda(kernels,
             kernels.squared_norm(CudaStream(values.device()), values.const_data_ptr<float>(),
                                  values.numel(), parts.mutable_data_ptr<double>()));
  return parts.sum().item<double>();
}

// rounded: weights of half width that follow `weights`; undefined: none.
void update_cuda(const CudaKernels& kernels, const at::Tensor& weights, const at::Tensor& rounded,
                 const at::Tensor& gradients, const AdamWState& state, const ParameterRange& range,
                 const Coefficients<float>& c) {
  CudaAdamW work;
  work.begin = range.begin;
  work.end = range.end;
  work.gradients = gradients.const_data_ptr<float>();
  work.weights = weights.data_ptr<float>();
  work.m = state.first_moment.data_ptr<float>();
  work.v = state.second_moment.data_ptr<float>();
  if (rounded.defined()) {
    work.rounded_type = cuda_type(rounded.scalar_type());
    work.rounded = rounded.data_ptr();
  }
  work.numbers = {.gradient_scale = c.gradient_scale,
                  .keep = c.keep,
                  .beta1_rest = c.beta1_rest,
                  .beta2 = c.beta2,
                  .beta2_rest = c.beta2_rest,
                  .root_scale = c.root_scale,
                  .epsilon = c.epsilon,
                  .step_size = c.step_size};
  check_cuda(kernels, kernels.adamw(CudaStream(weights.device()), work));
}

bool is_half(const at::Tensor& weights) {
  return weights.scalar_type() == at::kHalf || weights.scalar_type() == at::kBFloat16;
}

void check_like(const char* what, const at::Tensor& expected, const at::Tensor& found) {
  const bool same = expected.defined() == found.defined() &&
                    (!expected.defined() || (expected.sizes() == found.sizes() &&
                                             expected.scalar_type() == found.scalar_type()));
  if (!same) {
    const auto describe = [](const at::Tensor& t) {
      return t.defined() ? fmt::format("{} values of {}", t.numel(), at::toString(t.scalar_type()))
                         : std::string("nothing");
    };
    throw Error(fmt::format("optimiser state {} holds {}, the model needs {}", what,
                            describe(found), describe(expected)),
                "the checkpoint belongs to another model or dtype");
  }
}

}  // namespace

double gradient_norm(const at::Tensor& gradients) {
  const at::Tensor flat = gradients.detach().contiguous();
  if (const CudaKernels* kernels = cuda_kernels_of(flat))
    return std::sqrt(squared_norm_cuda(*kernels, flat));
  if (flat.is_cpu() && flat.scalar_type() == at::kFloat) {
    return std::sqrt(squared_norm_cpu(flat.const_data_ptr<float>(), flat.numel()));
  }
  if (flat.is_cpu() && flat.scalar_type() == at::kDouble) {
    return std::sqrt(squared_norm_cpu(flat.const_data_ptr<double>(), flat.numel()));
  }
  return flat.to(at::kFloat).square().sum(at::kDouble).sqrt().item<double>();
}

AdamW::AdamW(at::Tensor weights, at::Tensor gradients, std::vector<ParameterRange> ranges,
             const OptimizerOptions& options)
    : weights_(weights.detach()),
      gradients_(gradients.detach()),
      ranges_(std::move(ranges)),
      options_(options) {
  TREEPO_CHECK(
      weights_.dim() == 1 && weights_.is_contiguous() && gradients_.is_contiguous() &&
          weights_.sizes() == gradients_.sizes() &&
          gradients_.scalar_type() == (is_half(weights_) ? at::kFloat : weights_.scalar_type()),
      "weights and gradients differ or are not flat");
  for (const ParameterRange& range : ranges_) {
    TREEPO_CHECK(0 <= range.begin && range.begin <= range.end && range.end <= weights_.numel(),
                 "range [{}, {}) of {} weights", range.begin, range.end, weights_.numel());
  }
  if (is_half(weights_)) state_.master = weights_.to(at::kFloat);
  const at::Tensor& like = state_.master.defined() ? state_.master : weights_;
  state_.first_moment = at::zeros_like(like);
  state_.second_moment = at::zeros_like(like);
}

StepReport AdamW::step(double learning_rate) {
  const at::NoGradGuard no_grad;
  const double norm = gradient_norm(gradients_);
  if (!std::isfinite(norm)) {
    return {.gradient_norm = norm, .skipped = true};
  }
  const double limit = options_.max_grad_norm;
  const double scale = limit > 0 ? std::min(1.0, limit / (norm + kClipEpsilon)) : 1.0;
  ++state_.steps;
  update(learning_rate, scale);
  return {.gradient_norm = norm, .skipped = false};
}

void AdamW::update(double learning_rate, double gradient_scale) {
  const bool has_master = state_.master.defined();
  const at::Tensor& target = has_master ? state_.master : weights_;
  if (target.is_cpu()) {
    update_on_cpu(learning_rate, gradient_scale);
    return;
  }
  const CudaKernels* const kernels = cuda_kernels_of(target);
  for (const ParameterRange& range : ranges_) {
    const auto c = [&]<typename T>(T) {
      return coefficients<T>(options_, learning_rate, gradient_scale, range.decay, state_.steps);
    };
    if (kernels != nullptr) {
      update_cuda(*kernels, target, has_master ? weights_ : at::Tensor(), gradients_, state_, range,
                  c(float{}));
    } else {
      const auto part = [&](const at::Tensor& t) {
        return t.narrow(0, range.begin, range.end - range.begin);
      };
      update_by_operations(part(target), part(gradients_), part(state_.first_moment),
                           part(state_.second_moment), c(double{}));
      if (has_master) part(weights_).copy_(part(state_.master));
    }
  }
}

void AdamW::update_on_cpu(double learning_rate, double gradient_scale) {
  const auto numbers = [&]<typename T>(T) {
    return [=, this](bool decay) {
      return coefficients<T>(options_, learning_rate, gradient_scale, decay, state_.steps);
    };
  };
  const c10::ScalarType type = weights_.scalar_type();
  if (type == at::kDouble)
    update_cpu<double>(weights_, gradients_, state_, ranges_, numbers(double{}));
  else if (type == at::kFloat)
    update_cpu<float>(weights_, gradients_, state_, ranges_, numbers(float{}));
  else if (type == at::kBFloat16)
    update_cpu<float>(state_.master, gradients_, state_, ranges_, numbers(float{}),
                      mutable_elements<BFloat16>(weights_));
  else
    update_cpu<float>(state_.master, gradients_, state_, ranges_, numbers(float{}),
                      weights_.data_ptr<c10::Half>());
}

void AdamW::restore(const AdamWState& state) {
  check_like("first moment", state_.first_moment, state.first_moment);
  check_like("second moment", state_.second_moment, state.second_moment);
  check_like("master weights", state_.master, state.master);
  state_.first_moment.copy_(state.first_moment);
  state_.second_moment.copy_(state.second_moment);
  if (state_.master.defined()) state_.master.copy_(state.master);
  state_.steps = state.steps;
}

}  // namespace treepo
