#include "model/cached_attention.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/error.h"
#include "kernels/parallel.h"
#include "model/kernel_type.h"

namespace treepo {

namespace {

AttentionShape shape_of(const PagedCache& cache, const at::Tensor& qkv) {
  const int64_t kv_heads = cache.keys.size(2);
  return {.num_heads = static_cast<int32_t>(qkv.size(1) - 2 * kv_heads),
          .num_kv_heads = static_cast<int32_t>(kv_heads),
          .head_dim = static_cast<int32_t>(qkv.size(2))};
}

class KernelAttention : public AttentionLayer {
 public:
  KernelAttention(const StepBatch& batch, PagedCache& cache) : batch_(batch), cache_(cache) {
    cache_.plan.clear();
  }

  at::Tensor attend(int64_t layer, const at::Tensor& qkv) override {
    at::Tensor out;
    with_kernel_type(cache_.keys, [&]<typename S>(S) { out = run<S>(layer, qkv); });
    return out.view({qkv.size(0), -1}).to(qkv.scalar_type());
  }

 private:
  // S: what the cache stores. Returns [rows, num_heads, head_dim] in Arithmetic<S>.
  template <typename S>
  at::Tensor run(int64_t layer, const at::Tensor& qkv) {
    using T = Arithmetic<S>;
    const AttentionShape shape = shape_of(cache_, qkv);
    const int64_t stride = qkv.size(1) * shape.head_dim;
    const at::Tensor stored = qkv.to(cache_.keys.scalar_type()).contiguous();
    S* keys = mutable_elements<S>(cache_.keys) + layer * cache_.keys.stride(0);
    S* values = mutable_elements<S>(cache_.values) + layer * cache_.values.stride(0);
    parallel_rows(batch_.num_rows(), batch_.num_rows() * stride, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const int32_t slot = batch_.slots[static_cast<size_t>(row)];
        if (slot < 0) continue;
        const S* key = const_elements<S>(stored) + row * stride + shape.num_heads * shape.head_dim;
        store_key(shape, slot, key, keys);
        store_value(shape, slot, key + shape.num_kv_heads * shape.head_dim, values);
      }
    });
    const auto compute = c10::CppTypeToScalarType<T>::value;
    const at::Tensor wide = qkv.to(compute).contiguous();
    at::Tensor out = at::empty({qkv.size(0), shape.num_heads, shape.head_dim}, wide.options());
    const auto scale = static_cast<T>(1 / std::sqrt(static_cast<double>(shape.head_dim)));
    if (cache_.plan.empty()) cache_.plan.make(batch_.attention, shape, batch_.num_rows());
    tree_attention_cpu<S>(cache_.plan, batch_.attention, shape, scale, wide.const_data_ptr<T>(),
                          stride, keys, values, out.mutable_data_ptr<T>());
    return out;
  }

  // from: [num_kv_heads, head_dim] of one token.
  template <typename T>
  void store_key(const AttentionShape& shape, int32_t slot, const T* from, T* pages) const {
    const int64_t page_tokens = batch_.attention.page_tokens, dim = shape.head_dim;
    T* to =
        pages + slot / page_tokens * shape.num_kv_heads * dim * page_tokens + slot % page_tokens;
    for (int64_t i = 0; i < shape.num_kv_heads * dim; ++i) to[i * page_tokens] = from[i];
  }

  template <typename T>
  void store_value(const AttentionShape& shape, int32_t slot, const T* from, T* pages) const {
    const int64_t page_tokens = batch_.attention.page_tokens, dim = shape.head_dim;
    const int64_t page = slot / page_tokens, offset = slot % page_tokens;
    for (int64_t head = 0; head < shape.num_kv_heads; ++head)
      std::memcpy(pages + ((page * shape.num_kv_heads + head) * page_tokens + offset) * dim,
                  from + head * dim, static_cast<size_t>(dim) * sizeof(T));
  }

  const StepBatch& batch_;
  PagedCache& cache_;
};

class TensorAttention : public AttentionLayer {
 public:
  TensorAttention(const StepBatch& batch, PagedCache& cache) : batch_(batch), cache_(cache) {
    const at::Device device = cache.keys.device();
    std::vector<int64_t> rows, slots;
    for (int32_t row = 0; row < batch.num_rows(); ++row)
      if (const int32_t slot = batch.slots[static_cast<size_t>(row)]; slot >= 0) {
        rows.push_back(row);
        slots.push_back(slot);
      }
    stored_rows_ = at::tensor(rows).to(device, at::kLong);
    stored_slots_ = at::tensor(slots).to(device, at::kLong);
    list_seen_slots(device);
  }

  at::Tensor attend(int64_t layer, const at::Tensor& qkv) override {
    const AttentionShape shape = shape_of(cache_, qkv);
    const auto parts =
        qkv.split_with_sizes({shape.num_heads, shape.num_kv_heads, shape.num_kv_heads}, 1);
    store(parts[1], keys_of(layer));
    store(parts[2], values_of(layer));
    const auto compute = qkv.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
    const at::Tensor queries = parts[0].to(compute);

    // As many queries at once as keep the gathered keys below 2²⁶ numbers.
    const int64_t longest = seen_slots_.size(1);
    const int64_t each = std::max<int64_t>(1, longest * shape.num_kv_heads * shape.head_dim);
    const int64_t at_once = std::max<int64_t>(1, (int64_t{1} << 26) / each);
    at::Tensor out = at::empty_like(queries);
    for (int64_t begin = 0; begin < qkv.size(0); begin += at_once) {
      const int64_t end = std::min(qkv.size(0), begin + at_once);
      out.slice(0, begin, end)
          .copy_(attend_rows(layer, shape, queries.slice(0, begin, end),
                             seen_slots_.slice(0, begin, end)));
    }
    return out.view({qkv.size(0), -1}).to(qkv.scalar_type());
  }

