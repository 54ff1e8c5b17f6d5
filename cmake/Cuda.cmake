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

set(CMAKE_CUDA_ARCHITECTURES 80 90 CACHE STRING "GPU generations that kernels are compiled for")
enable_language(CUDA)
if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)  # CMake 3.25 does not know this dialect of nvcc 13
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")
  set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION "-std=c++20")
endif()
set(CMAKE_CUDA_STANDARD 20)
file(GLOB cuda_sources CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/src/cuda/*.cu")
file(GLOB allocator_sources CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/src/cuda/*.cpp")
add_library(treepo_cuda SHARED ${cuda_sources} ${allocator_sources})
# These meet PyTorch's caching allocator, so they see its headers and the toolkit's.
get_target_property(wheel_includes torch::wheel INTERFACE_INCLUDE_DIRECTORIES)
set_source_files_properties(${allocator_sources} PROPERTIES
  INCLUDE_DIRECTORIES "${wheel_includes};${CMAKE_CUDA_TOOLKIT_INCLUDE_DIRECTORIES}")
target_include_directories(treepo_cuda PRIVATE "${CMAKE_SOURCE_DIR}/src")
# libtorch_cuda registers PyTorch's CUDA backend when it is loaded, whether or not something here calls into it.
target_link_options(treepo_cuda PRIVATE "LINKER:--no-as-needed" "LINKER:--allow-shlib-undefined"
  "LINKER:-rpath,${TORCH_WHEEL_LIBRARY_DIR}")
target_link_libraries(treepo_cuda PRIVATE
  "${TORCH_WHEEL_LIBRARY_DIR}/libtorch_cuda.so" "${TORCH_WHEEL_LIBRARY_DIR}/libc10_cuda.so"
  "${TORCH_WHEEL_LIBRARY_DIR}/libc10.so")
set_target_properties(treepo_cuda PROPERTIES LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}")
add_dependencies(treepo treepo_cuda)  # which opens it by name
