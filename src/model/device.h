#pragma once

#include <ATen/core/ATen_fwd.h>
#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <string>

namespace treepo {

struct CudaKernels;

// "cpu", "cuda", "cuda:1", or one of them after "checked:"; "checked" alone is "checked:cpu". For a
// CUDA device opens libtreepo_cuda.so first. Throws Error if the name means nothing or the device
// is not there.
c10::Device parse_device(const std::string& name);

// Whether the name begins with "checked": what runs there runs twice, by two implementations.
bool is_checked_device(const std::string& name);

// "float32", "float64", "bfloat16", "float16".
c10::ScalarType parse_dtype(const std::string& name);
std::string dtype_name(c10::ScalarType dtype);

// Opens libtreepo_cuda.so, which lies beside the program, in the folder above or on its run path,
// and brings PyTorch's CUDA libraries with it. Does nothing the second time. Throws Error with the
// loader's own words.
void open_cuda_library();

// The library's kernels; null before it is opened.
const CudaKernels* cuda_library_kernels();

}  // namespace treepo
