#include "model/checked_step_model.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/log.h"
#include "model/draw_tokens.h"
#include "model/side_by_side.h"

namespace treepo {

namespace {

// Draws are computed in double from the same logits: only the order of sums differs.
constexpr double kDrawTolerance = 1e-6;

// The draws with rows counted among those that draw, as the logits have them.
std::vector<TokenDraw> compact_draws(const StepBatch& batch) {
  std::vector<TokenDraw> draws;
  int32_t index = -1, last_row = -1;
  for (const StepBatch::Draw& draw : batch.draws) {
    if (draw.row != last_row) ++index;
    last_row = draw.row;
    draws.push_back({index, draw.uniform});
  }
  return draws;
}

// The batch row of each row of the logits.
std::vector<int32_t> drawing_rows(const StepBatch& batch) {
  std::vector<int32_t> rows;
  for (const StepBatch::Draw& draw : batch.draws)
    if (rows.empty() || rows.back() != draw.row) rows.push_back(draw.row);
  return rows;
}

std::vector<DrawnToken> drawn_at(const at::Tensor& logits, const SamplingParams& params,
                                 std::vector<TokenDraw> draws, double shift) {
  for (TokenDraw& draw : draws)
    draw.uniform = std::clamp(draw.uniform + shift, 0.0, std::nextafter(1.0, 0.0));
  std::vector<DrawnToken> drawn;
  draw_tokens_on_device(logits, params, draws, drawn);
  return drawn;
}

class TraceLayers : public StepObserver {
 public:
  void layer(const at::Tensor& qkv, const at::Tensor& attended) override {
    trace.qkv.push_back(qkv);
    trace.attended.push_back(attended);
  }
  void logits(const at::Tensor&) override {}

  LayerTrace trace;
};

class KeepLogits : public StepObserver {
 public:
  explicit KeepLogits(at::Tensor& logits) : logits_(logits) {}
  void layer(const at::Tensor&, const at::Tensor&) override {}
  void logits(const at::Tensor& logits) override { logits_ = logits; }

