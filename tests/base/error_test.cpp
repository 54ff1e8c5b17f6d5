#include "base/error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/expect_error.h"

namespace treepo {
namespace {

using testing::AllOf;
using testing::HasSubstr;

TEST(Error, CarriesMessageAndHint) {
  EXPECT_EQ(error_of([] { throw Error("what is wrong", "what to do"); }),
            "what is wrong | what to do");
}

TEST(Check, NamesPlaceConditionAndMessage) {
  TREEPO_CHECK(1 + 1 == 2, "not evaluated");
  try {
    TREEPO_CHECK(1 > 2, "row {} of {}", 3, 4);
    FAIL();
  } catch (const CheckFailure& failure) {
    EXPECT_THAT(failure.what(),
                AllOf(HasSubstr("error_test.cpp:"), HasSubstr("row 3 of 4"), HasSubstr("1 > 2")));
  }
  // A handler for bad input must not hide a bug.
  EXPECT_FALSE((std::is_base_of_v<Error, CheckFailure>));
}

}  // namespace
}  // namespace treepo