 private:
  // [queries, longest]: page * page_tokens + offset of each key that a query sees, -1 beyond.
  void list_seen_slots(at::Device device) {
    const TreeAttentionWork& work = batch_.attention;
    std::vector<std::vector<int64_t>> seen(static_cast<size_t>(batch_.num_rows()));
    for (size_t run = 0; run < work.run_tokens.size(); ++run) {
      std::vector<int64_t> slots;
      for (auto piece = static_cast<size_t>(work.run_piece_begin[run]);
           piece < static_cast<size_t>(work.run_piece_begin[run + 1]); ++piece)
        for (int32_t i = 0; i < work.piece_tokens[piece]; ++i)
          slots.push_back(int64_t{work.piece_page[piece]} * work.page_tokens + i);
      for (auto pair = static_cast<size_t>(work.run_pair_begin[run]);
           pair < static_cast<size_t>(work.run_pair_begin[run + 1]); ++pair) {
        auto& of_query = seen[static_cast<size_t>(work.pair_query[pair])];
        of_query.insert(of_query.end(), slots.begin(), slots.begin() + work.pair_visible[pair]);
      }
    }
    size_t longest = 0;
    for (const auto& slots : seen) longest = std::max(longest, slots.size());
    at::Tensor host = at::full({batch_.num_rows(), static_cast<int64_t>(longest)}, -1, at::kLong);
    for (size_t query = 0; query < seen.size(); ++query)
      std::copy(seen[query].begin(), seen[query].end(),
                host.mutable_data_ptr<int64_t>() + query * longest);
    seen_slots_ = host.to(device);
  }

  // Both as [pages, page_tokens, kv heads, head_dim] of one layer, views.
  at::Tensor keys_of(int64_t layer) const {
    return cache_.keys.select(0, layer).permute({0, 3, 1, 2});
  }
  at::Tensor values_of(int64_t layer) const {
    return cache_.values.select(0, layer).transpose(1, 2);
  }

  void store(const at::Tensor& rows, at::Tensor pages) const {
    const int64_t page_tokens = batch_.attention.page_tokens;
    pages.index_put_(
        {stored_slots_.div(page_tokens, "floor"), stored_slots_.remainder(page_tokens)},
        rows.index_select(0, stored_rows_).to(pages.scalar_type()));
  }

  at::Tensor attend_rows(int64_t layer, const AttentionShape& shape, const at::Tensor& queries,
                         const at::Tensor& slots) const {
    const int64_t page_tokens = batch_.attention.page_tokens, rows = queries.size(0);
    const int64_t group = shape.num_heads / shape.num_kv_heads;
    const at::Tensor hidden = slots.lt(0), at_slot = slots.clamp_min(0);
    const at::Tensor page = at_slot.div(page_tokens, "floor");
    const at::Tensor offset = at_slot.remainder(page_tokens);
    const auto gathered = [&](const at::Tensor& pages) {  // [rows, kv heads, keys, head_dim]
      return pages.index({page, offset}).transpose(1, 2).to(queries.scalar_type());
    };
    const at::Tensor q = queries.reshape({rows, shape.num_kv_heads, group, shape.head_dim}) /
                         std::sqrt(static_cast<double>(shape.head_dim));
    const at::Tensor scores =
        q.matmul(gathered(keys_of(layer)).transpose(2, 3))
            .masked_fill_(hidden.view({rows, 1, 1, -1}), -std::numeric_limits<double>::infinity());
    return scores.softmax(-1).matmul(gathered(values_of(layer))).reshape_as(queries);
  }

  const StepBatch& batch_;
  PagedCache& cache_;
  at::Tensor stored_rows_, stored_slots_;  // int64, rows whose key and value go to a slot
  at::Tensor seen_slots_;
};

}  // namespace

c10::ScalarType key_value_dtype(c10::Device device, c10::ScalarType dtype) {
  return !device.is_cpu() || is_kernel_type(dtype) ? dtype : at::kFloat;
}

PagedCache make_paged_cache(int64_t layers, int64_t pages, int64_t page_tokens,
                            const AttentionShape& shape, const at::TensorOptions& options,
                            CacheLayout layout) {
  const int64_t kv_heads = shape.num_kv_heads, dim = shape.head_dim;
  const int64_t count = layers * pages * kv_heads * dim * page_tokens;
  const at::Tensor keys = at::zeros({count}, options);
  const at::Tensor values = at::zeros({count}, options);
  return {.keys = layout == CacheLayout::tokens_inside
                      ? keys.view({layers, pages, kv_heads, dim, page_tokens})
                      : keys.view({layers, pages, kv_heads, page_tokens, dim}).transpose(3, 4),
          .values = values.view({layers, pages, kv_heads, page_tokens, dim})};
}

std::unique_ptr<AttentionLayer> cached_attention_kernels(const StepBatch& batch,
                                                         PagedCache& cache) {
  return std::make_unique<KernelAttention>(batch, cache);
}

std::unique_ptr<AttentionLayer> cached_attention_tensors(const StepBatch& batch,
                                                         PagedCache& cache) {
  return std::make_unique<TensorAttention>(batch, cache);
}

}  // namespace treepo
