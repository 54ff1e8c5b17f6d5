#include "model/cuda_kernels.h"

#include "base/error.h"
#include "model/device.h"  // cuda_library_kernels

namespace treepo {

namespace {

const CudaKernels* kernels_on_cpu = nullptr;

}  // namespace

const CudaKernels* cuda_kernels_on(c10::Device device) {
  if (device.is_cuda()) return cuda_library_kernels();
  return device.is_cpu() ? kernels_on_cpu : nullptr;
}

const CudaKernels* cuda_kernels_for(c10::Device device, c10::ScalarType dtype) {
  const bool narrow = dtype == at::kBFloat16 || dtype == at::kHalf;
  return narrow ? cuda_kernels_on(device) : nullptr;
}

const CudaKernels* cuda_kernels_for(const at::Tensor& x) {
  return cuda_kernels_for(x.device(), x.scalar_type());
}

void use_cuda_kernels_on_cpu(const CudaKernels* kernels) {
  kernels_on_cpu = kernels;
}

CudaStream::CudaStream(c10::Device device) {
  if (device.is_cpu()) return;
  guard_.reset_device(device);
  handle_ = c10::impl::getDeviceGuardImpl(device.type())->getStream(device).native_handle();
}

CudaType cuda_type(c10::ScalarType dtype) {
  switch (dtype) {
    case at::kBFloat16:
      return CudaType::bfloat16;
    case at::kHalf:
      return CudaType::float16;
    case at::kFloat:
      return CudaType::float32;
    default:
      TREEPO_CHECK(false, "{} is no type of the CUDA kernels", c10::toString(dtype));
  }
}

int32_t wanted_cuda_blocks(const CudaKernels& kernels, c10::Device device) {
  constexpr int32_t kBlocksEach = 4;
  return kBlocksEach * kernels.num_multiprocessors(device.has_index() ? device.index() : 0);
}

void check_cuda(const CudaKernels& kernels, int error) {
  if (error != 0)
    throw Error(fmt::format("a CUDA kernel could not be started: {}", kernels.error_text(error)),
                "kernels are compiled for the GPU generations in CMAKE_CUDA_ARCHITECTURES");
}

}  // namespace treepo
