#include "kernels/sampling.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

#include "base/error.h"
#include "kernels/bfloat16.h"
#include "kernels/isa.h"

#define TREEPO_KERNEL_BODY "kernels/sampling.inc"
#include "kernels/each_isa.inc"

namespace treepo {

namespace {

template <typename T>
T checked_largest(const T* logits, int32_t vocab_size) {
  const T largest = TREEPO_FOR_ISA(largest_logit<T>)(logits, vocab_size);
  if (std::isfinite(largest)) return largest;
  for (int32_t token = 0; token < vocab_size; ++token)
    if (std::isnan(logits[token]) || logits[token] == std::numeric_limits<T>::infinity())
      throw Error(fmt::format("the model gave the logit {} for token {}",
                              static_cast<double>(logits[token]), token),
                  "the weights hold NaN or infinite values, or overflow in this dtype");
  throw Error("the model gave the logit -inf for every token",
              "the weights hold NaN or infinite values, or overflow in this dtype");
}

// The likeliest tokens first, equal ones by id, sorted no further than is asked for.
template <typename T>
class Ranking {
 public:
  Ranking(const T* logits, int32_t vocab_size) : logits_(logits), ids_(to_size(vocab_size)) {
    std::iota(ids_.begin(), ids_.end(), 0);
  }

  int32_t operator[](size_t rank) {
    while (rank >= sorted_) extend();
    return ids_[rank];
  }

  bool is_before(int32_t a, int32_t b) const {
    return logits_[a] > logits_[b] || (logits_[a] == logits_[b] && a < b);
  }

 private:
  static size_t to_size(int32_t n) { return static_cast<size_t>(n); }

  void extend() {
    const size_t end = std::min(ids_.size(), std::max<size_t>(64, sorted_ * 8));
    const auto before = [this](int32_t a, int32_t b) { return is_before(a, b); };
    const auto at = [this](size_t i) { return ids_.begin() + static_cast<std::ptrdiff_t>(i); };
    if (end < ids_.size()) std::nth_element(at(sorted_), at(end), ids_.end(), before);
    std::sort(at(sorted_), at(end), before);
    sorted_ = end;
  }

  const T* logits_;
  std::vector<int32_t> ids_;
  size_t sorted_ = 0;
};

// Each truncation keeps a prefix of the ranking, so the shortest of the three holds. top_p is a
// share of what top_k leaves; min_p compares with the likeliest token, which no truncation removes.
template <typename T>
int32_t last_kept_token(Ranking<T>& ranking, const double* weights, double total,
                        int32_t vocab_size, const SamplingParams& params) {
  const int32_t most = params.top_k > 0 ? std::min(params.top_k, vocab_size) : vocab_size;
  double mass = total;
  if (most < vocab_size) {
    mass = 0;
    for (int32_t rank = 0; rank < most; ++rank) mass += weights[ranking[static_cast<size_t>(rank)]];
  }
  const double least_weight = params.min_p * weights[ranking[0]];
  double kept = 0;
  int32_t last = ranking[0];
  for (int32_t rank = 0; rank < most; ++rank) {
    const int32_t token = ranking[static_cast<size_t>(rank)];
    if (rank > 0 && weights[token] < least_weight) break;
    last = token;
    kept += weights[token];
    if (params.top_p < 1 && kept >= params.top_p * mass) break;
  }
  return last;
}

// Sets the weights of tokens that the truncation excludes to 0; returns the mass that is left.
template <typename T>
double truncate(const T* logits, int32_t vocab_size, const SamplingParams& params, double total,
                double* weights, double& cut) {
  Ranking<T> ranking(logits, vocab_size);
  const int32_t last = last_kept_token(ranking, weights, total, vocab_size, params);
  double kept = 0;
  for (int32_t token = 0; token < vocab_size; ++token) {
    if (token != last && ranking.is_before(last, token)) {
      cut += weights[token];
      weights[token] = 0;
    } else {
      kept += weights[token];
    }
  }
  return kept;
}

}  // namespace

template <typename T>
DrawnToken draw_token(const T* logits, int32_t vocab_size, const SamplingParams& params, double u) {
  TREEPO_CHECK(vocab_size > 0 && params.temperature >= 0 && u >= 0 && u < 1,
               "vocabulary of {}, temperature {}, u {}", vocab_size, params.temperature, u);
  const T largest = checked_largest(logits, vocab_size);
  const double inverse_temperature = params.temperature > 0 ? 1 / params.temperature : 1;

  thread_local std::vector<double> weights;
  weights.resize((static_cast<size_t>(vocab_size) + 7) / 8 * 8);
  double sums[2];
  TREEPO_FOR_ISA(softmax_weights<T>)
  (logits, vocab_size, static_cast<double>(largest), inverse_temperature, weights.data(), sums);
  const double log_total = std::log(sums[0]);

  DrawnToken drawn;
  drawn.entropy = std::max(0.0, log_total - sums[1] / sums[0]);
  if (params.temperature == 0) {
    drawn.token = static_cast<int32_t>(std::find(logits, logits + vocab_size, largest) - logits);
  } else {
    double mass = sums[0], cut = 0;
    const bool top_k = params.top_k > 0 && params.top_k < vocab_size;
    if (top_k || params.top_p < 1 || params.min_p > 0)
      mass = truncate(logits, vocab_size, params, sums[0], weights.data(), cut);
    drawn.cut_mass = cut / sums[0];
    drawn.token = static_cast<int32_t>(
        TREEPO_FOR_ISA(invert_cumulative)(weights.data(), vocab_size, u * mass));
  }
  const double z = static_cast<double>(logits[drawn.token]) - static_cast<double>(largest);
  drawn.logprob = z * inverse_temperature - log_total;
  return drawn;
}

template DrawnToken draw_token<float>(const float*, int32_t, const SamplingParams&, double);
template DrawnToken draw_token<double>(const double*, int32_t, const SamplingParams&, double);

}  // namespace treepo
