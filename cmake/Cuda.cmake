# The CUDA half as a shared library of its own, opened when a CUDA device is asked for, so that one
# program serves machines with and without a GPU.
if(TREEPO_CUDA STREQUAL "OFF")
  return()
endif()
include(CheckLanguage)
check_language(CUDA)
if(NOT CMAKE_CUDA_COMPILER OR NOT TORCH_WHEEL_HAS_CUDA)
  if(TREEPO_CUDA STREQUAL "ON")
    message(FATAL_ERROR "TREEPO_CUDA=ON needs nvcc on the PATH and a PyTorch wheel with CUDA")
  endif()
  message(WARNING "SKIPPED: the CUDA half (libtreepo_cuda) is not built: nvcc or a PyTorch wheel with CUDA is missing")
  return()
endif()
