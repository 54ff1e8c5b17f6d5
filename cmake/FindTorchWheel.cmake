# Finds the C++ library inside a PyTorch wheel and defines the target torch::wheel (CPU part only, so that it
# needs no CUDA toolkit; the wheel's own CMake package insists on one).
#   TREEPO_TORCH   the wheel's 'torch' folder; by default the one scripts/bootstrap puts into .venv
#   TORCH_WHEEL_HAS_CUDA, TORCH_WHEEL_LIBRARY_DIR   results
set(TREEPO_TORCH "$ENV{TREEPO_TORCH}" CACHE PATH "The 'torch' folder of an installed PyTorch wheel")
if(TREEPO_TORCH)
  set(_torch_dir "${TREEPO_TORCH}")
else()
  file(GLOB _torch_candidates "${CMAKE_SOURCE_DIR}/.venv/lib/python3*/site-packages/torch")
  list(LENGTH _torch_candidates _torch_count)
  if(NOT _torch_count EQUAL 1)
    message(FATAL_ERROR "PyTorch is not in .venv. Run scripts/bootstrap, or set TREEPO_TORCH to the 'torch' folder of a wheel.")
  endif()
  set(_torch_dir "${_torch_candidates}")
endif()
if(NOT EXISTS "${_torch_dir}/lib/libtorch_cpu.so")
  message(FATAL_ERROR "${_torch_dir} holds no lib/libtorch_cpu.so: not the 'torch' folder of a PyTorch wheel")
endif()

set(TORCH_WHEEL_LIBRARY_DIR "${_torch_dir}/lib")
if(NOT TARGET torch::wheel)
  add_library(torch::wheel INTERFACE IMPORTED)
  target_include_directories(torch::wheel SYSTEM INTERFACE
    "${_torch_dir}/include" "${_torch_dir}/include/torch/csrc/api/include")
  target_link_libraries(torch::wheel INTERFACE
    "${TORCH_WHEEL_LIBRARY_DIR}/libtorch_cpu.so" "${TORCH_WHEEL_LIBRARY_DIR}/libc10.so")
  # The wheel brings headers of its own fmt, which hide the system's, but exports none of its functions.
  target_compile_definitions(torch::wheel INTERFACE FMT_HEADER_ONLY=1)
  # libtorch_cpu.so names libraries of the CUDA wheel set that the CPU side never calls.
  target_link_options(torch::wheel INTERFACE "LINKER:--allow-shlib-undefined" "LINKER:-rpath,${TORCH_WHEEL_LIBRARY_DIR}")
  if(EXISTS "${TORCH_WHEEL_LIBRARY_DIR}/libtorch_cuda.so")
    set(TORCH_WHEEL_HAS_CUDA TRUE)
  else()
    set(TORCH_WHEEL_HAS_CUDA FALSE)
  endif()
endif()
