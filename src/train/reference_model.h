#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "config/options.h"
#include "model/decoder.h"

namespace treepo {

// The model to which the KL term holds the policy: the first one or, with
// objective.reference_every, the policy of the last step that is a multiple of it (reference policy
// reset: ProRL, arXiv 2505.24864). RUN/reference keeps the first, RUN/reference-000400 that of step
// 400, so that a run may resume on either side of a reset. A decoder with adapters needs none of
// this: without them it is its own reference.
class ReferenceModel {
 public:
  // root: the folder of the first model, "RUN/reference".
  ReferenceModel(const RunOptions& options, std::string root);

  // The policy before the first step of a run.
  void begin(const Decoder& policy);
  // Reads the reference of a run that stands at `step`.
  void load(const Decoder& policy, int64_t step);
  // After a step: the policy becomes the reference where one is due.
  void step_done(const Decoder& policy, int64_t step);
  // After a checkpoint of `step`: removes what only runs from earlier ones would need.
  void checkpoint_saved(int64_t step) const;

  // Null without a KL term or with adapters.
  const Decoder* decoder() const { return decoder_ ? &*decoder_ : nullptr; }

 private:
  bool needs_copy(const Decoder& policy) const;
  int64_t origin(int64_t step) const;  // the step whose policy is the reference at `step`
  std::string folder(int64_t origin) const;
  void keep(const Decoder& policy, int64_t origin) const;
  c10::ScalarType dtype(const Decoder& policy) const;

  double kl_beta_;
  int64_t every_;
  bool bfloat16_;
  std::string root_;
  std::optional<Decoder> decoder_;
};

}  // namespace treepo
