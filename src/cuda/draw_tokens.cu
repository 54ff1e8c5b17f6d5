#include "cuda/launches.h"
#include "cuda/narrow.cuh"

namespace treepo {

namespace {

constexpr unsigned kThreads = 512;
constexpr int kWarps = kThreads / 32;
constexpr int kDigitBits = 11, kBins = 1 << kDigitBits;  // 3 digits cover 32 bits

// A probability relative to the likeliest token's, in units of 2^-44: 2^19 of them fit 64 bits.
using Mass = unsigned long long;
constexpr float kUnit = 17592186044416.0f;  // 2^44

template <typename T>
__device__ float logit_at(const void* row, int32_t token) {
  const auto* bits = static_cast<const uint16_t*>(row);
  float x;
  if constexpr (sizeof(T) == 4)
    x = static_cast<const float*>(row)[token];
  else
    x = Narrow<T>::first(bits[token]);
  return x + 0.0f;  // -0 becomes 0
}

// As many logits as one load of 16 bytes brings.
template <typename T>
inline constexpr int32_t kPack = 16 / sizeof(T);

template <typename T>
__device__ void unpack(const Eight& from, float (&out)[kPack<T>]) {
  if constexpr (sizeof(T) == 4)
    for (int i = 0; i < 4; ++i) out[i] = bits_to_float(from.pairs[i]);
  else
    to_floats<T>(from, out);
  for (float& x : out) x += 0.0f;
}

// A whole number that orders as the float does.
__device__ uint32_t to_order(float x) {
  const uint32_t bits = float_to_bits(x);
  return (bits >> 31) != 0 ? ~bits : bits | 0x80000000u;
}

__device__ float from_order(uint32_t order) {
  return bits_to_float((order >> 31) != 0 ? order & 0x7fffffffu : ~order);
}

struct Shared {
  Mass bins[kBins];
  Mass groups[kBins / 32];
  Mass masses[kWarps];
  Mass part_masses[kWarps];  // of the parts of Row::part_of
  double sums[kWarps];
  float largest[kWarps];
  uint32_t chosen;
  Mass above;
};

// One row of logits, read by all threads of a block.
template <typename T>
struct Row {
  const void* logits;
  int32_t vocab_size;
  float largest, inverse_temperature;
  Shared* shared;

  __device__ float z_of(float logit) const { return (logit - largest) * inverse_temperature; }
  __device__ static Mass to_mass(float weight) { return static_cast<Mass>(weight * kUnit + 0.5f); }
  __device__ Mass mass_of(float logit) const { return to_mass(expf(z_of(logit))); }
  __device__ float logit(int32_t token) const { return logit_at<T>(logits, token); }

  struct Range {
    int32_t begin, end;
  };
  // A warp's part of tokens [begin, end).
  __device__ static Range part_of(int32_t begin, int32_t end, int32_t warp) {
    const int32_t part = ((end - begin + kWarps - 1) / kWarps + 31) / 32 * 32;
    const int32_t first = min(begin + warp * part, end);
    return {first, min(first + part, end)};
  }

  // Calls f(logits) for each pack of the range, and f(one logit) for what is left; `lanes` threads,
  // of which this is number `lane`, share them out. range.begin: a multiple of 32.
  template <typename F>
  __device__ void for_each(Range range, int32_t lane, int32_t lanes, const F& f) const {
    int32_t from = range.begin;
    if (reinterpret_cast<uintptr_t>(logits) % sizeof(Eight) == 0) {
      const auto* packs = static_cast<const Eight*>(logits);
      const int32_t end = range.end / kPack<T>;
#pragma unroll 4
      for (int32_t pack = range.begin / kPack<T> + lane; pack < end; pack += lanes) {
        float values[kPack<T>];
        unpack<T>(packs[pack], values);
        f(values);
      }
      if (from < end * kPack<T>) from = end * kPack<T>;
    }
    for (int32_t token = from + lane; token < range.end; token += lanes) {
      const float one[1] = {logit(token)};
      f(one);
    }
  }

  // Smallest token at which the sum of amount(token) over tokens [0, token] exceeds `target`, which
  // is below the whole sum. Each round splits the range among the warps and keeps one part.
  // sums_known: part_masses holds the sums of the first round.
  template <typename F>
  __device__ int32_t find(Mass target, const F& amount, bool sums_known = false) const {
    const int32_t warp = static_cast<int32_t>(threadIdx.x / 32);
    const int32_t lane = static_cast<int32_t>(threadIdx.x % 32);
    int32_t begin = 0, end = vocab_size;
    while (end - begin > 32) {
      if (!sums_known) {
        const Range part = part_of(begin, end, warp);
        Mass sum = 0;
        for (int32_t token = part.begin + lane; token < part.end; token += 32) sum += amount(token);
        sum = warp_sum(sum);
        __syncthreads();
        if (lane == 0) shared->part_masses[warp] = sum;
        __syncthreads();
      }
      sums_known = false;
      int32_t at = 0;
      for (; at < kWarps - 1 && target >= shared->part_masses[at]; ++at)
        target -= shared->part_masses[at];
      const Range kept = part_of(begin, end, at);
      begin = kept.begin;
      end = kept.end;
    }
    const int32_t token = begin + lane;
    Mass sum = token < end ? amount(token) : 0;
    for (int distance = 1; distance < 32; distance *= 2) {
      const Mass below = shuffle_up(sum, distance);
      if (lane >= distance) sum += below;
    }
    const unsigned past = ballot(token < end && sum > target);
    return begin + (past != 0 ? lowest_bit(past) : 31);
  }
};

// A prefix of the ranking by logit, equal ones by token: all tokens above `order`, and of those at
// it the first `ties`.
struct Prefix {
  uint32_t order = 0;
  Mass ties = ~Mass{0};

