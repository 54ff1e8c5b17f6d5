#pragma once

#include <cstdint>

namespace treepo {

// The decoder's row-wise operations on contiguous CPU arrays; T: float or double. Small work stays
// on the calling thread. Results do not depend on the number of threads.

// out[r, i] = x[r, i] * inverse_rms[r] * weight[i], inverse_rms[r] = 1 / sqrt(mean(x[r]²) + eps).
// x, out: [rows, n]; inverse_rms: [rows], may be null.
template <typename T>
void rms_norm_cpu(const T* x, const T* weight, T eps, int64_t rows, int64_t n, T* out,
                  T* inverse_rms);

// grad_x: [rows, n]; grad_weight: [n]; both overwritten.
template <typename T>
void rms_norm_backward_cpu(const T* grad_out, const T* x, const T* weight, const T* inverse_rms,
                           int64_t rows, int64_t n, T* grad_x, T* grad_weight);

// x, out: [rows, heads, head_dim], may be the same array; table: [rows, head_dim], cosines then
// sines. Heads from rotated_heads on are copied. `inverse` turns the other way: the backward of the
// first.
template <typename T>
void rotate_cpu(const T* x, const T* table, int64_t rows, int64_t heads, int64_t rotated_heads,
                int64_t head_dim, bool inverse, T* out);

// gate_up: [rows, 2 * n], gate first; out: [rows, n] = silu(gate) * up.
template <typename T>
void swiglu_cpu(const T* gate_up, int64_t rows, int64_t n, T* out);

template <typename T>
void swiglu_backward_cpu(const T* grad_out, const T* gate_up, int64_t rows, int64_t n,
                         T* grad_gate_up);

}  // namespace treepo
