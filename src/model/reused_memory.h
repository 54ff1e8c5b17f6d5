#pragma once

#include <c10/core/Allocator.h>

#include <cstdint>

namespace treepo {

// Memory for large CPU tensors that are made and freed again and again, as those of an update are.
// Freed blocks of 1 MiB and more are kept and given to tensors of nearly their size, so that the
// system need not map and clear their pages each time. What is in use and kept together never
// exceeds the most that was ever in use by more than a slack: longest unused blocks go back to the
// system first. Smaller blocks are libtorch's. For any number of threads.
struct ReusedMemory {
  static constexpr int64_t kSmallestBlock = int64_t{1} << 20;
  static constexpr int64_t kSlack = int64_t{64} << 20;

  int64_t used = 0, kept = 0, most_used = 0;  // bytes of large blocks; a block's own size counts

  static ReusedMemory now();
};

// There is one, which lives as long as the program.
c10::Allocator& reusing_allocator();

// CPU tensors are made by reusing_allocator() from now on. For a program to call once.
void reuse_tensor_memory();

}  // namespace treepo
