#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace treepo {

// All weights of a model as views into one flat tensor, and their gradients as views into another
// of the same layout: optimiser, gradient norm and checkpoint are one pass over memory. Gradients
// of bfloat16 and float16 weights are float32, so that sums over packs keep what is small.
//
// A parameter may hold several published tensors, rows below rows, so that one matrix product
// serves them all: q, k and v, or gate and up. Under its Hugging Face name each is a slice:
//   add("qkv", {8, 4}, {{"q_proj.weight", 4}, {"k_proj.weight", 2}, {"v_proj.weight", 2}})
//
// Each parameter starts at a multiple of 64 bytes; what lies between is 0 in both tensors and stays
// so.
class ParameterStore {
 public:
  struct Part {
    std::string name;  // Hugging Face
    int64_t rows = 0;
  };

  ParameterStore(c10::Device device, c10::ScalarType dtype) : device_(device), dtype_(dtype) {}

  // Lays out one parameter; returns its index. Before allocate().
  int64_t add(std::vector<int64_t> shape, std::vector<Part> parts);
  void allocate();  // all values 0

  int64_t num_parameters() const { return static_cast<int64_t>(layouts_.size()); }
  const std::vector<Part>& parts(int64_t index) const {
    return layouts_[static_cast<size_t>(index)].parts;
  }

  // Hugging Face names and shapes, in the order of the layout.
  std::vector<std::pair<std::string, std::vector<int64_t>>> named_shapes() const;

  // The leaf tensor that autograd sees; its gradient accumulates in gradients().
  const at::Tensor& tensor(int64_t index) const { return tensors_[static_cast<size_t>(index)]; }

  at::Tensor& values() { return values_; }  // [padded count]
  const at::Tensor& values() const { return values_; }
  const at::Tensor& gradients() const { return gradients_; }  // undefined before enable_gradients()
  at::Tensor gradient(int64_t index) const;  // view of one parameter; undefined likewise

  // Makes the flat gradient tensor, 0, and hooks autograd to it. Nothing if it is there already.
  void enable_gradients();
  void zero_gradients();
  // Autograd leaves the weights alone from now on; gradients are given up.
  void freeze();

  // Views under the Hugging Face names, in the order of the layout.
  std::vector<std::pair<std::string, at::Tensor>> named_tensors() const;
  std::vector<std::pair<std::string, at::Tensor>> named_gradients() const;

  int64_t count() const { return count_; }  // of parameters, padding left out
  c10::Device device() const { return device_; }
  c10::ScalarType dtype() const { return dtype_; }
  c10::ScalarType gradient_dtype() const;

 private:
  struct Layout {
    std::vector<int64_t> shape;
    std::vector<Part> parts;
    int64_t begin = 0, size = 0;  // elements of the flat tensor
  };

  at::Tensor view(const at::Tensor& flat, const Layout& layout) const;
  std::vector<std::pair<std::string, at::Tensor>> named(const at::Tensor& flat) const;

  c10::Device device_;
  c10::ScalarType dtype_;
  std::vector<Layout> layouts_;
  std::vector<at::Tensor> tensors_;
  at::Tensor values_, gradients_;
  int64_t padded_count_ = 0, count_ = 0;
};

}  // namespace treepo
