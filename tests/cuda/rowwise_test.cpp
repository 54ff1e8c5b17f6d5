// Holds norm, rotary embedding, append and SwiGLU against tensor operations in float64, forward and
// backward.

#include "each_device.h"
#include "model/ops.h"

namespace treepo {
namespace {

TREEPO_EACH_DEVICE(CudaRowwise);

struct Result {
  at::Tensor out;
  std::vector<at::Tensor> gradients;
};

// f of leaves with these values; the sum of out, weighted, is differentiated.
template <typename F>
Result run(const std::vector<at::Tensor>& values, const at::Tensor& weights, const F& f) {
  std::vector<at::Tensor> leaves;
  for (const at::Tensor& value : values)
    leaves.push_back(value.detach().clone().set_requires_grad(true));
  const at::Tensor out = f(leaves);
  (out * weights.to(out.device(), out.scalar_type())).sum().backward();
  Result result{out.detach(), {}};
  for (const at::Tensor& leaf : leaves) result.gradients.push_back(leaf.grad());
  return result;
}

// Compares f in narrow types with f in float64 of the same, rounded, values.
template <typename F>
void compare(c10::Device device, std::vector<at::Tensor> values, const F& f) {
  for (const c10::ScalarType dtype : kNarrow) {
    SCOPED_TRACE(c10::toString(dtype));
    std::vector<at::Tensor> narrow, exact;
    for (const at::Tensor& value : values) {
      narrow.push_back(value.to(device, dtype));
      exact.push_back(value.to(dtype).to(at::kDouble));
    }
    const at::Tensor shape = f(exact, KernelChoice::tensor_operations);
    const at::Tensor weights = normals(9, shape.sizes()).to(dtype).to(at::kDouble);
    const auto choose = [&](KernelChoice kernels) {
      return [&f, kernels](const std::vector<at::Tensor>& x) { return f(x, kernels); };
    };
    const Result expected = run(exact, weights, choose(KernelChoice::tensor_operations));
    const Result actual = run(narrow, weights, choose(KernelChoice::best));
    EXPECT_EQ(actual.out.scalar_type(), dtype);
    EXPECT_LT(excess(actual.out, expected.out, rounding(dtype)), 1e-5);
    for (size_t i = 0; i < values.size(); ++i) {
      const double largest = expected.gradients[i].abs().max().item<double>();
      EXPECT_LT(excess(actual.gradients[i], expected.gradients[i], rounding(dtype)), 2e-6 * largest)
          << "gradient " << i;
    }
    const at::NoGradGuard no_gradients;
    EXPECT_TRUE(at::equal(f(narrow, KernelChoice::best), actual.out)) << "without gradients";
  }
}

TEST_P(CudaRowwise, RmsNorm) {
  // Rows for a warp and for a block of threads, some with more than one round, one that falls back.
  for (const auto& [rows, n] :
       {std::pair(1, 8), std::pair(13, 64), std::pair(33, 256), std::pair(5, 264),
        std::pair(530, 896), std::pair(3, 5120), std::pair(2, 8192), std::pair(4, 20)}) {
    SCOPED_TRACE(testing::Message() << rows << " x " << n);
    compare(device, {normals(1, {rows, n}), normals(2, {n})},
            [](const std::vector<at::Tensor>& x, KernelChoice kernels) {
              return rms_norm(x[0], x[1], 1e-5, kernels);
            });
  }
}

TEST_P(CudaRowwise, RotateTurnsAndCopies) {
  for (const int64_t dim : {16, 64, 128, 20}) {
    const at::Tensor angles = normals(4, {7, dim / 2});
    const at::Tensor table = at::cat({angles.cos(), angles.sin()}, 1);
    compare(device, {normals(3, {7, 9, dim})},
            [&](const std::vector<at::Tensor>& x, KernelChoice kernels) {
              const bool exact = x[0].scalar_type() == at::kDouble;
              // A float32 table on both sides: its rounding is not the kernel's.
              const at::Tensor same = table.to(at::kFloat).to(exact ? at::kDouble : at::kFloat);
              return rotate(x[0], same.to(x[0].device()), 6, kernels);
            });
  }
}

TEST_P(CudaRowwise, SwiGlu) {
  for (const int64_t n : {8, 56, 1000, 12})
    compare(device, {3 * normals(5, {11, 2 * n})},
            [](const std::vector<at::Tensor>& x, KernelChoice kernels) {
              return swiglu(x[0], kernels);
            });
}

// In place, keys and values of rows with a slot to their pages; nothing else is touched.
TEST_P(CudaRowwise, RotateStoresInPages) {
  constexpr int32_t kHeads = 4, kKvHeads = 2, kDim = 64, kPageTokens = 5, kPages = 3;
  const std::vector<int32_t> slots = {11, -1, 0, 14, 5};
  const at::Tensor angles = normals(4, {5, kDim / 2});
  const at::Tensor table = at::cat({angles.cos(), angles.sin()}, 1).to(at::kFloat);
  for (const c10::ScalarType dtype : kNarrow) {
    const at::Tensor qkv = normals(6, {5, kHeads + 2 * kKvHeads, kDim}).to(device, dtype);
    const at::Tensor expected = rotate(qkv, table.to(device), kHeads + kKvHeads);
    const at::Tensor keys = at::full({kPages, kKvHeads, kPageTokens, kDim}, 7, qkv.options());
    const at::Tensor values = keys.clone();
    const at::Tensor on_device = at::tensor(at::ArrayRef<int32_t>(slots), at::kInt).to(device);
    const at::Tensor angles_there = table.to(device);
    const CudaKernels& kernels = *cuda_kernels_for(qkv);
    CudaRotate work;
    work.type = cuda_type(dtype);
    work.x = work.out = qkv.mutable_data_ptr();
    work.table = angles_there.const_data_ptr<float>();
    work.rows = 5;
    work.heads = kHeads + 2 * kKvHeads;
    work.rotated_heads = kHeads + kKvHeads;
    work.head_dim = kDim;
    work.slots = on_device.const_data_ptr<int32_t>();
    work.num_kv_heads = kKvHeads;
    work.page_tokens = kPageTokens;
    work.keys = keys.mutable_data_ptr();
    work.values = values.mutable_data_ptr();
    check_cuda(kernels, kernels.rotate(CudaStream(device), work));
    EXPECT_TRUE(at::equal(qkv, expected));
    at::Tensor expected_keys = at::full_like(keys, 7), expected_values = at::full_like(keys, 7);
    for (int64_t row = 0; row < 5; ++row) {
      const int32_t slot = slots[static_cast<size_t>(row)];
      if (slot < 0) continue;
      const auto place = [&](at::Tensor& pages) {
        return pages.select(0, slot / kPageTokens).select(1, slot % kPageTokens);
      };
      place(expected_keys).copy_(expected[row].narrow(0, kHeads, kKvHeads));
      place(expected_values).copy_(expected[row].narrow(0, kHeads + kKvHeads, kKvHeads));
    }
    EXPECT_TRUE(at::equal(keys, expected_keys));
    EXPECT_TRUE(at::equal(values, expected_values));
  }
}

}  // namespace
}  // namespace treepo
