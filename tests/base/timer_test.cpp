#include "base/timer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace treepo {
namespace {

using testing::ElementsAre;
using testing::Pair;

TEST(PhaseTimes, AddsUpByNameInTheOrderOfFirstUse) {
  PhaseTimes times;
  times.add("rollout", 1);
  times.add("update", 2);
  times.add("rollout", 0.5);
  EXPECT_THAT(times.phases(), ElementsAre(Pair("rollout", 1.5), Pair("update", 2)));
  EXPECT_EQ(times.seconds("absent"), 0);
  {
    const auto scope = times.measure("save");
    EXPECT_EQ(times.phases().size(), 2u);  // counted when the scope ends
  }
  EXPECT_EQ(times.phases().size(), 3u);
  EXPECT_GE(times.seconds("save"), 0);
  times.clear();
  EXPECT_TRUE(times.phases().empty());
}

TEST(Timer, RunsForward) {
  Timer timer;
  const double first = timer.seconds();
  EXPECT_GE(timer.seconds(), first);
  EXPECT_GE(first, 0);
}

}  // namespace
}  // namespace treepo
