#include "model/side_by_side.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace treepo {

namespace {

// [rows, n] on the CPU.
at::Tensor to_double(const at::Tensor& rows) {
  return rows.detach().to(at::kCPU, at::kDouble).flatten(1);
}

}  // namespace

double side_by_side_tolerance(c10::ScalarType dtype) {
  switch (dtype) {
    case at::kDouble:
      return 1e-9;
    case at::kFloat:
      return 1e-4;
    case at::kHalf:
      return 0.02;
    default:
      return 0.05;
  }
}

std::string RowDifference::text() const {
  return fmt::format("row {}, number {}: {} against {}, where {:.1e} is allowed", row, column,
                     first, second, allowed);
}

std::optional<RowDifference> first_difference(const at::Tensor& first, const at::Tensor& second,
                                              double tolerance, double* largest) {
  TREEPO_CHECK(first.sizes() == second.sizes(), "a tensor of {} numbers against one of {}",
               first.numel(), second.numel());
  if (first.numel() == 0) return std::nullopt;
  constexpr int64_t kNumbersAtOnce = int64_t{1} << 22;
  const int64_t rows = first.size(0);
  const int64_t at_once = std::max<int64_t>(1, kNumbersAtOnce * rows / first.numel());
  for (int64_t begin = 0; begin < rows; begin += at_once) {
    const int64_t end = std::min(rows, begin + at_once);
    const at::Tensor a = to_double(first.slice(0, begin, end));
    const at::Tensor b = to_double(second.slice(0, begin, end));
    const at::Tensor allowed = a.abs().amax(1).clamp_min(1).mul(tolerance);
    const at::Tensor difference = (a - b).abs();
    const auto [most, column] = difference.max(1);  // NaN counts as largest
    if (largest != nullptr) *largest = std::max(*largest, (most / allowed).max().item<double>());
    const at::Tensor wrong = most.le(allowed).logical_not();  // so NaN is wrong
    if (!wrong.any().item<bool>()) continue;
    const int64_t row = wrong.nonzero()[0][0].item<int64_t>(), at = column[row].item<int64_t>();
    return RowDifference{.row = begin + row,
                         .column = at,
                         .first = a[row][at].item<double>(),
                         .second = b[row][at].item<double>(),
                         .allowed = allowed[row].item<double>()};
  }
  return std::nullopt;
}

std::string describe_first_layer(const LayerTrace& first, const LayerTrace& second,
                                 double tolerance) {
  if (first.qkv.empty() || second.qkv.empty())
    return "which layer differs is not known: the CUDA kernels do not show what attention is given";
  for (size_t layer = 0; layer < std::min(first.qkv.size(), second.qkv.size()); ++layer) {
    const auto found = [&](const LayerTrace& a, const LayerTrace& b,
                           std::vector<at::Tensor> LayerTrace::*part, const char* what) {
      const auto difference = first_difference((a.*part)[layer], (b.*part)[layer], tolerance);
      return difference ? fmt::format("layer {}, {}: {}", layer, what, difference->text())
                        : std::string();
    };
    std::string text = found(first, second, &LayerTrace::qkv, "what attention is given");
    if (text.empty())
      text = found(first, second, &LayerTrace::attended, "what attention gives back");
    if (!text.empty()) return text;
  }
  return "attention agrees in all layers: the last layer's feed-forward part or the output "
         "projection differs";
}

}  // namespace treepo
