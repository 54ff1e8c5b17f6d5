#pragma once

#include <gtest/gtest.h>

#include <string>

#include "kernels/isa.h"

namespace treepo {

inline const char* isa_name(Isa isa) {
  constexpr const char* names[] = {"portable", "avx2", "avx512", "avx512_bf16"};
  return names[static_cast<size_t>(isa)];
}

// Runs a test with the kernels of each instruction set that this machine has.
class EachIsa : public testing::TestWithParam<Isa> {
 protected:
  void SetUp() override {
    if (cpu_isa() != GetParam())
      GTEST_SKIP() << "SKIPPED: the processor has no " << isa_name(GetParam())
                   << "; run the test on one that has";
  }

 private:
  IsaLimit limit_{GetParam()};
};

}  // namespace treepo

// class SUITE, each of whose TEST_P runs with every instruction set but avx512_bf16, which only the
// kernels of linear layers know.
#define TREEPO_EACH_ISA(SUITE)                                                                 \
  class SUITE : public EachIsa {};                                                             \
  INSTANTIATE_TEST_SUITE_P(Isa, SUITE, testing::Values(Isa::portable, Isa::avx2, Isa::avx512), \
                           [](const auto& suite) { return std::string(isa_name(suite.param)); })
