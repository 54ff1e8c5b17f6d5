#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "config/options.h"  // LoraOptions
#include "model/parameter_store.h"

namespace treepo {

// Low-rank adapters (LoRA, arXiv 2106.09685) of a decoder's matrices: x Wᵀ becomes
// x Wᵀ + alpha / rank · (x Aᵀ) Bᵀ, with A [rank, in] and B [out, rank].
//
// W may be fused from several published matrices; an adapter belongs to one of these. The A of all
// adapters of one W are fused in their turn, so that one product serves them:
//   qkv [q + 2 kv, hidden], adapters on q_proj and v_proj, rank 8:
//   A   [16, hidden]  rows 0-7 of q_proj, 8-15 of v_proj
//   B   [q, 8] and [kv, 8]; columns of k_proj are left as they are
// Names are those of PEFT: "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight".
class Adapters {
 public:
  // For the weights in `base`, of its device and dtype. A is drawn uniformly within
  // ±1 / sqrt(in), B is 0, so that nothing changes yet. base_path: where the base was loaded from.
  Adapters(const ParameterStore& base, const LoraOptions& options, std::string base_path,
           uint64_t seed);

  // y [N, out] of x [N, in] and the base's parameter `weight`, with what its adapters add.
  at::Tensor add(const at::Tensor& y, const at::Tensor& x, int64_t weight) const;

  // Adds alpha / rank · B A to the base's matrices, computed in float32 or float64.
  void merge_into(ParameterStore& base) const;

  ParameterStore& parameters() { return parameters_; }
  const ParameterStore& parameters() const { return parameters_; }
  const LoraOptions& options() const { return options_; }
  const std::string& base_path() const { return base_path_; }

 private:
  struct Slice {  // rows of W that have an adapter
    int64_t begin = 0, rows = 0;
    int64_t up = -1;  // index of B
  };
  struct Slot {           // one W
    int64_t down = -1;    // index of the fused A
    int64_t columns = 0;  // rows of W, columns of y
    std::vector<Slice> slices;
  };

  void lay_out(const ParameterStore& base);
  void draw(uint64_t seed);
  double scale() const { return options_.alpha / static_cast<double>(options_.rank); }

  LoraOptions options_;
  std::string base_path_;
  ParameterStore parameters_;
  std::vector<Slot> slots_;  // by the base's parameter; no slices: no adapter
};

}  // namespace treepo
