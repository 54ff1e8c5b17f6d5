#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "model/cached_attention.h"  // PagedCache
#include "model/cuda_step.h"
#include "model/decoder.h"
#include "model/kernel_choice.h"
#include "model/step_model.h"

namespace treepo {

// Sees what a step computes on its way: for checks. What it keeps it must not change.
class StepObserver {
 public:
  virtual ~StepObserver() = default;
  // Each layer's attention, in order: AttentionLayer::attend's argument and result.
  virtual void layer(const at::Tensor& qkv, const at::Tensor& attended) = 0;
  virtual void logits(const at::Tensor& logits) = 0;  // [rows that draw, vocab_size]
};

// The decoder as rollout sees it: keys and values of all paths in pages on the model's device, one
// forward pass for the rows of a step, and draws beside it. Reads the decoder's weights as they are
// at each step, so an update is seen at once; the decoder must outlive it. One step at a time.
class TreeStepModel : public StepModel {
 public:
  explicit TreeStepModel(const Decoder& decoder, KernelChoice kernels = KernelChoice::best,
                         CudaGraphs graphs = CudaGraphs::on);

  int32_t vocab_size() const override;
  int32_t max_positions() const override;
  int64_t bytes_per_page(int32_t page_tokens) const override;
  void allocate_pages(int32_t num_pages, int32_t page_tokens) override;
  // Throws Error naming the token if the logits of a row that draws are not finite.
  void step(const StepBatch& batch, std::vector<DrawnToken>& drawn) override;
  StepProfile profile() const override { return profile_; }

  void observe(StepObserver* observer) { observer_ = observer; }  // nullptr: nobody
  c10::ScalarType dtype() const { return decoder_.dtype(); }

 private:
  at::Tensor to_device(const std::vector<int32_t>& values) const;  // int64
  void check_batch(const StepBatch& batch) const;
  void count_bytes(const StepBatch& batch);

  const Decoder& decoder_;
  KernelChoice kernels_;
  bool use_kernels_;                     // of our own, on the CPU
  std::unique_ptr<CudaStep> cuda_step_;  // null where the CUDA kernels do not serve
  int32_t num_pages_ = 0, page_tokens_ = 0;
  PagedCache cache_;
  int64_t weight_bytes_ = 0;  // that the matrix products of one step read
  StepProfile profile_;
  StepObserver* observer_ = nullptr;
};

}  // namespace treepo
