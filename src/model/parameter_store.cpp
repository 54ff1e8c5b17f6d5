#include "model/parameter_store.h"

#include <ATen/ATen.h>

#include <functional>
#include <numeric>

#include "base/error.h"

namespace treepo {

int64_t ParameterStore::add(std::vector<int64_t> shape, std::vector<Part> parts) {
  TREEPO_CHECK(!values_.defined(), "a parameter after allocate()");
  const int64_t alignment = 64 / static_cast<int64_t>(c10::elementSize(dtype_));
  Layout layout{.shape = std::move(shape), .parts = std::move(parts), .begin = padded_count_};
  layout.size = std::accumulate(layout.shape.begin(), layout.shape.end(), int64_t{1},
                                std::multiplies<int64_t>());
  count_ += layout.size;
  padded_count_ += (layout.size + alignment - 1) / alignment * alignment;
  layouts_.push_back(std::move(layout));
  return static_cast<int64_t>(layouts_.size()) - 1;
}

void ParameterStore::allocate() {
  values_ = at::zeros({padded_count_}, at::device(device_).dtype(dtype_));
  for (const Layout& layout : layouts_) {
    tensors_.push_back(view(values_, layout).detach());
    tensors_.back().set_requires_grad(true);
  }
}

at::Tensor ParameterStore::view(const at::Tensor& flat, const Layout& layout) const {
  return flat.narrow(0, layout.begin, layout.size).view(layout.shape);
}

void ParameterStore::enable_gradients() {
  if (gradients_.defined()) return;
  gradients_ = at::zeros_like(values_, values_.options().dtype(gradient_dtype()));
  for (size_t i = 0; i < layouts_.size(); ++i)
    tensors_[i].mutable_grad() = view(gradients_, layouts_[i]);
}

at::Tensor ParameterStore::gradient(int64_t index) const {
  return gradients_.defined() ? view(gradients_, layouts_[static_cast<size_t>(index)])
                              : at::Tensor();
}

c10::ScalarType ParameterStore::gradient_dtype() const {
  return dtype_ == at::kDouble ? at::kDouble : at::kFloat;
}

void ParameterStore::freeze() {
  gradients_ = at::Tensor();
  for (at::Tensor& tensor : tensors_) {
    tensor.mutable_grad() = at::Tensor();
    tensor.set_requires_grad(false);
  }
}

void ParameterStore::zero_gradients() {
  TREEPO_CHECK(gradients_.defined(), "zero_gradients() before enable_gradients()");
  gradients_.zero_();
}

std::vector<std::pair<std::string, at::Tensor>> ParameterStore::named(
    const at::Tensor& flat) const {
  std::vector<std::pair<std::string, at::Tensor>> named;
  for (const Layout& layout : layouts_) {
    const at::Tensor whole = view(flat, layout);
    int64_t row = 0;
    for (const Part& part : layout.parts) {
      named.emplace_back(part.name, whole.narrow(0, row, part.rows));
      row += part.rows;
    }
  }
  return named;
}

std::vector<std::pair<std::string, std::vector<int64_t>>> ParameterStore::named_shapes() const {
  std::vector<std::pair<std::string, std::vector<int64_t>>> shapes;
  for (const Layout& layout : layouts_)
    for (const Part& part : layout.parts) {
      shapes.emplace_back(part.name, layout.shape);
      shapes.back().second[0] = part.rows;
    }
  return shapes;
}

std::vector<std::pair<std::string, at::Tensor>> ParameterStore::named_tensors() const {
  return named(values_);
}

std::vector<std::pair<std::string, at::Tensor>> ParameterStore::named_gradients() const {
  TREEPO_CHECK(gradients_.defined(), "named_gradients() before enable_gradients()");
  return named(gradients_);
}

}  // namespace treepo
