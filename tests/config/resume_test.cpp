#include "config/resume.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/declare.h"
#include "config/load.h"
#include "support/expect_error.h"

namespace treepo {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;

TEST(Resume, ListsWhatMustNotChange) {
  RunOptions saved, now;
  EXPECT_TRUE(forbidden_changes(saved, now).empty());
  now.train.max_steps = 7;
  now.train.run_dir = "moved";
  now.evaluate.samples = 1;
  EXPECT_NO_THROW(check_resumable(saved, now));

  now.rollout.width = 8;
  now.rollout.fallback = FallbackPolicy::none;
  now.engine.max_rows = 1;
  const auto changes = forbidden_changes(saved, now);
  ASSERT_EQ(changes.size(), 3u);
  EXPECT_EQ(changes[0].key, "rollout.width");
  EXPECT_EQ(changes[0].saved, "16");
  EXPECT_EQ(changes[0].now, "8");
  EXPECT_EQ(changes[1].key, "rollout.fallback");
  EXPECT_EQ(changes[2].key, "engine.max_rows");
  EXPECT_THAT(error_of([&] { check_resumable(saved, now); }),
              AllOf(HasSubstr("rollout.width was 16, now 8; rollout.fallback was \"random\", now "
                              "\"none\""),
                    HasSubstr("these may change: "), HasSubstr("train.max_steps"),
                    HasSubstr("evaluate.every")));
}

// Each option, changed alone, is noticed unless it is said to be free.
TEST(Resume, EveryOptionIsCompared) {
  RunOptions defaults;
  const auto free_keys = keys_that_may_change();
  EXPECT_THAT(free_keys, Contains("train.checkpoint_every"));
  EXPECT_THAT(free_keys, Not(Contains("train.threads")));
  for (size_t i = 0; i < declare_options(defaults).options().size(); ++i) {
    RunOptions changed;
    const OptionTable table = declare_options(changed);
    const Option& option = table.options()[i];
    const OptionValue before = option.get();
    for (const OptionValue& value : {OptionValue(true),
                                     OptionValue(false),
                                     OptionValue(int64_t{3}),
                                     OptionValue(int64_t{4}),
                                     OptionValue(0.25),
                                     OptionValue(0.5),
                                     OptionValue(std::string("fixed")),
                                     OptionValue(std::string("tokens")),
                                     OptionValue(std::string("ascending")),
                                     OptionValue(std::string("high_value")),
                                     OptionValue(std::string("longest")),
                                     OptionValue(std::string("logprob")),
                                     OptionValue(std::string("none")),
                                     OptionValue(std::string("boxed")),
                                     OptionValue(std::string("cuda")),
                                     OptionValue(std::string("float64")),
                                     OptionValue(std::string("qwen2")),
                                     OptionValue(std::string("carry")),
                                     OptionValue(std::string("skip")),
                                     OptionValue(std::string("chat")),
                                     OptionValue(std::string("grpo")),
                                     OptionValue(std::string("token")),
                                     OptionValue(std::string("k1")),
                                     OptionValue(std::string("bfloat16")),
                                     OptionValue(std::string("linear")),
                                     OptionValue(std::vector<std::string>{"x"})}) {
      if (option.get() == before) option.set(value);
    }
    ASSERT_NE(option.get(), before) << option.key;
    const bool is_free = std::count(free_keys.begin(), free_keys.end(), option.key) > 0;
    EXPECT_EQ(forbidden_changes(defaults, changed).size(), is_free ? 0u : 1u) << option.key;
  }
}

}  // namespace
}  // namespace treepo
