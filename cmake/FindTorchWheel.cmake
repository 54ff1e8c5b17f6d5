# Finds the C++ library inside a PyTorch wheel and defines the target torch::wheel (CPU part only, so that it
# needs no CUDA toolkit; the wheel's own CMake package insists on one). Installed with treepo's CMake package.
#   TREEPO_TORCH             the wheel's 'torch' folder, as a CMake or environment variable
#   TORCH_WHEEL_BUILT_WITH   … else this one, if it is there: where an installed treepo found it
#                            … else the one of .venv, where scripts/bootstrap puts it
#   TORCH_WHEEL_DIR, TORCH_WHEEL_LIBRARY_DIR, TORCH_WHEEL_VERSION, TORCH_WHEEL_HAS_CUDA   results
set(TREEPO_TORCH "$ENV{TREEPO_TORCH}" CACHE PATH "The 'torch' folder of an installed PyTorch wheel")
set(TORCH_WHEEL_DIR "")
if(TREEPO_TORCH)
  set(TORCH_WHEEL_DIR "${TREEPO_TORCH}")
elseif(TORCH_WHEEL_BUILT_WITH AND EXISTS "${TORCH_WHEEL_BUILT_WITH}")
  set(TORCH_WHEEL_DIR "${TORCH_WHEEL_BUILT_WITH}")
else()
  file(GLOB _torch_candidates "${CMAKE_SOURCE_DIR}/.venv/lib/python3*/site-packages/torch")
  list(LENGTH _torch_candidates _torch_count)
  if(_torch_count EQUAL 1)
    set(TORCH_WHEEL_DIR "${_torch_candidates}")
  endif()
endif()

set(TORCH_WHEEL_LIBRARY_DIR "")
set(TORCH_WHEEL_VERSION "")
set(_torch_failure "")
if(NOT TORCH_WHEEL_DIR)
  set(_torch_failure "PyTorch is not in .venv. Run scripts/bootstrap, or set TREEPO_TORCH to the 'torch' folder of a wheel.")
  if(TORCH_WHEEL_BUILT_WITH)
    set(_torch_failure "PyTorch is no longer in ${TORCH_WHEEL_BUILT_WITH}, where treepo was built with it. pip install the same version, and set TREEPO_TORCH to its folder: .../site-packages/torch")
  endif()
elseif(NOT EXISTS "${TORCH_WHEEL_DIR}/lib/libtorch_cpu.so")
  set(_torch_failure "${TORCH_WHEEL_DIR} holds no lib/libtorch_cpu.so: not the 'torch' folder of a PyTorch wheel (TREEPO_TORCH)")
else()
  set(TORCH_WHEEL_LIBRARY_DIR "${TORCH_WHEEL_DIR}/lib")
  file(STRINGS "${TORCH_WHEEL_DIR}/version.py" _torch_version REGEX "^__version__")
  string(REGEX MATCH "[0-9]+\\.[0-9]+\\.[0-9]+" TORCH_WHEEL_VERSION "${_torch_version}")
endif()
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(TorchWheel REQUIRED_VARS TORCH_WHEEL_LIBRARY_DIR
  VERSION_VAR TORCH_WHEEL_VERSION REASON_FAILURE_MESSAGE "${_torch_failure}")

if(TorchWheel_FOUND AND NOT TARGET torch::wheel)
  add_library(torch::wheel INTERFACE IMPORTED)
  target_include_directories(torch::wheel SYSTEM INTERFACE
    "${TORCH_WHEEL_DIR}/include" "${TORCH_WHEEL_DIR}/include/torch/csrc/api/include")
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
