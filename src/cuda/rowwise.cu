#include "cuda/launches.h"
#include "cuda/narrow.cuh"

namespace treepo {

namespace {

constexpr unsigned kThreads = 256;

unsigned blocks_for(int64_t count) {
  return static_cast<unsigned>((count + kThreads - 1) / kThreads);
}

__device__ int64_t thread_index() {
  return int64_t{blockIdx.x} * kThreads + threadIdx.x;
}

// One thread turns eight pairs (i, i + head_dim / 2) of one head.
template <typename S>
__global__ void __launch_bounds__(kThreads) rotate_kernel(CudaRotate work) {
  const int32_t half = work.head_dim / 16;  // in eights
  int64_t rest = thread_index();
  const auto i = static_cast<int32_t>(rest % half);
  rest /= half;
  const auto head = static_cast<int32_t>(rest % work.heads);
  const int64_t row = rest / work.heads;
  if (row >= work.rows) return;

  const int64_t at = (row * work.heads + head) * 2 * half + i;
  Eight low = static_cast<const Eight*>(work.x)[at];
  Eight high = static_cast<const Eight*>(work.x)[at + half];
  if (head < work.rotated_heads) {
    const float* cosines = work.table + row * work.head_dim + 8 * i;
    const float* sines = cosines + 8 * half;
    float a[8], b[8];
    to_floats<S>(low, a);
    to_floats<S>(high, b);
    for (int k = 0; k < 8; ++k) {
      const float sine = work.inverse ? -sines[k] : sines[k];
      const float turned = a[k] * cosines[k] - b[k] * sine;
      b[k] = b[k] * cosines[k] + a[k] * sine;
      a[k] = turned;
    }
    low = to_eight<S>(a);
    high = to_eight<S>(b);
  }
  if (work.out != work.x || head < work.rotated_heads) {
    static_cast<Eight*>(work.out)[at] = low;
    static_cast<Eight*>(work.out)[at + half] = high;
  }
  const int32_t kv = work.num_kv_heads, first_key = work.heads - 2 * kv;
  if (work.slots == nullptr || head < first_key || work.slots[row] < 0) return;
  const int32_t slot = work.slots[row];
  const int64_t page = slot / work.page_tokens, offset = slot % work.page_tokens;
  const bool is_key = head < first_key + kv;
  const int64_t kv_head = head - first_key - (is_key ? 0 : kv);
  auto* cache = static_cast<Eight*>(is_key ? work.keys : work.values);
  Eight* to = cache + ((page * kv + kv_head) * work.page_tokens + offset) * 2 * half + i;
  to[0] = low;
  to[half] = high;
}

struct SwiGlu {
  const Eight *gate_up, *grad_out;
  int64_t rows;
  int32_t eights;  // of an output row
  Eight* out;      // [rows, eights]; backward: [rows, 2 * eights]
};

template <typename S>
__global__ void __launch_bounds__(kThreads) swiglu_kernel(SwiGlu work) {
  const int64_t row = thread_index() / work.eights, i = thread_index() % work.eights;
  if (row >= work.rows) return;
  const Eight* from = work.gate_up + 2 * row * work.eights + i;
  float gate[8], up[8];
  to_floats<S>(from[0], gate);
  to_floats<S>(from[work.eights], up);
  for (int k = 0; k < 8; ++k) up[k] *= gate[k] / (1 + expf(-gate[k]));
  work.out[row * work.eights + i] = to_eight<S>(up);
}

template <typename S>
__global__ void __launch_bounds__(kThreads) swiglu_backward_kernel(SwiGlu work) {
  const int64_t row = thread_index() / work.eights, i = thread_index() % work.eights;
  if (row >= work.rows) return;
  const int64_t at = 2 * row * work.eights + i;
  float gate[8], up[8], grad[8];
  to_floats<S>(work.gate_up[at], gate);
  to_floats<S>(work.gate_up[at + work.eights], up);
  to_floats<S>(work.grad_out[row * work.eights + i], grad);
  for (int k = 0; k < 8; ++k) {
    const float sigmoid = 1 / (1 + expf(-gate[k]));
    const float along_up = grad[k] * gate[k] * sigmoid;
    gate[k] = grad[k] * up[k] * sigmoid * (1 + gate[k] * (1 - sigmoid));
    up[k] = along_up;
  }
  work.out[at] = to_eight<S>(gate);
  work.out[at + work.eights] = to_eight<S>(up);
}

SwiGlu swiglu_work(const void* gate_up, const void* grad_out, int64_t rows, int64_t n, void* out) {
  return {.gate_up = static_cast<const Eight*>(gate_up),
          .grad_out = static_cast<const Eight*>(grad_out),
          .rows = rows,
          .eights = static_cast<int32_t>(n / 8),
          .out = static_cast<Eight*>(out)};
}

}  // namespace

namespace cuda {

int rotate(void* stream, const CudaRotate& work) {
  const dim3 blocks{blocks_for(work.rows * work.heads * (work.head_dim / 16))};
  return with_narrow(work.type, [&]<typename S>(S) {
    return launch(rotate_kernel<S>, blocks, kThreads, 0, stream, work);
  });
}

int swiglu(void* stream, CudaType type, const void* gate_up, int64_t rows, int64_t n, void* out) {
  return with_narrow(type, [&]<typename S>(S) {
    return launch(swiglu_kernel<S>, {blocks_for(rows * n / 8)}, kThreads, 0, stream,
                  swiglu_work(gate_up, nullptr, rows, n, out));
  });
}

int swiglu_backward(void* stream, CudaType type, const void* grad_out, const void* gate_up,
                    int64_t rows, int64_t n, void* grad_gate_up) {
  return with_narrow(type, [&]<typename S>(S) {
    return launch(swiglu_backward_kernel<S>, {blocks_for(rows * n / 8)}, kThreads, 0, stream,
                  swiglu_work(gate_up, grad_out, rows, n, grad_gate_up));
  });
}

}  // namespace cuda

}  // namespace treepo
