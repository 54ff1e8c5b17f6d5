#include "model/device.h"

#include <ATen/Context.h>
#include <c10/core/DeviceGuard.h>
#include <dlfcn.h>

#include <array>
#include <charconv>
#include <filesystem>
#include <utility>

#include "base/error.h"

namespace treepo {

namespace {

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

}  // namespace

void open_cuda_library() {
  static void* library = nullptr;
  if (library != nullptr) return;
  const std::string path =
      (std::filesystem::read_symlink("/proc/self/exe").parent_path() / "libtreepo_cuda.so")
          .string();
  library = dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (library == nullptr)
    throw Error(
        fmt::format("the CUDA half cannot be opened: {}", dlerror()),
        "build it where nvcc and the full PyTorch wheel are (preset cuda), or use device cpu");
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