  __device__ void shorten(const Prefix& other) {
    if (other.order > order || (other.order == order && other.ties < ties)) *this = other;
  }
};

// The shortest prefix whose amount reaches `target` (at least 1, at most the whole), digit by digit
// of the order. Sets `above` to the amount of the tokens above prefix.order.
template <typename T, typename F>
__device__ Prefix select_prefix(const Row<T>& row, Mass target, const F& amount, Mass& above) {
  Shared& shared = *row.shared;
  uint32_t order = 0;
  int known = 0;  // leading bits of order
  Mass passed = 0;
  while (known < 32) {
    const int bits = 32 - known < kDigitBits ? 32 - known : kDigitBits, shift = 32 - known - bits;
    __syncthreads();
    for (int bin = static_cast<int>(threadIdx.x); bin < kBins; bin += kThreads)
      shared.bins[bin] = 0;
    __syncthreads();
    for (int32_t token = static_cast<int32_t>(threadIdx.x); token < row.vocab_size;
         token += kThreads) {
      const float logit = row.logit(token);
      const uint32_t place = to_order(logit);
      if (known > 0 && place >> (32 - known) != order >> (32 - known)) continue;
      atomic_add(&shared.bins[place >> shift & ((1u << bits) - 1)], amount(logit));
    }
    __syncthreads();
    if (threadIdx.x < kBins / 32) {
      Mass sum = 0;
      for (int i = 0; i < 32; ++i) sum += shared.bins[32 * threadIdx.x + (i + threadIdx.x) % 32];
      shared.groups[threadIdx.x] = sum;
    }
    __syncthreads();
    if (threadIdx.x == 0) {
      Mass sum = passed;
      int group = kBins / 32 - 1;
      for (; group > 0 && sum + shared.groups[group] < target; --group) sum += shared.groups[group];
      int bin = 32 * group + 31;
      for (; bin > 32 * group && sum + shared.bins[bin] < target; --bin) sum += shared.bins[bin];
      shared.chosen = static_cast<uint32_t>(bin);
      shared.above = sum;
    }
    __syncthreads();
    order |= shared.chosen << shift;
    passed = shared.above;
    known += bits;
  }
  __syncthreads();
  above = passed;
  return {.order = order, .ties = 0};
}

template <typename T>
__device__ Mass block_mass(const Row<T>& row, Mass mine) {
  const Mass sum = block_sum(mine, row.shared->masses);
  __syncthreads();
  return sum;
}

// The tokens that top_k and top_p leave.
template <typename T>
__device__ Prefix truncate(const Row<T>& row, const SamplingParams& params, Mass total) {
  Prefix kept;
  Mass above = 0;
  if (params.top_k > 0 && params.top_k < row.vocab_size) {
    const auto most = static_cast<Mass>(params.top_k);
    kept = select_prefix(
        row, most, [](float) { return Mass{1}; }, above);
    kept.ties = most - above;
    if (params.top_p < 1) {  // the share is one of what top_k leaves
      Mass mass = 0;
      for (int32_t token = static_cast<int32_t>(threadIdx.x); token < row.vocab_size;
           token += kThreads) {
        const float logit = row.logit(token);
        if (to_order(logit) > kept.order) mass += row.mass_of(logit);
      }
      total = block_mass(row, mass) + kept.ties * row.mass_of(from_order(kept.order));
    }
  }
  if (params.top_p < 1) {
    const double wanted = params.top_p * static_cast<double>(total);
    auto target = static_cast<Mass>(wanted);
    if (static_cast<double>(target) < wanted) ++target;
    target = target < 1 ? 1 : target > total ? total : target;
    Prefix by_mass = select_prefix(
        row, target, [&](float logit) { return row.mass_of(logit); }, above);
    const Mass each = row.mass_of(from_order(by_mass.order));
    by_mass.ties = each > 0 ? (target - above + each - 1) / each : 1;
    kept.shorten(by_mass);
  }
  return kept;
}

// The block's largest logit; NaN where one is NaN or +inf, or all are -inf.
template <typename T>
__device__ float largest_logit(const Row<T>& row) {
  float most = -INFINITY;
  bool bad = false;
  row.for_each({0, row.vocab_size}, static_cast<int32_t>(threadIdx.x), kThreads,
               [&](const auto& pack) {
                 for (const float logit : pack) {
                   bad = bad || !(logit < INFINITY);
                   most = fmaxf(most, logit);
                 }
               });
  if (bad) most = INFINITY;
  for (int mask = 16; mask > 0; mask /= 2) most = fmaxf(most, shuffle_xor(most, mask));
  if (threadIdx.x % 32 == 0) row.shared->largest[threadIdx.x / 32] = most;
  __syncthreads();
  for (int warp = 0; warp < kWarps; ++warp) most = fmaxf(most, row.shared->largest[warp]);
  return most - most == 0 ? most : NAN;
}

template <typename T>
__global__ void __launch_bounds__(kThreads) draw_kernel(CudaDraw work) {
  __shared__ Shared shared;
  const SamplingParams& params = work.params;
  const auto* logits = static_cast<const unsigned char*>(work.logits);
  Row<T> row = {.logits = logits + int64_t{work.rows[blockIdx.x]} * work.vocab_size *
                                       static_cast<int64_t>(sizeof(T)),
                .vocab_size = work.vocab_size,
                .largest = 0,
                .inverse_temperature =
                    params.temperature > 0 ? static_cast<float>(1 / params.temperature) : 1.0f,
                .shared = &shared};
  DrawnToken drawn;
  row.largest = largest_logit(row);
  if (row.largest != row.largest) {
    if (threadIdx.x == 0) work.drawn[blockIdx.x] = drawn;
    return;
  }

  // Each warp takes the part that find's first round gives it.
  const int32_t warp = static_cast<int32_t>(threadIdx.x / 32);
  Mass mass = 0;
  double weight = 0, weighted = 0;
  row.for_each(Row<T>::part_of(0, row.vocab_size, warp), static_cast<int32_t>(threadIdx.x % 32), 32,
               [&](const auto& pack) {
                 float sum = 0, weighted_sum = 0;
                 for (const float logit : pack) {
                   const float z = fmaxf(row.z_of(logit), -1e4f), w = expf(z);
                   sum += w;
                   weighted_sum += w * z;
                   mass += Row<T>::to_mass(w);
                 }
                 weight += sum;
                 weighted += weighted_sum;
               });
  mass = warp_sum(mass);
  if (threadIdx.x % 32 == 0) shared.part_masses[warp] = mass;
  const double all = block_sum(weight, shared.sums);
  __syncthreads();
  const double log_total = log(all), mean_z = block_sum(weighted, shared.sums) / all;
  Mass total = 0;
  for (const Mass part : shared.part_masses) total += part;
  drawn.entropy = log_total > mean_z ? log_total - mean_z : 0;

  const bool truncates =
      (params.top_k > 0 && params.top_k < row.vocab_size) || params.top_p < 1 || params.min_p > 0;
  const auto target_of = [&](Mass sum) {
    const auto target = static_cast<Mass>(work.uniforms[blockIdx.x] * static_cast<double>(sum));
    return target < sum ? target : sum - 1;
  };
  if (params.temperature == 0) {
    drawn.token =
        row.find(0, [&](int32_t token) -> Mass { return row.logit(token) == row.largest; });
  } else if (!truncates) {
    drawn.token = row.find(
        target_of(total), [&](int32_t token) { return row.mass_of(row.logit(token)); },
        /*sums_known=*/true);
  } else {
    const Prefix kept = truncate(row, params, total);
    int32_t last_tie = row.vocab_size;
    if (kept.ties < ~Mass{0})
      last_tie = row.find(kept.ties - 1, [&](int32_t token) -> Mass {
        return to_order(row.logit(token)) == kept.order;
      });
    const auto kept_mass = [&](int32_t token) -> Mass {
      const float logit = row.logit(token);
      const uint32_t order = to_order(logit);
      if (order < kept.order || (order == kept.order && token > last_tie)) return 0;
      if (expf(row.z_of(logit)) < static_cast<float>(params.min_p)) return 0;
      return row.mass_of(logit);
    };
    Mass left = 0;
    for (int32_t token = static_cast<int32_t>(threadIdx.x); token < row.vocab_size;
         token += kThreads)
      left += kept_mass(token);
    __syncthreads();
    left = block_mass(row, left);
    drawn.cut_mass = static_cast<double>(total - left) / static_cast<double>(total);
    drawn.token = row.find(target_of(left), kept_mass);
  }
  drawn.logprob = static_cast<double>(row.logit(drawn.token) - row.largest) *
                      static_cast<double>(row.inverse_temperature) -
                  log_total;
  if (threadIdx.x == 0) work.drawn[blockIdx.x] = drawn;
}

}  // namespace

int cuda::draw_tokens(void* stream, const CudaDraw& work) {
  const dim3 blocks{static_cast<unsigned>(work.num_draws)};
  if (work.type == CudaType::float32)
    return launch(draw_kernel<float>, blocks, kThreads, 0, stream, work);
  return with_narrow(work.type, [&]<typename S>(S) {
    return launch(draw_kernel<S>, blocks, kThreads, 0, stream, work);
  });
}

}  // namespace treepo
