#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/DeviceGuard.h>

#include "kernels/cuda_kernels.h"

namespace treepo {

// The kernels for what lies on x's device in x's dtype (bfloat16, float16), or null: then plain
// tensor operations do. parse_device has opened the library.
const CudaKernels* cuda_kernels_for(const at::Tensor& x);
const CudaKernels* cuda_kernels_for(c10::Device device, c10::ScalarType dtype);
// The same for the functions that take float32 too.
const CudaKernels* cuda_kernels_on(c10::Device device);

// For tests: `kernels`, compiled for the CPU, serve CPU tensors from now on; null ends it.
void use_cuda_kernels_on_cpu(const CudaKernels* kernels);

// PyTorch's current stream of a device, as a cudaStream_t, null for the CPU; the device is the
// current one while this lives.
class CudaStream {
 public:
  explicit CudaStream(c10::Device device);
  operator void*() const { return handle_; }

 private:
  c10::OptionalDeviceGuard guard_;
  void* handle_ = nullptr;
};

CudaType cuda_type(c10::ScalarType dtype);

// How many blocks of threads keep the device busy, more than once over.
int32_t wanted_cuda_blocks(const CudaKernels& kernels, c10::Device device);

// Throws Error in CUDA's words unless `error`, what a function of the table returned, is 0.
void check_cuda(const CudaKernels& kernels, int error);

}  // namespace treepo
