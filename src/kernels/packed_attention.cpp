#include "kernels/packed_attention.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "base/error.h"
#include "kernels/aligned_vector.h"
#include "kernels/bfloat16.h"
#include "kernels/isa.h"
#include "kernels/packed_block.h"
#include "kernels/parallel.h"

#define TREEPO_KERNEL_BODY "kernels/packed_attention.inc"
#include "kernels/each_isa.inc"

namespace treepo {

namespace {

template <typename T>
PackedBlock<T> make_block(const PackedAttentionPlan& plan, const AttentionShape& shape,
                          int64_t block, int64_t kv_head, T scale) {
  constexpr int64_t lanes = 64 / sizeof(T);
  const auto at = static_cast<size_t>(block);
  const int64_t heads = shape.num_heads, kv_heads = shape.num_kv_heads, dim = shape.head_dim;
  const int64_t group = heads / kv_heads;
  PackedBlock<T> made = {.subtree_end = plan.subtree_end.data(),
                         .keys = plan.keys.data() + plan.key_begin[at],
                         .num_keys = plan.key_begin[at + 1] - plan.key_begin[at],
                         .first_query = plan.block_begin[at],
                         .num_queries = plan.block_begin[at + 1] - plan.block_begin[at],
                         .group = group,
                         .head_dim = dim,
                         .padded_dim = (dim + lanes - 1) / lanes * lanes,
                         .token_stride = (heads + 2 * kv_heads) * dim,
                         .query_offset = kv_head * group * dim,
                         .key_offset = (heads + kv_head) * dim,
                         .value_offset = (heads + kv_heads + kv_head) * dim,
                         .out_stride = heads * dim,
                         .out_offset = kv_head * group * dim,
                         .lse_stride = heads,
                         .lse_offset = kv_head * group,
                         .scale = scale,
                         .scratch = nullptr};
  thread_local AlignedVector<T> scratch;
  if (const auto needed = static_cast<size_t>(made.scratch_elements()); scratch.size() < needed)
    scratch.resize(needed);
  made.scratch = scratch.data();
  return made;
}

// Multiply-adds of the scores and of the sums of values.
int64_t work_of(const PackedAttentionPlan& plan, const AttentionShape& shape) {
  int64_t pairs = 0;
  for (int32_t block = 0; block < plan.num_blocks(); ++block) {
    const auto at = static_cast<size_t>(block);
    pairs += (plan.key_begin[at + 1] - plan.key_begin[at]) *
             (plan.block_begin[at + 1] - plan.block_begin[at]);
  }
  return 2 * pairs * shape.num_heads * shape.head_dim;
}

void check_shape(const AttentionShape& shape) {
  TREEPO_CHECK(
      shape.num_kv_heads > 0 && shape.num_heads % shape.num_kv_heads == 0 && shape.head_dim > 0,
      "{} heads, {} key/value heads of {}", shape.num_heads, shape.num_kv_heads, shape.head_dim);
}

}  // namespace

template <typename T>
void packed_attention_forward_cpu(const PackedAttentionPlan& plan, const AttentionShape& shape,
                                  T scale, const T* qkv, T* out, T* lse) {
  check_shape(shape);
  const int64_t kv_heads = shape.num_kv_heads;
  parallel_tasks(plan.num_blocks() * kv_heads, work_of(plan, shape), [&](int64_t task) {
    const auto block = make_block<T>(plan, shape, task / kv_heads, task % kv_heads, scale);
    TREEPO_FOR_ISA(forward_block<T>)(block, qkv, out, lse);
  });
}

// A task is a tree and a key/value head: all that adds to the same keys, in the order of its
// blocks.
template <typename T>
void packed_attention_backward_cpu(const PackedAttentionPlan& plan, const AttentionShape& shape,
                                   T scale, const T* qkv, const T* out, const T* lse,
                                   const T* grad_out, T* grad_qkv) {
  check_shape(shape);
  const int64_t kv_heads = shape.num_kv_heads;
  const int64_t token = (shape.num_heads + 2 * kv_heads) * shape.head_dim;
  std::fill(grad_qkv, grad_qkv + plan.num_tokens() * token, T{0});
  parallel_tasks(plan.num_trees() * kv_heads, 3 * work_of(plan, shape), [&](int64_t task) {
    const auto tree = static_cast<size_t>(task / kv_heads);
    for (int64_t b = plan.tree_begin[tree]; b < plan.tree_begin[tree + 1]; ++b) {
      const auto block = make_block<T>(plan, shape, b, task % kv_heads, scale);
      TREEPO_FOR_ISA(backward_block<T>)(block, qkv, out, lse, grad_out, grad_qkv);
    }
  });
}

template void packed_attention_forward_cpu<float>(const PackedAttentionPlan&, const AttentionShape&,
                                                  float, const float*, float*, float*);
template void packed_attention_forward_cpu<double>(const PackedAttentionPlan&,
                                                   const AttentionShape&, double, const double*,
                                                   double*, double*);
template void packed_attention_backward_cpu<float>(const PackedAttentionPlan&,
                                                   const AttentionShape&, float, const float*,
                                                   const float*, const float*, const float*,
                                                   float*);
template void packed_attention_backward_cpu<double>(const PackedAttentionPlan&,
                                                    const AttentionShape&, double, const double*,
                                                    const double*, const double*, const double*,
                                                    double*);

}  // namespace treepo
