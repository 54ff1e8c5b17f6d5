#include "base/large_blocks.h"

#include <cstdlib>

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace treepo {

void give_back_large_blocks() {
#ifdef __GLIBC__
  for (const char* set : {"MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES"})
    if (std::getenv(set) != nullptr) return;
  mallopt(M_MMAP_THRESHOLD, 4 << 20);
  mallopt(M_TRIM_THRESHOLD, 64 << 20);  // smaller ones stay: setting the other took it to 128 KiB
#endif
}

}  // namespace treepo
