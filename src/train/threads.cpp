#include "train/threads.h"

#include <ATen/Parallel.h>

#include "base/error.h"
#include "base/threads.h"

namespace treepo {

int64_t use_threads(int64_t threads) {
  set_num_threads(static_cast<int>(threads));
  at::set_num_threads(num_threads());  // sets OpenMP's number, too
  return num_threads();
}

int64_t resumed_threads(int64_t wanted, int64_t saved) {
  if (saved == 0 || wanted == 0 || wanted == saved) return saved == 0 ? wanted : saved;
  throw Error(
      fmt::format("train.threads = {}, but the run was started with {} threads", wanted, saved),
      "the same number gives the same results bit by bit; leave train.threads out");
}

}  // namespace treepo
