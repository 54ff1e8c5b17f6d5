#pragma once

#include <gtest/gtest.h>

#include <string>

#include "kernels/isa.h"

namespace treepo {

// Runs a test with the kernels of each instruction set that this machine has.
class EachIsa : public testing::TestWithParam<Isa> {
 protected:
  void SetUp() override {
    if (cpu_isa() != GetParam()) GTEST_SKIP() << "this machine lacks it";
  }

 private:
  IsaLimit limit_{GetParam()};
};

inline std::string isa_name(const testing::TestParamInfo<Isa>& isa) {
  return isa.param == Isa::portable ? "portable" : isa.param == Isa::avx2 ? "avx2" : "avx512";
}

}  // namespace treepo

// class SUITE, each of whose TEST_P runs with every instruction set.
#define TREEPO_EACH_ISA(SUITE)                                                                 \
  class SUITE : public EachIsa {};                                                             \
  INSTANTIATE_TEST_SUITE_P(Isa, SUITE, testing::Values(Isa::portable, Isa::avx2, Isa::avx512), \
                           isa_name)
