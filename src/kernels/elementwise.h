#pragma once

#include <cstdint>

#include "kernels/bfloat16.h"

namespace treepo {

// The decoder's row-wise operations on contiguous CPU arrays. S, what is stored: float, double or
// BFloat16; Arithmetic<S>, what is computed in: S, float for BFloat16. Small work stays on the
// calling thread. Results do not depend on the number of threads.

// out[r, i] = x[r, i] * inverse_rms[r] * weight[i], inverse_rms[r] = 1 / sqrt(mean(x[r]²) + eps).
// x, out: [rows, n]; inverse_rms: [rows], may be null.
template <typename S>
void rms_norm_cpu(const S* x, const S* weight, Arithmetic<S> eps, int64_t rows, int64_t n, S* out,
                  Arithmetic<S>* inverse_rms);

// grad_x: [rows, n]; grad_weight: [n]; both overwritten.
template <typename S>
void rms_norm_backward_cpu(const S* grad_out, const S* x, const S* weight,
                           const Arithmetic<S>* inverse_rms, int64_t rows, int64_t n, S* grad_x,
                           Arithmetic<S>* grad_weight);

// x, out: [rows, heads, head_dim], may be the same array; table: [rows, head_dim], cosines then
// sines. Heads from rotated_heads on are copied. `inverse` turns the other way: the backward of the
// first.
template <typename S>
void rotate_cpu(const S* x, const Arithmetic<S>* table, int64_t rows, int64_t heads,
                int64_t rotated_heads, int64_t head_dim, bool inverse, S* out);

// gate_up: [rows, 2 * n], gate first; out: [rows, n] = silu(gate) * up.
template <typename S>
void swiglu_cpu(const S* gate_up, int64_t rows, int64_t n, S* out);

template <typename S>
void swiglu_backward_cpu(const S* grad_out, const S* gate_up, int64_t rows, int64_t n,
                         S* grad_gate_up);

}  // namespace treepo
