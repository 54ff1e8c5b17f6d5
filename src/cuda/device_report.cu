#include <cuda_runtime.h>

#include <cstdio>

// The one entry point of libtreepo_cuda.so. Loading the library brings in PyTorch's CUDA backend,
// so that the decoder's plain tensor operations run on the GPU; the report says which one.

// Writes one line about GPU `device` ("NVIDIA H100 80GB HBM3, sm_90, 79.1 GiB") or, on failure, the
// reason into `text` (at most `size` bytes, terminated). Returns 0, or the CUDA error code.
extern "C" int treepo_cuda_device_report(int device, char* text, size_t size) {
  int count = 0;
  cudaError_t error = cudaGetDeviceCount(&count);
  if (error == cudaSuccess && device >= count) error = cudaErrorInvalidDevice;
  cudaDeviceProp properties{};
  if (error == cudaSuccess) error = cudaGetDeviceProperties(&properties, device);
  if (error != cudaSuccess) {
    std::snprintf(text, size, "%s (GPUs seen: %d)", cudaGetErrorString(error), count);
    return static_cast<int>(error);
  }
  std::snprintf(text, size, "%s, sm_%d%d, %.1f GiB", properties.name, properties.major,
                properties.minor, static_cast<double>(properties.totalGlobalMem) / (1u << 30));
  return 0;
}
