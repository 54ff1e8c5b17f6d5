#include "train/reference_model.h"

#include <fmt/format.h>

#include <utility>

#include "base/files.h"

namespace treepo {

ReferenceModel::ReferenceModel(const RunOptions& options, std::string root)
    : kl_beta_(options.objective.kl_beta),
      every_(options.objective.reference_every),
      bfloat16_(options.objective.reference_dtype == "bfloat16"),
      root_(std::move(root)) {}

bool ReferenceModel::needs_copy(const Decoder& policy) const {
  return kl_beta_ != 0 && policy.adapters() == nullptr;
}

int64_t ReferenceModel::origin(int64_t step) const {
  return every_ == 0 ? 0 : step - step % every_;
}

std::string ReferenceModel::folder(int64_t origin) const {
  return origin == 0 ? root_ : fmt::format("{}-{:06}", root_, origin);
}

c10::ScalarType ReferenceModel::dtype(const Decoder& policy) const {
  return bfloat16_ ? c10::kBFloat16 : policy.dtype();
}

// Under its own name only when it is whole: a kill in the middle leaves nothing that looks like it.
void ReferenceModel::keep(const Decoder& policy, int64_t origin) const {
  FileSystem& files = file_system();
  const std::string temporary = root_ + "-writing";
  files.remove(temporary);
  files.make_directories(temporary);
  policy.save(temporary, dtype(policy));
  files.remove(folder(origin));
  files.rename(temporary, folder(origin));
}

void ReferenceModel::begin(const Decoder& policy) {
  if (needs_copy(policy)) keep(policy, 0);
}

void ReferenceModel::load(const Decoder& policy, int64_t step) {
  if (!needs_copy(policy)) return;
  decoder_ = Decoder::load(folder(origin(step)), policy.device(), dtype(policy));
}

void ReferenceModel::step_done(const Decoder& policy, int64_t step) {
  if (!needs_copy(policy) || every_ == 0 || step % every_ != 0) return;
  keep(policy, step);
  load(policy, step);
}

void ReferenceModel::checkpoint_saved(int64_t step) const {
  if (kl_beta_ == 0 || every_ == 0) return;
  for (int64_t earlier = origin(step) - every_; earlier > 0; earlier -= every_) {
    if (!file_system().exists(folder(earlier))) break;
    file_system().remove(folder(earlier));
  }
}

}  // namespace treepo
