#include "model/device.h"

#include <ATen/Context.h>
#include <c10/core/DeviceGuard.h>
#include <dlfcn.h>

#include <array>
#include <charconv>
#include <filesystem>
#include <utility>

#include "base/error.h"
#include "kernels/cuda_kernels.h"

namespace treepo {

namespace {

constexpr const char* kCudaLibrary = "libtreepo_cuda.so";
const CudaKernels* kernels = nullptr;

constexpr std::array<std::pair<const char*, c10::ScalarType>, 4> kDtypes = {
    {{"float32", c10::ScalarType::Float},
     {"float64", c10::ScalarType::Double},
     {"bfloat16", c10::ScalarType::BFloat16},
     {"float16", c10::ScalarType::Half}}};

int parse_index(const std::string& name) {
  const std::string digits = name.substr(5);
  int index = -1;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), index);
  if (digits.empty() || error != std::errc() || end != digits.data() + digits.size() || index < 0)
    throw Error(fmt::format("\"{}\" is no device", name), "cpu, cuda, or cuda:N with N from 0");
  return index;
}

// Beside the program, in the folder above (tests and benchmarks lie one below it), or, for what is
// installed, wherever the program's run path leads.
std::filesystem::path cuda_library_path() {
  const auto folder = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  const auto beside = folder / kCudaLibrary, above = folder.parent_path() / kCudaLibrary;
  if (std::filesystem::exists(beside)) return beside;
  return std::filesystem::exists(above) ? above : kCudaLibrary;
}

}  // namespace

void open_cuda_library() {
  if (kernels != nullptr) return;
  constexpr const char* kHint =
      "build it where nvcc and the full PyTorch wheel are (preset cuda), or use device cpu";
  void* library = dlopen(cuda_library_path().c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (library == nullptr)
    throw Error(fmt::format("the CUDA half, {}, cannot be opened: {}", cuda_library_path().string(),
                            dlerror()),
                kHint);
  const auto table =
      reinterpret_cast<decltype(&treepo_cuda_kernels)>(dlsym(library, "treepo_cuda_kernels"));
  kernels = table == nullptr ? nullptr : table(cuda_table_layout());
  if (kernels == nullptr)
    throw Error(fmt::format("the CUDA half, {}, is of another version than the program",
                            cuda_library_path().string()),
                "build both together: scripts/build cuda");
}

const CudaKernels* cuda_library_kernels() {
  return kernels;
}

bool is_checked_device(const std::string& name) {
  return name == "checked" || name.starts_with("checked:");
}

c10::Device parse_device(const std::string& name) {
  if (is_checked_device(name)) return parse_device(name == "checked" ? "cpu" : name.substr(8));
  if (name == "cpu") return c10::Device(c10::kCPU);
  if (!name.starts_with("cuda") || (name.size() > 4 && name[4] != ':'))
    throw Error(fmt::format("\"{}\" is no device", name), "cpu, cuda, or cuda:N with N from 0");
  const int index = name.size() > 4 ? parse_index(name) : 0;
  open_cuda_library();
  if (!at::globalContext().hasCUDA())
    throw Error(fmt::format("device {}: no usable GPU was found", name),
                "nvidia-smi shows whether the driver sees one; device cpu works without");
  const auto count = c10::impl::getDeviceGuardImpl(c10::kCUDA)->deviceCount();
  if (index >= count)
    throw Error(fmt::format("device {}: this machine has {} GPUs, counted from 0", name, count));
  return c10::Device(c10::kCUDA, static_cast<c10::DeviceIndex>(index));
}

c10::ScalarType parse_dtype(const std::string& name) {
  for (const auto& [known, type] : kDtypes)
    if (name == known) return type;
  throw Error(fmt::format("\"{}\" is no dtype", name), "float32, float64, bfloat16, float16");
}

std::string dtype_name(c10::ScalarType dtype) {
  for (const auto& [name, type] : kDtypes)
    if (dtype == type) return name;
  TREEPO_CHECK(false, "{} is no dtype of a model", c10::toString(dtype));
}

}  // namespace treepo
