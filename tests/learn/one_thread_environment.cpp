#include <ATen/Parallel.h>
#include <gtest/gtest.h>

namespace treepo {
namespace {

// Matrices of these tests are tiny: a second thread only adds waiting, on a busy machine a hundred
// times the work. Tests about threads set their number themselves.
class OneThread : public ::testing::Environment {
 public:
  void SetUp() override { at::set_num_threads(1); }
};

[[maybe_unused]] const auto* const kEnvironment =
    ::testing::AddGlobalTestEnvironment(new OneThread);

}  // namespace
}  // namespace treepo
