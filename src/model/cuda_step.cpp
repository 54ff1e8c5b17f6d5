#include "model/cuda_step.h"

#include <ATen/ATen.h>

#include "base/timer.h"
#include "model/cuda_attention.h"
#include "model/cuda_kernels.h"
#include "model/tree_step_model.h"  // StepObserver

namespace treepo {

namespace {

using Place = StagedArrays::Place;

AttentionShape shape_of(const ModelConfig& config) {
  return {.num_heads = static_cast<int32_t>(config.num_heads),
          .num_kv_heads = static_cast<int32_t>(config.num_kv_heads),
          .head_dim = static_cast<int32_t>(config.head_dim)};
}

std::vector<int64_t> widened(const std::vector<int32_t>& values) {
  return {values.begin(), values.end()};
}

// Where the arrays of one step lie among the staged ones.
struct StepPlaces {
  Place tokens, positions, slots, drawing_rows, draw_rows, uniforms;
};

StepPlaces stage_rows(StagedArrays& arrays, const StepBatch& batch,
                      const std::vector<int32_t>& drawing_rows,
                      const std::vector<TokenDraw>& draws) {
  std::vector<int32_t> draw_rows;
  std::vector<double> uniforms;
  for (const TokenDraw& draw : draws) {
    draw_rows.push_back(draw.row);
    uniforms.push_back(draw.uniform);
  }
  return {.tokens = arrays.add(widened(batch.tokens)),
          .positions = arrays.add(widened(batch.positions)),
          .slots = arrays.add(batch.slots),
          .drawing_rows = arrays.add(widened(drawing_rows)),
          .draw_rows = arrays.add(draw_rows),
          .uniforms = arrays.add(uniforms)};
}

}  // namespace

bool CudaStep::serves(const Decoder& decoder) {
  return cuda_kernels_for(decoder.device(), decoder.dtype()) != nullptr &&
         cuda_kernels_take(shape_of(decoder.config())) &&
         decoder.config().vocab_size <= kCudaVocabLimit;
}

void CudaStep::run(const StepBatch& batch, PagedCache& cache,
                   const std::vector<int32_t>& drawing_rows, const std::vector<TokenDraw>& draws,
                   std::vector<DrawnToken>& drawn, StepProfile& profile, StepObserver* observer) {
  const Timer forward;
  const c10::Device device = decoder_.device();
  const CudaKernels& kernels = *cuda_kernels_for(device, decoder_.dtype());
  const AttentionShape shape = shape_of(decoder_.config());

  plan_cuda_tree(batch.attention, shape, batch.num_rows(), wanted_cuda_blocks(kernels, device),
                 plan_);
  arrays_.clear();
  const StepPlaces places = stage_rows(arrays_, batch, drawing_rows, draws);
  const StagedTreeWork work = stage_tree_work(arrays_, batch.attention, plan_);
  arrays_.upload(device);
  CudaAttention attention(kernels, cache, tree_attention_work(arrays_, work, plan_, shape),
                          arrays_.at<int32_t>(places.slots));
  const at::Tensor hidden =
      decoder_.hidden(arrays_.int64_tensor(places.tokens), arrays_.int64_tensor(places.positions),
                      attention, arrays_.int64_tensor(places.drawing_rows));
  at::Tensor logits;
  if (!draws.empty()) logits = hidden.mm(decoder_.head_weight().t());
  profile.attention_seconds += attention.seconds();
  profile.linear_seconds += forward.seconds() - attention.seconds();
  if (draws.empty()) return;
  if (observer != nullptr) observer->logits(logits);
  const Timer draw;
  draw_tokens_cuda(logits, batch.sampling, arrays_.at<int32_t>(places.draw_rows),
                   arrays_.at<double>(places.uniforms), draws, drawn);
  profile.draw_seconds += draw.seconds();
}

}  // namespace treepo
