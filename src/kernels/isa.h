#pragma once

// Kernels compiled once for each instruction set and chosen when the program runs. A kernel's body
// is a file without includes, made of TREEPO_KERNEL functions (and TREEPO_KERNEL_INLINE helpers) on
// raw pointers. Its .cpp says
//   #define TREEPO_KERNEL_BODY "kernels/rms_norm.inc"
//   #include "kernels/each_isa.inc"
// and calls TREEPO_FOR_ISA(rms_norm<float>)(arguments).
// Vectors are GCC vector types of a fixed number of lanes, so that every instruction set adds in
// the same order; they differ only in fused multiply-adds.

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define TREEPO_ISA_X86 1
#else
#define TREEPO_ISA_X86 0
#endif

namespace treepo {

// avx512_bf16: AVX-512 whose instructions multiply pairs of bfloat16 numbers; kernels that have no
// use for these run as on avx512.
enum class Isa { portable, avx2, avx512, avx512_bf16 };

// The best one that this machine has, or the limit if that is less.
Isa cpu_isa();

// Whether this machine multiplies tiles of bfloat16 numbers (AMX), which oneDNN does and our
// kernels do not.
bool cpu_has_bfloat16_tiles();

// Whether it has instructions of either kind for products of bfloat16.
bool cpu_multiplies_bfloat16();

// For tests, that all of them give the same: no kernel uses more than `most` in its scope. Not for
// running threads.
class IsaLimit {
 public:
  explicit IsaLimit(Isa most);
  ~IsaLimit();
  IsaLimit(const IsaLimit&) = delete;
  IsaLimit& operator=(const IsaLimit&) = delete;
};

}  // namespace treepo

#if TREEPO_ISA_X86
#define TREEPO_FOR_ISA(...)                                                         \
  (::treepo::cpu_isa() >= ::treepo::Isa::avx512 ? ::treepo::isa_avx512::__VA_ARGS__ \
   : ::treepo::cpu_isa() == ::treepo::Isa::avx2 ? ::treepo::isa_avx2::__VA_ARGS__   \
                                                : ::treepo::isa_portable::__VA_ARGS__)
#else
#define TREEPO_FOR_ISA(...) (::treepo::isa_portable::__VA_ARGS__)
#endif
