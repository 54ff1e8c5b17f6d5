// Holds the decoder's operations by kernel against those by tensor operations, values and
// gradients.

#include "model/ops.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

#include <functional>

#include "kernels/isa.h"
#include "model/linear.h"
#include "normals.h"

namespace treepo {
namespace {

using Operation = std::function<at::Tensor(const std::vector<at::Tensor>&, KernelChoice)>;

// Output, then the gradient of each input, under fixed weights of the output.
std::vector<at::Tensor> run(const Operation& operation, const std::vector<at::Tensor>& inputs,
                            c10::ScalarType dtype, KernelChoice kernels) {
  std::vector<at::Tensor> leaves;
  for (const at::Tensor& input : inputs)
    leaves.push_back(input.to(dtype).detach().clone().set_requires_grad(true));
  const at::Tensor out = operation(leaves, kernels);
  (out * normals(99, out.sizes()).to(dtype)).sum().backward();
  std::vector<at::Tensor> results = {out.detach()};
  for (const at::Tensor& leaf : leaves) results.push_back(leaf.grad());
  return results;
}

void compare(const Operation& operation, const std::vector<at::Tensor>& inputs) {
  const auto expected = run(operation, inputs, at::kDouble, KernelChoice::tensor_operations);
  const auto expect_close = [&](c10::ScalarType dtype, KernelChoice kernels, double tolerance) {
    const auto results = run(operation, inputs, dtype, kernels);
    for (size_t i = 0; i < results.size(); ++i) {
      EXPECT_EQ(results[i].scalar_type(), dtype);
      EXPECT_LT((results[i].to(at::kDouble) - expected[i]).norm().item<double>(),
                tolerance * expected[i].norm().item<double>())
          << c10::toString(dtype) << " result " << i;
    }
  };
  expect_close(at::kDouble, KernelChoice::best, 1e-14);
  expect_close(at::kFloat, KernelChoice::best, 1e-6);
  expect_close(at::kFloat, KernelChoice::tensor_operations, 1e-6);
  expect_close(at::kBFloat16, KernelChoice::best, 1e-2);

  const at::NoGradGuard no_gradients;  // takes another route
  std::vector<at::Tensor> plain = inputs;
  EXPECT_LT((operation(plain, KernelChoice::best) - expected[0]).abs().max().item<double>(), 1e-13);
}

TEST(Operations, RmsNorm) {
  for (const auto& shape : {std::vector<int64_t>{7, 40}, {3, 5, 24}, {1, 2}})
    compare(
        [](const auto& in, KernelChoice kernels) { return rms_norm(in[0], in[1], 1e-4, kernels); },
        {normals(1, shape), normals(2, {shape.back()})});
}

TEST(Operations, RmsNormOfASlice) {
  compare(
      [](const auto& in, KernelChoice kernels) {
        return rms_norm(in[0].narrow(1, 1, 2), in[1], 1e-4, kernels);
      },
      {normals(1, {6, 4, 10}), normals(2, {10})});
}

TEST(Operations, Rotate) {
  const at::Tensor angles = normals(5, {9, 6});
  const at::Tensor table = at::cat({angles.cos(), angles.sin()}, 1);
  compare(
      [&](const auto& in, KernelChoice kernels) {
        const auto wide = in[0].scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
        return rotate(in[0], table.to(wide), 3, kernels);
      },
      {normals(1, {9, 5, 12})});
}

TEST(Operations, SwiGlu) {
  for (const int64_t n : {1, 20, 56})
    compare([](const auto& in, KernelChoice kernels) { return swiglu(in[0], kernels); },
            {normals(1, {11, 2 * n})});
}

TEST(Operations, Linear) {
  const at::Tensor x = normals(1, {9, 24}), weight = normals(2, {13, 24}), bias = normals(3, {13});
  const at::Tensor residual = normals(4, {9, 13});
  compare([](const auto& in, KernelChoice k) { return linear(in[0], in[1], {}, {}, k); },
          {x, weight});
  compare([](const auto& in, KernelChoice k) { return linear(in[0], in[1], in[2], {}, k); },
          {x, weight, bias});
  compare([](const auto& in, KernelChoice k) { return linear(in[0], in[1], {}, in[2], k); },
          {x, weight, residual});
  compare([](const auto& in, KernelChoice k) { return linear(in[0], in[1], in[2], in[3], k); },
          {x, weight, bias, residual});
}

// In inference mode float32 and bfloat16 take the kernel; x may be a view.
TEST(Operations, LinearByKernel) {
  const c10::InferenceMode sampling;
  const at::Tensor x = normals(1, {9, 48}).narrow(1, 8, 24), weight = normals(2, {13, 24});
  const at::Tensor bias = normals(3, {13}), residual = normals(4, {13, 9}).t();
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    // What the kernel is given, so that only its own rounding is left.
    const auto given = [&](const at::Tensor& t) { return t.to(dtype); };
    const auto exact = [&](const at::Tensor& t) { return t.to(dtype).to(at::kDouble); };
    const at::Tensor product = exact(x).mm(exact(weight).t());
    const auto difference = [](const at::Tensor& a, const at::Tensor& b) {
      return (a.to(at::kDouble) - b).norm().item<double>() / b.norm().item<double>();
    };
    const at::Tensor wide = wide_linear(given(x), given(weight));
    EXPECT_EQ(wide.scalar_type(), at::kFloat);
    EXPECT_LT(difference(wide, product), 1e-6);
    const at::Tensor sum = linear(given(x), given(weight), given(bias), given(residual));
    EXPECT_EQ(sum.scalar_type(), dtype);
    EXPECT_LT(difference(sum, product + exact(bias) + exact(residual)),
              dtype == at::kFloat ? 1e-6 : 1.0 / 256);
  }
}

// Gradients of bfloat16 weights: two backward passes leave the float32 sum of both, exact but for
// float32's own rounding, where products are of copies in float32 and where processors multiply
// bfloat16. Those of AMX are autograd's.
TEST(Operations, GradientsOfBfloat16WeightsAddUpInFloat32) {
  if (cpu_has_bfloat16_tiles())
    GTEST_SKIP()
        << "SKIPPED: the processor has AMX, where libtorch multiplies; run it on one without";
  const auto rounded = [](uint64_t seed, at::IntArrayRef shape) {
    return normals(seed, shape).to(at::kBFloat16);
  };
  const auto leaf = [](const at::Tensor& t, c10::ScalarType dtype) {
    return t.to(dtype).detach().clone().set_requires_grad(true);
  };
  const auto difference = [](const at::Tensor& a, const at::Tensor& b) {
    return (a.to(at::kDouble) - b).norm().item<double>() / b.norm().item<double>();
  };
  for (const Isa isa : {Isa::avx2, Isa::avx512, Isa::avx512_bf16}) {
    const IsaLimit limit(isa);
    if (cpu_isa() != isa) continue;
    for (const int64_t outer : {1, 13, 130}) {
      const at::Tensor x = rounded(1, {75, 40}), weight = rounded(2, {outer, 40});
      const at::Tensor bias = rounded(3, {outer}), direction = rounded(4, {75, outer});
      const auto run = [&](c10::ScalarType dtype, const LinearGradients& sums) {
        const std::vector<at::Tensor> leaves = {leaf(x, dtype), leaf(weight, dtype),
                                                leaf(bias, dtype)};
        for (int pass = 0; pass < 2; ++pass)
          linear(leaves[0], leaves[1], leaves[2], {}, KernelChoice::best, sums)
              .backward(direction.to(dtype));
        return leaves;
      };
      const std::vector<at::Tensor> exact = run(at::kDouble, {});
      const LinearGradients sums{at::ones({outer, 40}), at::ones({outer})};
      const std::vector<at::Tensor> narrow = run(at::kBFloat16, sums);
      EXPECT_FALSE(narrow[1].grad().defined());
      EXPECT_LT(difference(sums.weight - 1, exact[1].grad()), 2e-6) << outer;
      EXPECT_LT(difference(sums.bias - 1, exact[2].grad()), 2e-6) << outer;
      EXPECT_LT(difference(narrow[0].grad(), exact[0].grad()), 1.0 / 128) << outer;
    }
  }
}

}  // namespace
}  // namespace treepo