 private:
  at::Tensor& logits_;
};

void observed_step(TreeStepModel& model, const StepBatch& batch, std::vector<DrawnToken>& drawn,
                   StepObserver& observer) {
  struct Observing {
    TreeStepModel& model;
    Observing(TreeStepModel& m, StepObserver& o) : model(m) { model.observe(&o); }
    ~Observing() { model.observe(nullptr); }
  } observing(model, observer);
  model.step(batch, drawn);
}

}  // namespace

CheckedStepModel::CheckedStepModel(std::unique_ptr<TreeStepModel> first,
                                   std::unique_ptr<TreeStepModel> second,
                                   std::function<void()> refresh)
    : refresh_(std::move(refresh)), first_(std::move(first)), second_(std::move(second)) {
  TREEPO_CHECK(first_->vocab_size() == second_->vocab_size() &&
                   first_->max_positions() == second_->max_positions() &&
                   first_->dtype() == second_->dtype(),
               "the two are different models");
}

CheckedStepModel::~CheckedStepModel() {
  if (steps_ == 0) return;
  log_info("checked: {} steps, {} draws; logits differ by at most {:.2g} of what is allowed",
           steps_, draws_, largest_share_);
}

int64_t CheckedStepModel::bytes_per_page(int32_t page_tokens) const {
  return first_->bytes_per_page(page_tokens) + second_->bytes_per_page(page_tokens);
}

void CheckedStepModel::allocate_pages(int32_t num_pages, int32_t page_tokens) {
  if (refresh_) refresh_();
  first_->allocate_pages(num_pages, page_tokens);
  second_->allocate_pages(num_pages, page_tokens);
}

void CheckedStepModel::step(const StepBatch& batch, std::vector<DrawnToken>& drawn) {
  KeepLogits keep_first(first_logits_), keep_second(second_logits_);
  observed_step(*first_, batch, drawn, keep_first);
  observed_step(*second_, batch, drawn_by_second_, keep_second);
  ++steps_;
  if (batch.draws.empty()) return;
  const c10::InferenceMode no_gradients;
  compare_logits(batch);
  compare_with_redraws(batch, drawn);
  compare_draws(batch, drawn);
  draws_ += static_cast<int64_t>(batch.draws.size());
}

void CheckedStepModel::compare_logits(const StepBatch& batch) {
  const double tolerance = side_by_side_tolerance(first_->dtype());
  const auto difference =
      first_difference(first_logits_, second_logits_, tolerance, &largest_share_);
  if (!difference) return;
  const int32_t row = drawing_rows(batch)[static_cast<size_t>(difference->row)];
  const auto draw = std::ranges::find(batch.draws, row, &StepBatch::Draw::row);
  report(
      batch, static_cast<size_t>(draw - batch.draws.begin()),
      fmt::format("logit of token {}: {} against {}, where {:.1e} is allowed", difference->column,
                  difference->first, difference->second, difference->allowed));
}

void CheckedStepModel::compare_with_redraws(const StepBatch& batch,
                                            const std::vector<DrawnToken>& drawn) {
  const std::vector<TokenDraw> draws = compact_draws(batch);
  const auto again = drawn_at(first_logits_, batch.sampling, draws, 0);
  const auto below = drawn_at(first_logits_, batch.sampling, draws, -kDrawTolerance);
  const auto above = drawn_at(first_logits_, batch.sampling, draws, +kDrawTolerance);
  for (size_t i = 0; i < drawn.size(); ++i) {
    const auto near = [](double a, double b) { return std::abs(a - b) <= kDrawTolerance; };
    // The random number may lie between two tokens: ids ascend with it.
    if (drawn[i].token < below[i].token || drawn[i].token > above[i].token)
      report(batch, i,
             fmt::format("token {} is drawn at {}, and {} by tensor operations from the same "
                         "logits",
                         drawn[i].token, batch.draws[i].uniform, again[i].token));
    if (!near(drawn[i].entropy, again[i].entropy) || !near(drawn[i].cut_mass, again[i].cut_mass) ||
        (drawn[i].token == again[i].token && !near(drawn[i].logprob, again[i].logprob)))
      report(batch, i,
             fmt::format("token {} has log-prob {}, entropy {}, cut mass {}; by tensor operations "
                         "from the same logits {}, {}, {}",
                         drawn[i].token, drawn[i].logprob, drawn[i].entropy, drawn[i].cut_mass,
                         again[i].logprob, again[i].entropy, again[i].cut_mass));
  }
}

// Logits that differ by at most d move a log-prob by 2 d / T at most, and an entropy by (2 + ln V)
// d / T to first order: its derivative is -p (log p + H), and a spread of log-probs beyond ln V has
// no weight.
void CheckedStepModel::compare_draws(const StepBatch& batch, const std::vector<DrawnToken>& drawn) {
  const std::vector<TokenDraw> draws = compact_draws(batch);
  const double temperature = batch.sampling.temperature > 0 ? batch.sampling.temperature : 1;
  const at::Tensor largest = first_logits_.abs().amax(1).to(at::kCPU, at::kDouble);
  for (size_t i = 0; i < drawn.size(); ++i) {
    const DrawnToken &a = drawn[i], &b = drawn_by_second_[i];
    const double logit = side_by_side_tolerance(first_->dtype()) *
                         std::max(1.0, largest[draws[i].row].item<double>()) / temperature;
    const double log_vocab = std::log(static_cast<double>(vocab_size()));
    if (std::abs(a.entropy - b.entropy) > (2 + log_vocab) * logit + kDrawTolerance)
      report(batch, i, fmt::format("entropy {} against {}", a.entropy, b.entropy));
    if (a.token == b.token && std::abs(a.logprob - b.logprob) > 2 * logit + kDrawTolerance)
      report(batch, i,
             fmt::format("log-prob of token {}: {} against {}", a.token, a.logprob, b.logprob));
  }
}

void CheckedStepModel::report(const StepBatch& batch, size_t draw, const std::string& what) {
  // The batch once more, to see where the two part: keys and values go where they are already.
  TraceLayers first, second;
  std::vector<DrawnToken> ignored;
  observed_step(*first_, batch, ignored, first);
  observed_step(*second_, batch, ignored, second);
  const auto row = static_cast<size_t>(batch.draws[draw].row);
  throw DifferenceFound(
      fmt::format("two implementations differ in step {}, row {} of {} (token {} at position {}): "
                  "{}",
                  steps_, row, batch.num_rows(), batch.tokens[row], batch.positions[row], what),
      describe_first_layer(first.trace, second.trace, side_by_side_tolerance(first_->dtype())));
}

}  // namespace treepo
