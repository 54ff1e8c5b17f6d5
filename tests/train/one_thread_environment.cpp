#include <gtest/gtest.h>

#include "base/log.h"
#include "train/threads.h"

namespace treepo {
namespace {

// Matrices of these tests are tiny: a second thread only adds waiting. Tests about threads set
// their number themselves.
class OneQuietThread : public ::testing::Environment {
 public:
  void SetUp() override {
    use_threads(1);
    set_log_level(LogLevel::warning);
  }
};

[[maybe_unused]] const auto* const kEnvironment =
    ::testing::AddGlobalTestEnvironment(new OneQuietThread);

}  // namespace
}  // namespace treepo
