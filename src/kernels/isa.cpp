#include "kernels/isa.h"

#include <algorithm>

namespace treepo {

namespace {

Isa detect() {
#if TREEPO_ISA_X86
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw"))
    return __builtin_cpu_supports("avx512bf16") ? Isa::avx512_bf16 : Isa::avx512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return Isa::avx2;
#endif
  return Isa::portable;
}

bool detect_bfloat16_tiles() {
#if TREEPO_ISA_X86
  __builtin_cpu_init();
  return __builtin_cpu_supports("amx-bf16");
#else
  return false;
#endif
}

const bool g_bfloat16_tiles = detect_bfloat16_tiles();
const Isa g_detected = detect();
Isa g_used = g_detected;

}  // namespace

Isa cpu_isa() {
  return g_used;
}

bool cpu_has_bfloat16_tiles() {
  return g_bfloat16_tiles;
}

bool cpu_multiplies_bfloat16() {
  return g_used == Isa::avx512_bf16 || g_bfloat16_tiles;
}

IsaLimit::IsaLimit(Isa most) {
  g_used = std::min(most, g_detected);
}

IsaLimit::~IsaLimit() {
  g_used = g_detected;
}

}  // namespace treepo
