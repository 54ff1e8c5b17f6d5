// Linear layers as the decoder calls them against at::linear alone on the same shapes, in
// alternation: products of a decoding step (inference mode), and forward and backward of an update.
// The results are compared before anything is timed.
// Usage: bench_linear [SHAPE, 89m by default] [repetitions, 15 by default]

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/timer.h"
#include "model/linear.h"
#include "model/model_config.h"
#include "model/named_shapes.h"

namespace treepo {
namespace {

struct Shape {
  std::string name;
  int64_t outer, inner;
};

std::vector<Shape> layer_shapes(const ModelConfig& config) {
  const int64_t hidden = config.hidden_size, inner = config.intermediate_size;
  const int64_t query = config.query_size();
  return {{"qkv", query + 2 * config.key_value_size(), hidden},
          {"output", hidden, query},
          {"gate, up", 2 * inner, hidden},
          {"down", hidden, inner},
          {"head", config.vocab_size, hidden}};
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// Median seconds of each, one after the other in every round.
std::pair<double, double> time_both(int repetitions, const std::function<void()>& ours,
                                    const std::function<void()>& library) {
  std::vector<double> first, second;
  for (int i = -1; i < repetitions; ++i) {
    const Timer timer;
    ours();
    const double middle = timer.seconds();
    library();
    const double end = timer.seconds();
    if (i < 0) continue;  // warm-up
    first.push_back(middle);
    second.push_back(end - middle);
  }
  return {median(first), median(second)};
}

// Operands of one case; weights of several layers, so that they come from memory as in a model.
struct Operands {
  at::Tensor x, direction;
  std::vector<at::Tensor> weights;

  Operands(const Shape& shape, int64_t rows, c10::ScalarType dtype, int64_t layers) {
    at::manual_seed(1);
    x = at::randn({rows, shape.inner}).to(dtype);
    direction = at::randn({rows, shape.outer}).to(dtype);
    for (int64_t i = 0; i < layers; ++i)
      weights.push_back(at::randn({shape.outer, shape.inner}).mul_(0.05).to(dtype));
  }
};

void require_close(const at::Tensor& ours, const at::Tensor& library, c10::ScalarType dtype) {
  const double tolerance = dtype == at::kBFloat16 ? 2e-2 : 1e-4;
  const double scale = library.to(at::kDouble).abs().max().item<double>();
  const double apart =
      (ours.to(at::kDouble) - library.to(at::kDouble)).abs().max().item<double>() / scale;
  if (apart <= tolerance) return;
  fmt::print("the products DIFFER by {:.2g} of the largest\n", apart);
  std::exit(1);
}

void report(const char* what, const Shape& shape, int64_t rows, double products,
            std::pair<double, double> seconds) {
  const double operations = 2.0 * static_cast<double>(rows * shape.outer * shape.inner) * products;
  fmt::print("{:<18} {:>5} {:<8} {:>6} x {:<5} {:>8.0f} {:>10.0f} {:>7.0f} %\n", what, rows,
             shape.name, shape.outer, shape.inner, operations / seconds.first / 1e9,
             operations / seconds.second / 1e9, 100 * seconds.second / seconds.first);
}

void step_products(const Shape& shape, int64_t rows, c10::ScalarType dtype, int repetitions) {
  const c10::InferenceMode inference;
  const int64_t layers = shape.name == "head" ? 1 : 8;
  const Operands operands(shape, rows, dtype, layers);
  require_close(treepo::linear(operands.x, operands.weights[0]),
                at::linear(operands.x, operands.weights[0]), dtype);
  const auto seconds = time_both(
      repetitions,
      [&] {
        for (const at::Tensor& weight : operands.weights) treepo::linear(operands.x, weight);
      },
      [&] {
        for (const at::Tensor& weight : operands.weights) at::linear(operands.x, weight);
      });
  report(dtype == at::kFloat ? "step float32" : "step bfloat16", shape, rows,
         static_cast<double>(layers), seconds);
}

void update_products(const Shape& shape, int64_t rows, c10::ScalarType dtype, int repetitions) {
  Operands operands(shape, rows, dtype, 1);
  const at::Tensor weight = operands.weights[0].set_requires_grad(true);
  const at::Tensor x = operands.x.set_requires_grad(true);
  const auto both = [&](const auto& product) {
    weight.mutable_grad() = at::Tensor();
    x.mutable_grad() = at::Tensor();
    product(x, weight).backward(operands.direction);
  };
  // As the decoder does: gradients of half-width weights add up in float32.
  LinearGradients sums;
  if (dtype == at::kBFloat16) sums.weight = at::zeros(weight.sizes(), at::kFloat);
  const auto ours = [&] {
    both([&](const at::Tensor& a, const at::Tensor& b) {
      return treepo::linear(a, b, {}, {}, KernelChoice::best, sums);
    });
  };
  const auto library = [&] {
    both([](const at::Tensor& a, const at::Tensor& b) { return at::linear(a, b); });
  };
  ours();
  const at::Tensor weight_gradient = weight.grad().defined() ? weight.grad() : sums.weight.clone();
  const at::Tensor x_gradient = x.grad();
  library();
  require_close(weight_gradient, weight.grad(), dtype);
  require_close(x_gradient, x.grad(), dtype);
  report(dtype == at::kFloat ? "update float32" : "update bfloat16", shape, rows, 3,
         time_both(repetitions, ours, library));
}

void run(const std::string& name, int repetitions) {
  const ModelConfig config = named_model_config(name);
  fmt::print("{} threads; GFLOP/s, medians of {}\n", at::get_num_threads(), repetitions);
  fmt::print("                    rows              weight     linear at::linear  linear/at::\n");
  for (const auto dtype : {at::kFloat, at::kBFloat16})
    for (const Shape& shape : layer_shapes(config)) {
      for (const int64_t rows : {4, 16, 64, 128, 256})
        step_products(shape, rows, dtype, repetitions);
      if (shape.name != "head") update_products(shape, 2048, dtype, std::max(3, repetitions / 5));
    }
}

}  // namespace
}  // namespace treepo

int main(int argc, char** argv) {
  treepo::run(argc > 1 ? argv[1] : "89m", std::max(3, argc > 2 ? std::atoi(argv[2]) : 15));
}
