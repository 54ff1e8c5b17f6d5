#include "model/embedding.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "kernels/parallel.h"

namespace treepo {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Threads share out the columns, so that each number is a sum in the order of the tokens.
template <typename T>
void add_rows_cpu(at::Tensor& sum, const at::Tensor& tokens, const at::Tensor& rows) {
  const int64_t count = rows.size(0), n = rows.size(1);
  T* out = sum.mutable_data_ptr<T>();
  const T* in = rows.const_data_ptr<T>();
  const int64_t* token = tokens.const_data_ptr<int64_t>();
  parallel_rows(n, count * n, [&](int64_t begin, int64_t end) {
    for (int64_t i = 0; i < count; ++i)
      for (int64_t c = begin; c < end; ++c) out[token[i] * n + c] += in[i * n + c];
  });
}

void add_rows(at::Tensor sum, const at::Tensor& tokens, const at::Tensor& rows) {
  const at::Tensor dense = rows.to(sum.scalar_type()).contiguous();
  if (!sum.is_cpu())  // sorts before it adds there, so it is deterministic
    sum.index_put_({tokens}, dense, /*accumulate=*/true);
  else if (sum.scalar_type() == at::kDouble)
    add_rows_cpu<double>(sum, tokens, dense);
  else
    add_rows_cpu<float>(sum, tokens, dense);
}

struct EmbeddingRows : torch::autograd::Function<EmbeddingRows> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& weight,
                            const at::Tensor& tokens, const at::Tensor& gradient) {
    ctx->save_for_backward({tokens});
    ctx->saved_data["gradient"] = gradient;
    return weight.index_select(0, tokens);
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    add_rows(ctx->saved_data["gradient"].toTensor(), ctx->get_saved_variables()[0], grads[0]);
    return {at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor embedding_rows(const at::Tensor& weight, const at::Tensor& tokens,
                          const at::Tensor& gradient) {
  const bool records = at::GradMode::is_enabled() && weight.requires_grad() && gradient.defined();
  return records ? EmbeddingRows::apply(weight, tokens, gradient) : at::embedding(weight, tokens);
}

}  // namespace treepo
