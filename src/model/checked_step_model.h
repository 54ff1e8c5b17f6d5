#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "model/step_model.h"
#include "model/tree_step_model.h"

namespace treepo {

// Two implementations of one model, run side by side on every batch. After each step
//   - the logits of each row that draws must agree (model/side_by_side.h has the tolerance);
//   - the first one's draws must be those that plain tensor operations make of its own logits:
//     token, log-prob, entropy and what truncation cut off;
//   - where both drew the same token, log-prob and entropy of the second must follow.
// What comes back is the first one's. Throws DifferenceFound at the first difference, with step,
// row, both values and the first layer that differs. The second's keys and values come from its own
// steps, so that a wrong key shows in the step that first reads it.
class CheckedStepModel : public StepModel {
 public:
  // refresh: called before every rollout; brings the weights of a second model that has its own
  // copy up to date.
  CheckedStepModel(std::unique_ptr<TreeStepModel> first, std::unique_ptr<TreeStepModel> second,
                   std::function<void()> refresh = {});
  ~CheckedStepModel() override;  // logs how much was compared, and how far apart it was

  int32_t vocab_size() const override { return first_->vocab_size(); }
  int32_t max_positions() const override { return first_->max_positions(); }
  int64_t bytes_per_page(int32_t page_tokens) const override;  // of both together
  void allocate_pages(int32_t num_pages, int32_t page_tokens) override;
  void step(const StepBatch& batch, std::vector<DrawnToken>& drawn) override;
  StepProfile profile() const override { return first_->profile(); }

  int64_t steps() const { return steps_; }
  int64_t draws() const { return draws_; }
  // The largest difference of two logits so far, as a share of what is allowed.
  double largest_share() const { return largest_share_; }

 private:
  void compare_logits(const StepBatch& batch);
  void compare_with_redraws(const StepBatch& batch, const std::vector<DrawnToken>& drawn);
  void compare_draws(const StepBatch& batch, const std::vector<DrawnToken>& drawn);
  [[noreturn]] void report(const StepBatch& batch, size_t draw, const std::string& what);

  std::function<void()> refresh_;  // may own what second_ refers to
  std::unique_ptr<TreeStepModel> first_, second_;
  std::vector<DrawnToken> drawn_by_second_;
  at::Tensor first_logits_, second_logits_;  // [drawing rows, vocab_size] of this step
  int64_t steps_ = 0, draws_ = 0;
  double largest_share_ = 0;
};

}  // namespace treepo
