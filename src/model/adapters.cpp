#include "model/adapters.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "base/random.h"

namespace treepo {

namespace {

// "model.layers.0.self_attn.q_proj" of "model.layers.0.self_attn.q_proj.weight".
std::string module_of(const std::string& parameter) {
  return parameter.substr(0, parameter.rfind('.'));
}

std::string peft_name(const std::string& module, const char* matrix) {
  return fmt::format("base_model.model.{}.{}.weight", module, matrix);
}

bool is_target(const std::string& module, const std::vector<std::string>& targets) {
  const std::string name = module.substr(module.rfind('.') + 1);
  return std::find(targets.begin(), targets.end(), name) != targets.end();
}

}  // namespace

Adapters::Adapters(const ParameterStore& base, const LoraOptions& options, std::string base_path,
                   uint64_t seed)
    : options_(options),
      base_path_(std::move(base_path)),
      parameters_(base.device(), base.dtype()) {
  TREEPO_CHECK(options_.rank > 0, "adapters of rank {}", options_.rank);
  lay_out(base);
  parameters_.allocate();
  draw(seed);
}

void Adapters::lay_out(const ParameterStore& base) {
  const int64_t rank = options_.rank;
  for (int64_t weight = 0; weight < base.num_parameters(); ++weight) {
    Slot& slot = slots_.emplace_back();
    if (base.tensor(weight).dim() != 2) continue;
    slot.columns = base.tensor(weight).size(0);
    std::vector<ParameterStore::Part> down;
    int64_t row = 0;
    for (const ParameterStore::Part& part : base.parts(weight)) {
      const std::string module = module_of(part.name);
      if (is_target(module, options_.targets)) {
        down.push_back({peft_name(module, "lora_A"), rank});
        const int64_t up =
            parameters_.add({part.rows, rank}, {{peft_name(module, "lora_B"), part.rows}});
        slot.slices.push_back({.begin = row, .rows = part.rows, .up = up});
      }
      row += part.rows;
    }
    if (down.empty()) continue;
    const int64_t rows = rank * static_cast<int64_t>(down.size());
    slot.down = parameters_.add({rows, base.tensor(weight).size(1)}, std::move(down));
  }
}

// Row r, column c of the adapter numbered `index` is a draw of its own: neither device, dtype nor
// how matrices are fused changes it.
void Adapters::draw(uint64_t seed) {
  uint64_t index = 0;
  for (auto& [name, tensor] : parameters_.named_tensors()) {
    if (name.find(".lora_A.") == std::string::npos) continue;
    const RandomStream stream(seed, Purpose::adapters, index++);
    const double bound = 1 / std::sqrt(static_cast<double>(tensor.size(1)));
    at::Tensor drawn = at::empty(tensor.sizes(), at::kDouble);
    double* to = drawn.mutable_data_ptr<double>();
    for (int64_t row = 0; row < tensor.size(0); ++row)
      for (int64_t column = 0; column < tensor.size(1); ++column)
        *to++ = bound *
                (2 * stream.uniform(static_cast<uint32_t>(row), static_cast<uint32_t>(column)) - 1);
    tensor.copy_(drawn);
  }
}

at::Tensor Adapters::add(const at::Tensor& y, const at::Tensor& x, int64_t weight) const {
  const Slot& slot = slots_[static_cast<size_t>(weight)];
  if (slot.slices.empty()) return y;
  const at::Tensor low = x.mm(parameters_.tensor(slot.down).t()).mul(scale());
  std::vector<at::Tensor> columns;
  int64_t done = 0, adapter = 0;
  for (const Slice& slice : slot.slices) {
    if (slice.begin > done) columns.push_back(y.narrow(1, done, slice.begin - done));
    columns.push_back(at::addmm(y.narrow(1, slice.begin, slice.rows),
                                low.narrow(1, adapter * options_.rank, options_.rank),
                                parameters_.tensor(slice.up).t()));
    done = slice.begin + slice.rows;
    ++adapter;
  }
  if (slot.columns > done) columns.push_back(y.narrow(1, done, slot.columns - done));
  return columns.size() == 1 ? columns[0] : at::cat(columns, 1);
}

void Adapters::merge_into(ParameterStore& base) const {
  const at::NoGradGuard no_grad;
  const c10::ScalarType wide = base.gradient_dtype();
  for (size_t weight = 0; weight < slots_.size(); ++weight) {
    const Slot& slot = slots_[weight];
    int64_t adapter = 0;
    for (const Slice& slice : slot.slices) {
      const at::Tensor down =
          parameters_.tensor(slot.down).narrow(0, adapter * options_.rank, options_.rank);
      at::Tensor rows =
          base.tensor(static_cast<int64_t>(weight)).detach().narrow(0, slice.begin, slice.rows);
      rows.copy_(rows.to(wide).addmm(parameters_.tensor(slice.up).to(wide), down.to(wide),
                                     /*beta=*/1, /*alpha=*/scale()));
      ++adapter;
    }
  }
}

}  // namespace treepo
