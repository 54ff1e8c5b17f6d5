#pragma once

#include "kernels/cuda_kernels.h"

namespace treepo {

// What the table says of the device: few, and long runs of keys stay whole; many, and they are
// split.
inline int emulated_multiprocessors = 2;

// What was done with graphs so far; `fail`: recording throws.
struct EmulatedGraphs {
  int recorded = 0, replayed = 0, alive = 0;
  bool fail = false;
};
inline EmulatedGraphs emulated_graphs;

// The table of src/cuda/table.cu, of kernels compiled for the CPU and pointers to host memory.
const CudaKernels& emulated_cuda_kernels();

}  // namespace treepo
