#include "tree/divergence.h"

#include "base/error.h"

namespace treepo {

std::vector<int32_t> split_budget(BudgetSplit policy, int32_t total, int32_t num_paths) {
  TREEPO_CHECK(num_paths >= 1 && total >= num_paths, "{} children for {} paths", total, num_paths);
  switch (policy) {
    case BudgetSplit::even:
      return split_even(total, num_paths);
  }
  TREEPO_CHECK(false, "unknown divergence {}", static_cast<int>(policy));
}

std::vector<int32_t> split_even(int32_t total, int32_t num_paths) {
  std::vector<int32_t> children(static_cast<size_t>(num_paths), total / num_paths);
  children.back() += total % num_paths;
  return children;
}

}  // namespace treepo
