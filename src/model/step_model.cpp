#include "model/step_model.h"

namespace treepo {

void StepBatch::clear() {
  tokens.clear();
  positions.clear();
  slots.clear();
  attention.clear();
  draws.clear();
}

}  // namespace treepo
