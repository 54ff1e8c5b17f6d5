#include "model/tree_step_model.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <numeric>

#include "base/error.h"
#include "base/timer.h"
#include "model/draw_tokens.h"
#include "model/linear.h"

namespace treepo {

namespace {

// Adds the time that another layer takes, and shows what it does.
class TimedAttention : public AttentionLayer {
 public:
  TimedAttention(AttentionLayer& attention, double& seconds, StepObserver* observer)
      : attention_(attention), seconds_(seconds), observer_(observer) {}

  at::Tensor attend(int64_t layer, const at::Tensor& qkv) override {
    const Timer timer;
    at::Tensor out = attention_.attend(layer, qkv);
    seconds_ += timer.seconds();
    if (observer_ != nullptr) observer_->layer(qkv, out);
    return out;
  }

 private:
  AttentionLayer& attention_;
  double& seconds_;
  StepObserver* observer_;
};

int64_t bytes_of_products(const Decoder& decoder) {
  int64_t numbers = decoder.head_weight().numel();  // the embedding itself is only looked up
  for (const auto& [name, shape] : decoder.parameters().named_shapes())
    if (shape.size() == 2 && name.starts_with("model.layers.")) numbers += shape[0] * shape[1];
  return numbers * static_cast<int64_t>(c10::elementSize(decoder.dtype()));
}

c10::ScalarType cache_dtype(const Decoder& decoder) {
  return key_value_dtype(decoder.device(), decoder.dtype());
}

}  // namespace

TreeStepModel::TreeStepModel(const Decoder& decoder, KernelChoice kernels, CudaGraphs graphs)
    : decoder_(decoder),
      kernels_(kernels),
      use_kernels_(kernels == KernelChoice::best && decoder.device().is_cpu()),
      weight_bytes_(bytes_of_products(decoder)) {
  if (kernels == KernelChoice::best && CudaStep::serves(decoder))
    cuda_step_ = std::make_unique<CudaStep>(decoder, graphs);
}

int32_t TreeStepModel::vocab_size() const {
  return static_cast<int32_t>(decoder_.config().vocab_size);
}

int32_t TreeStepModel::max_positions() const {
  return static_cast<int32_t>(decoder_.config().max_positions);
}

int64_t TreeStepModel::bytes_per_page(int32_t page_tokens) const {
  const ModelConfig& config = decoder_.config();
  const auto number = static_cast<int64_t>(c10::elementSize(cache_dtype(decoder_)));
  return 2 * config.num_layers * config.key_value_size() * page_tokens * number;
}

void TreeStepModel::allocate_pages(int32_t num_pages, int32_t page_tokens) {
  if (page_tokens == page_tokens_ && num_pages <= num_pages_) return;
  const ModelConfig& config = decoder_.config();
  const c10::InferenceMode no_gradients;
  cache_ = {};  // before the new ones, so that both never exist at once
  num_pages_ = num_pages;
  page_tokens_ = page_tokens;
  const auto options =
      at::device(decoder_.device()).dtype(cuda_step_ ? decoder_.dtype() : cache_dtype(decoder_));
  const CacheLayout layout = cuda_step_ ? CacheLayout::tokens_outside : CacheLayout::tokens_inside;
  try {
    const AttentionShape shape = {.num_heads = static_cast<int32_t>(config.num_heads),
                                  .num_kv_heads = static_cast<int32_t>(config.num_kv_heads),
                                  .head_dim = static_cast<int32_t>(config.head_dim)};
    cache_ = make_paged_cache(config.num_layers, num_pages, page_tokens, shape, options, layout);
  } catch (const std::exception&) {  // c10::Error or std::bad_alloc, by device
    const int64_t bytes = num_pages * bytes_per_page(page_tokens);
    throw Error(
        fmt::format("no memory for keys and values: {} pages take {} MiB", num_pages, bytes >> 20),
        "lower engine.cache_mib");
  }
}

void TreeStepModel::check_batch(const StepBatch& batch) const {
  const auto rows = static_cast<size_t>(batch.num_rows());
  TREEPO_CHECK(batch.positions.size() == rows && batch.slots.size() == rows,
               "{} tokens, {} positions, {} slots", rows, batch.positions.size(),
               batch.slots.size());
  TREEPO_CHECK(batch.attention.page_tokens == page_tokens_, "pages of {} tokens, allocated with {}",
               batch.attention.page_tokens, page_tokens_);
  for (size_t row = 0; row < rows; ++row)
    TREEPO_CHECK(batch.tokens[row] >= 0 && batch.tokens[row] < vocab_size() &&
                     batch.positions[row] >= 0 && batch.positions[row] < max_positions() &&
                     batch.slots[row] < num_pages_ * page_tokens_,
                 "row {}: token {}, position {}, slot {}", row, batch.tokens[row],
                 batch.positions[row], batch.slots[row]);
}

void TreeStepModel::count_bytes(const StepBatch& batch) {
  const std::vector<int32_t>& keys = batch.attention.run_tokens;
  profile_.weight_bytes += weight_bytes_;
  profile_.key_value_bytes +=
      bytes_per_page(1) * std::accumulate(keys.begin(), keys.end(), int64_t{0});
}

at::Tensor TreeStepModel::to_device(const std::vector<int32_t>& values) const {
  at::Tensor host = at::empty({static_cast<int64_t>(values.size())}, at::kLong);
  std::copy(values.begin(), values.end(), host.mutable_data_ptr<int64_t>());
  return host.to(decoder_.device());
}

void TreeStepModel::step(const StepBatch& batch, std::vector<DrawnToken>& drawn) {
  drawn.clear();
  if (batch.num_rows() == 0) return;
  check_batch(batch);
  count_bytes(batch);
  const Timer forward;
  const c10::InferenceMode no_gradients;

  // Several draws may share a row: its logits are computed once.
  std::vector<int32_t> drawing_rows;
  std::vector<TokenDraw> draws;
  for (const StepBatch::Draw& draw : batch.draws) {
    TREEPO_CHECK(
        draw.row < batch.num_rows() && draw.row >= (drawing_rows.empty() ? 0 : drawing_rows.back()),
        "a draw from row {} of {}, or out of order", draw.row, batch.num_rows());
    if (drawing_rows.empty() || draw.row != drawing_rows.back()) drawing_rows.push_back(draw.row);
    draws.push_back({static_cast<int32_t>(drawing_rows.size()) - 1, draw.uniform});
  }

  if (cuda_step_) {
    cuda_step_->run(batch, cache_, drawing_rows, draws, drawn, profile_, observer_);
    return;
  }
  const auto attention = use_kernels_ ? cached_attention_kernels(batch, cache_)
                                      : cached_attention_tensors(batch, cache_);
  double attention_seconds = 0;
  TimedAttention timed(*attention, attention_seconds, observer_);
  const at::Tensor hidden = decoder_.hidden(to_device(batch.tokens), to_device(batch.positions),
                                            timed, to_device(drawing_rows), kernels_);
  at::Tensor logits;
  if (!draws.empty()) logits = wide_linear(hidden, decoder_.head_weight(), kernels_);
  profile_.attention_seconds += attention_seconds;
  profile_.linear_seconds += forward.seconds() - attention_seconds;
  if (draws.empty()) return;
  if (observer_ != nullptr) observer_->logits(logits);
  const Timer draw;
  if (use_kernels_)
    draw_tokens_cpu(logits, batch.sampling, draws, drawn);
  else
    draw_tokens_on_device(logits, batch.sampling, draws, drawn);
  profile_.draw_seconds += draw.seconds();
}

}  // namespace treepo
