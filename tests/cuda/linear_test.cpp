// Holds linear layers whose parameters' gradients are summed in float32 against float64.

#include "model/linear.h"

#include "each_device.h"
#include "model/packed_forward.h"
#include "model/random_tree.h"
#include "model/tiny_models.h"

namespace treepo {
namespace {

TREEPO_EACH_DEVICE(CudaLinear);

struct Layer {
  at::Tensor x, weight, bias, residual;

  Layer(int64_t outer, bool has_bias, bool has_residual)
      : x(normals(1, {37, 24})),
        weight(normals(2, {outer, 24})),
        bias(has_bias ? normals(3, {outer}) : at::Tensor()),
        residual(has_residual ? normals(4, {37, outer}) : at::Tensor()) {}

  // Leaves of `dtype` with these values, rounded to `narrow` first.
  Layer on(c10::Device device, c10::ScalarType dtype, c10::ScalarType narrow) const {
    Layer copy = *this;
    for (at::Tensor* t : {&copy.x, &copy.weight, &copy.bias, &copy.residual})
      if (t->defined()) *t = t->to(narrow).to(device, dtype).clone().set_requires_grad(true);
    return copy;
  }

  at::Tensor run(const LinearGradients& gradients = {}) const {
    return linear(x, weight, bias, residual, KernelChoice::best, gradients);
  }
};

void backward(const at::Tensor& out, const at::Tensor& weights) {
  (out * weights.to(out.device(), out.scalar_type())).sum().backward();
}

at::Tensor first_sum(const at::Tensor& parameter) {
  return parameter.defined() ? at::ones_like(parameter, parameter.options().dtype(at::kFloat))
                             : at::Tensor();
}

void compare(c10::Device device, const Layer& layer, c10::ScalarType dtype) {
  const at::Tensor weights = normals(5, {37, layer.weight.size(0)}).to(dtype).to(at::kDouble);
  const Layer exact = layer.on(at::kCPU, at::kDouble, dtype);
  backward(exact.run(), weights);
  const Layer narrow = layer.on(device, dtype, dtype);
  const LinearGradients sums{first_sum(narrow.weight), first_sum(narrow.bias)};
  const auto close = [&](const at::Tensor& found, const at::Tensor& expected, double tolerance) {
    EXPECT_LT(relative_difference(found, expected), tolerance);
  };
  for (int times = 1; times <= 2; ++times) {
    const at::Tensor out = narrow.run(sums);
    EXPECT_EQ(out.scalar_type(), dtype);
    close(out, exact.run(), 2 * rounding(dtype));
    backward(out, weights);
    EXPECT_FALSE(narrow.weight.grad().defined());
    close(sums.weight - 1, times * exact.weight.grad(), 2e-6);
    close(narrow.x.grad(), times * exact.x.grad(), 2 * rounding(dtype));
    if (layer.bias.defined()) {
      EXPECT_FALSE(narrow.bias.grad().defined());
      close(sums.bias - 1, times * exact.bias.grad(), 2e-6);
    }
    if (layer.residual.defined())
      close(narrow.residual.grad(), times * exact.residual.grad(), rounding(dtype));
  }
}

// Two backward passes leave the sum of both, exact but for float32's own rounding.
TEST_P(CudaLinear, GradientsAddUpInFloat32) {
  for (const c10::ScalarType dtype : kNarrow)
    for (const int64_t outer : {1, 13, 64})
      for (const bool bias : {false, true})
        for (const bool residual : {false, true}) {
          SCOPED_TRACE(testing::Message() << c10::toString(dtype) << " " << outer << " rows, bias "
                                          << bias << ", residual " << residual);
          compare(device, Layer(outer, bias, residual), dtype);
        }
}

// A frozen weight's sum stays; so do all without gradients recorded.
TEST_P(CudaLinear, FrozenWeightsAddNothing) {
  const Layer layer = Layer(13, false, false).on(device, at::kBFloat16, at::kBFloat16);
  const LinearGradients sums{first_sum(layer.weight), {}};
  layer.weight.set_requires_grad(false);
  backward(layer.run(sums), normals(5, {37, 13}));
  EXPECT_TRUE(layer.x.grad().defined());
  const at::NoGradGuard no_gradients;
  EXPECT_FALSE(layer.run(sums).requires_grad());
  EXPECT_TRUE(sums.weight.eq(1).all().item<bool>());
}

// A decoder that runs its layers again in backward adds each gradient once, to the same bits.
TEST_P(CudaLinear, RecomputedLayersAddOnce) {
  const RandomTrees trees = random_trees(11, 40, 15, 50);
  Decoder decoder = Decoder::random(tiny_config("qwen2"), 7, device, at::kBFloat16);
  const at::Tensor weights = normals(5, {40, decoder.config().hidden_size});
  decoder.parameters().enable_gradients();
  at::Tensor gradients[2];
  for (const bool again : {false, true}) {
    decoder.parameters().zero_gradients();
    backward(packed_hidden(decoder, trees.packed, again), weights);
    gradients[again] = decoder.parameters().gradients().clone();
  }
  EXPECT_GT(gradients[0].abs().max().item<double>(), 0);
  EXPECT_TRUE(at::equal(gradients[0], gradients[1]));
}

}  // namespace
}  // namespace treepo
