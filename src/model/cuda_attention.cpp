#include "model/cuda_attention.h"

#include <ATen/ATen.h>

#include <cmath>

#include "base/timer.h"
#include "model/cuda_kernels.h"

namespace treepo {

StagedTreeWork stage_tree_work(StagedArrays& arrays, const TreeAttentionWork& work,
                               const CudaTreePlan& plan) {
  const auto for_pieces = [&](std::vector<int32_t> values) {  // as many as the plan has
    values.resize(plan.piece_first_key.size());
    return arrays.add(values);
  };
  return {.tiles = arrays.add(plan.tiles),
          .piece_page = for_pieces(work.piece_page),
          .piece_tokens = for_pieces(work.piece_tokens),
          .piece_first_key = arrays.add(plan.piece_first_key),
          .entry_query = arrays.add(plan.entry_query),
          .entry_visible = arrays.add(plan.entry_visible),
          .entry_part = arrays.add(plan.entry_part),
          .part_begin = arrays.add(plan.part_begin),
          .page_tokens = work.page_tokens};
}

CudaTreeAttention tree_attention_work(const StagedArrays& arrays, const StagedTreeWork& staged,
                                      const CudaTreePlan& plan, const AttentionShape& shape) {
  CudaTreeAttention work;
  work.shape = shape;
  work.scale = static_cast<float>(1 / std::sqrt(static_cast<double>(shape.head_dim)));
  work.page_tokens = staged.page_tokens;
  work.num_queries = static_cast<int32_t>(plan.part_begin.size()) - 1;
  work.num_small_tiles = plan.num_small_tiles;
  work.num_large_tiles = plan.num_large_tiles();
  work.num_parts = plan.num_parts();
  work.tiles = arrays.at<CudaTreeTile>(staged.tiles);
  work.piece_page = arrays.at<int32_t>(staged.piece_page);
  work.piece_tokens = arrays.at<int32_t>(staged.piece_tokens);
  work.piece_first_key = arrays.at<int32_t>(staged.piece_first_key);
  work.entry_query = arrays.at<int32_t>(staged.entry_query);
  work.entry_visible = arrays.at<int32_t>(staged.entry_visible);
  work.entry_part = arrays.at<int32_t>(staged.entry_part);
  work.part_begin = arrays.at<int32_t>(staged.part_begin);
  return work;
}

CudaAttention::CudaAttention(const CudaKernels& kernels, PagedCache& cache,
                             const CudaTreeAttention& work, const int32_t* slots)
    : kernels_(kernels), cache_(cache), attention_(work) {
  const AttentionShape& shape = work.shape;
  const int64_t numbers = int64_t{work.num_parts} * shape.num_heads * (shape.head_dim + 2);
  scratch_ = at::empty({numbers}, cache.keys.options().dtype(at::kFloat));
  attention_.scratch = scratch_.mutable_data_ptr<float>();
  attention_.type = rotate_.type = cuda_type(cache.keys.scalar_type());
  rotate_.rows = work.num_queries;
  rotate_.heads = shape.num_heads + 2 * shape.num_kv_heads;
  rotate_.head_dim = shape.head_dim;
  rotate_.slots = slots;
  rotate_.num_kv_heads = shape.num_kv_heads;
  rotate_.page_tokens = work.page_tokens;
}

at::Tensor CudaAttention::attend(int64_t layer, const at::Tensor& qkv) {
  return run(layer, qkv, nullptr, 0);
}

at::Tensor CudaAttention::rotate_and_attend(int64_t layer, const at::Tensor& qkv,
                                            const at::Tensor& rope, int64_t rotated_heads,
                                            KernelChoice) {
  return run(layer, qkv, rope.const_data_ptr<float>(), rotated_heads);
}

at::Tensor CudaAttention::run(int64_t layer, const at::Tensor& qkv, const float* rope,
                              int64_t rotated_heads) {
  const Timer timer;
  const at::Tensor dense = qkv.contiguous();
  const CudaStream stream(dense.device());
  const auto of_layer = [&](const at::Tensor& pages) {
    return static_cast<unsigned char*>(pages.mutable_data_ptr()) +
           layer * pages.stride(0) * pages.element_size();
  };
  rotate_.x = rotate_.out = dense.mutable_data_ptr();
  rotate_.table = rope;
  rotate_.rotated_heads = static_cast<int32_t>(rotated_heads);
  rotate_.keys = of_layer(cache_.keys);
  rotate_.values = of_layer(cache_.values);
  check_cuda(kernels_, kernels_.rotate(stream, rotate_));

  const AttentionShape& shape = attention_.shape;
  at::Tensor out = at::empty({dense.size(0), shape.num_heads * shape.head_dim}, dense.options());
  attention_.queries = dense.const_data_ptr();
  attention_.query_stride = dense.stride(0);
  attention_.keys = rotate_.keys;
  attention_.values = rotate_.values;
  attention_.out = out.mutable_data_ptr();
  check_cuda(kernels_, kernels_.tree_attention(stream, attention_));
  seconds_ += timer.seconds();
  return out;
}

}  // namespace treepo
