#include "model/cuda_step.h"

#include <ATen/ATen.h>

#include <algorithm>

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

}  // namespace

bool CudaStep::serves(const Decoder& decoder) {
  return cuda_kernels_for(decoder.device(), decoder.dtype()) != nullptr &&
         cuda_kernels_take(shape_of(decoder.config())) &&
         decoder.config().vocab_size <= kCudaVocabLimit;
}

CudaStep::CudaStep(const Decoder& decoder, CudaGraphs graphs)
    : decoder_(decoder), kernels_(*cuda_kernels_for(decoder.device(), decoder.dtype())) {
  const c10::Device device = decoder.device();
  if (graphs == CudaGraphs::on && kernels_.make_graph_recorder != nullptr)
    graphs_.emplace(SideStream(device),
                    StepGraphs(kernels_, device.has_index() ? device.index() : 0));
}

// Brings the step's arrays to the device. padded: in sizes that recur, with rows that are stored
// nowhere, see nothing and draw nothing that is read.
CudaStepWork CudaStep::prepare(const StepBatch& batch, const PagedCache& cache,
                               std::vector<int32_t> drawing_rows,
                               const std::vector<TokenDraw>& draws, bool padded) {
  const AttentionShape shape = shape_of(decoder_.config());
  plan_cuda_tree(batch.attention, shape, batch.num_rows(),
                 wanted_cuda_blocks(kernels_, decoder_.device()), plan_);
  if (padded) pad_cuda_tree(plan_, rounded_up(sizes_of(plan_)));
  const auto padded_size = [&](size_t n) {
    constexpr int32_t kSteps = 8;  // each drawing row is one of the logits
    return padded ? static_cast<size_t>(rounded_up(static_cast<int32_t>(n), kSteps)) : n;
  };
  const auto rows = static_cast<size_t>(sizes_of(plan_).num_queries);
  std::vector<int64_t> tokens = widened(batch.tokens), positions = widened(batch.positions);
  tokens.resize(rows, 0);
  positions.resize(rows, 0);
  std::vector<int32_t> slots = batch.slots;
  slots.resize(rows, -1);
  if (!drawing_rows.empty())
    drawing_rows.resize(padded_size(drawing_rows.size()), drawing_rows.back());
  std::vector<int32_t> draw_rows;
  std::vector<double> uniforms;
  for (const TokenDraw& draw : draws) {
    draw_rows.push_back(draw.row);
    uniforms.push_back(draw.uniform);
  }
  draw_rows.resize(padded_size(draws.size()), 0);
  uniforms.resize(padded_size(draws.size()), 0);

  arrays_.clear();
  CudaStepWork work{.tokens = arrays_.add(tokens),
                    .positions = arrays_.add(positions),
                    .slots = arrays_.add(slots),
                    .drawing_rows = arrays_.add(widened(drawing_rows)),
                    .draw_rows = arrays_.add(draw_rows),
                    .uniforms = arrays_.add(uniforms),
                    .drawn = arrays_.add(std::vector<DrawnToken>(draw_rows.size())),
                    .sampling = batch.sampling,
                    .keys = cache.keys.const_data_ptr(),
                    .values = cache.values.const_data_ptr(),
                    .num_pages = cache.keys.size(1),
                    .weights = decoder_.parameters().values().const_data_ptr()};
  if (const Adapters* adapters = decoder_.active_adapters(); adapters != nullptr)
    work.adapters = adapters->parameters().values().const_data_ptr();
  const StagedTreeWork staged = stage_tree_work(arrays_, batch.attention, plan_);
  arrays_.upload(decoder_.device());
  work.arrays = arrays_.memory();
  work.attention = tree_attention_work(arrays_, staged, plan_, shape);
  return work;
}

// Hands all kernels of the step to the current stream; neither waits nor copies to or from the
// host, and depends on `work` alone, or a replay would not be the same. Returns the logits.
at::Tensor CudaStep::hand_over(const CudaStepWork& work, PagedCache& cache,
                               double& attention_seconds) {
  CudaAttention attention(kernels_, cache, work.attention, arrays_.at<int32_t>(work.slots));
  const at::Tensor hidden =
      decoder_.hidden(arrays_.int64_tensor(work.tokens), arrays_.int64_tensor(work.positions),
                      attention, arrays_.int64_tensor(work.drawing_rows));
  attention_seconds += attention.seconds();
  if (work.drawn.count == 0) return {};
  const at::Tensor logits = hidden.mm(decoder_.head_weight().t());
  draw_tokens_cuda(logits, {.num_draws = static_cast<int32_t>(work.drawn.count),
                            .rows = arrays_.at<int32_t>(work.draw_rows),
                            .uniforms = arrays_.at<double>(work.uniforms),
                            .params = work.sampling,
                            .drawn = arrays_.mutable_at<DrawnToken>(work.drawn)});
  return logits;
}

void CudaStep::run(const StepBatch& batch, PagedCache& cache,
                   const std::vector<int32_t>& drawing_rows, const std::vector<TokenDraw>& draws,
                   std::vector<DrawnToken>& drawn, StepProfile& profile, StepObserver* observer) {
  const Timer forward;
  std::optional<SideStream::Scope> on_side_stream;
  if (graphs_) on_side_stream.emplace(graphs_->stream);
  const bool recurs =
      graphs_ && graphs_->steps.on() && observer == nullptr && batch.num_rows() <= kMostGraphRows;
  const CudaStepWork work = prepare(batch, cache, drawing_rows, draws, recurs);
  double attention_seconds = 0;
  at::Tensor logits;
  const bool replayed =
      recurs && graphs_->steps.run(work, CudaStream(decoder_.device()), [this, work, &cache] {
        double unused = 0;
        hand_over(work, cache, unused);
      });
  profile.replayed_steps += replayed ? 1 : 0;
  if (!replayed) logits = hand_over(work, cache, attention_seconds);
  profile.attention_seconds += attention_seconds;
  profile.linear_seconds += forward.seconds() - attention_seconds;
  if (draws.empty()) return;
  if (observer != nullptr) observer->logits(logits);

  const Timer draw;
  arrays_.download(work.drawn, draws.size(), drawn);
  profile.draw_seconds += draw.seconds();
  const auto failed = [](const DrawnToken& token) { return token.token < 0; };
  if (std::none_of(drawn.begin(), drawn.end(), failed)) return;
  if (replayed) logits = hand_over(work, cache, attention_seconds);  // a graph's are not kept
  check_drawn(logits, draws, drawn);
}

}  // namespace treepo
