#include "config/option_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "base/error.h"
#include "config/declare.h"
#include "support/expect_error.h"

namespace treepo {
namespace {

using testing::AllOf;
using testing::HasSubstr;

TEST(EditDistance, KnownDistances) {
  EXPECT_EQ(edit_distance("", ""), 0);
  EXPECT_EQ(edit_distance("", "abc"), 3);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3);
  EXPECT_EQ(edit_distance("width", "widht"), 1);  // a swap
  EXPECT_EQ(edit_distance("Top-K", "top_k"), 0);
}

TEST(NearestKey, FindsWhatWasMeant) {
  RunOptions options;
  const OptionTable table = declare_options(options);
  const std::pair<const char*, const char*> cases[] = {
      {"rollout.widht", "rollout.width"},
      {"rolout.width", "rollout.width"},
      {"width", "rollout.width"},
      {"train.width", "rollout.width"},  // right field, wrong section
      {"rollout.top_p", "sampling.top_p"},
      {"optimizer.learning-rate", "optimizer.learning_rate"},
      {"optimiser.learning_rate", "optimizer.learning_rate"},
      {"warm_start.learningrate", "warm_start.learning_rate"},
      {"train.max_step", "train.max_steps"},
      {"advantage.Epsilon", "advantage.epsilon"},
  };
  for (const auto& [written, meant] : cases)
    EXPECT_EQ(table.nearest_key(written), meant) << written;
}

TEST(ToToml, Values) {
  EXPECT_EQ(to_toml(true), "true");
  EXPECT_EQ(to_toml(int64_t{-3}), "-3");
  EXPECT_EQ(to_toml(0.1), "0.1");
  EXPECT_EQ(to_toml(1.0), "1.0");
  EXPECT_EQ(to_toml(1e-6), "1e-06");
  EXPECT_EQ(to_toml(1e22), "1e+22");
  EXPECT_EQ(to_toml(std::string("a\"b\\c\n\t\x01\x7f")), R"("a\"b\\c\n\t\u0001\u007F")");
  EXPECT_EQ(to_toml(std::vector<std::string>{"a", "]"}), R"(["a", "]"])");
  EXPECT_EQ(to_toml(std::vector<std::string>{}), "[]");
}

// Every kind of option refuses what lies just outside its range, and takes what lies at its ends.
class OptionRangeTest : public testing::Test {
 protected:
  std::string set(const std::string& key, const OptionValue& value) {
    return error_of([&] { table_.set(key, value, "here"); });
  }
  bool accepts(const std::string& key, const OptionValue& value) {
    return set(key, value) == "(no error was thrown)";
  }

  RunOptions options_;
  const OptionTable table_ = declare_options(options_);
};

TEST_F(OptionRangeTest, Integers) {
  EXPECT_TRUE(accepts("rollout.width", int64_t{1}));
  EXPECT_TRUE(accepts("rollout.width", int64_t{1} << 24));
  EXPECT_EQ(options_.rollout.width, int64_t{1} << 24);
  EXPECT_THAT(set("rollout.width", int64_t{0}),
              HasSubstr("here: rollout.width must be 1 or more, but is 0 | rollout.width: "
                        "trajectories wanted for each query"));
  EXPECT_THAT(set("rollout.width", (int64_t{1} << 24) + 1),
              HasSubstr("must be at most 16777216, but is 16777217"));
  EXPECT_THAT(set("data.held_out", int64_t{0}), HasSubstr("must be 1 to 100000"));
  EXPECT_THAT(set("rollout.width", 8.0), HasSubstr("must be an integer, but is 8.0"));
  EXPECT_THAT(set("rollout.width", std::string("8")),
              HasSubstr("must be an integer, but is the string \"8\""));
  EXPECT_TRUE(accepts("train.seed", std::numeric_limits<int64_t>::max()));
  EXPECT_THAT(set("train.seed", int64_t{-1}), HasSubstr("must be 0 or more"));
  EXPECT_EQ(options_.rollout.width, int64_t{1} << 24);  // a refused value changes nothing
}

TEST_F(OptionRangeTest, Doubles) {
  EXPECT_TRUE(accepts("sampling.top_p", 1.0));
  EXPECT_TRUE(accepts("sampling.top_p", int64_t{1}));
  EXPECT_TRUE(accepts("sampling.top_p", 1e-300));
  EXPECT_THAT(set("sampling.top_p", 0.0), HasSubstr("must be above 0, at most 1, but is 0.0"));
  EXPECT_FALSE(accepts("sampling.top_p", 1.0000001));
  EXPECT_THAT(set("sampling.temperature", 0.0), HasSubstr("must be above 0, but is 0.0"));
  EXPECT_THAT(set("optimizer.beta1", 1.0), HasSubstr("must be 0 or more, below 1, but is 1.0"));
  EXPECT_TRUE(accepts("optimizer.beta1", 0.0));
  EXPECT_THAT(set("sampling.min_p", 1.5), HasSubstr("must be 0 to 1"));
  for (const double value : {std::numeric_limits<double>::infinity(), std::nan("")})
    EXPECT_FALSE(accepts("optimizer.learning_rate", value));
  EXPECT_THAT(set("sampling.top_p", true), HasSubstr("must be a number, but is true"));
}

TEST_F(OptionRangeTest, NamesAndTexts) {
  EXPECT_TRUE(accepts("advantage.kind", std::string("grpo")));
  EXPECT_EQ(options_.advantage.kind, AdvantageKind::grpo);
  EXPECT_THAT(set("advantage.kind", std::string("ppo")),
              AllOf(HasSubstr("must be one of tree, tree_size_weighted"),
                    HasSubstr("but is the string \"ppo\"")));
  EXPECT_TRUE(accepts("stop.answer", std::string("boxed")));
  EXPECT_THAT(set("stop.answer", int64_t{1}), HasSubstr("one of none, boxed, boxed_with_eos"));
  for (const char* device : {"cpu", "cuda", "cuda:0", "cuda:12", "checked", "checked:cpu",
                             "checked:cuda", "checked:cuda:1"})
    EXPECT_TRUE(accepts("model.device", std::string(device))) << device;
  for (const char* device : {"", "gpu", "cuda:", "cuda:x", "cuda:-1", "cuda:1 ", "cuda0",
                             "checked:", "checked:gpu", "checked:checked", "checkedcpu"})
    EXPECT_FALSE(accepts("model.device", std::string(device))) << device;
  EXPECT_THAT(set("model.path", true), HasSubstr("must be a string, but is true"));
  EXPECT_TRUE(accepts("stop.stop_strings", std::vector<std::string>{"\xe2\x82\xac"}));
  EXPECT_THAT(set("stop.stop_strings", std::string("a")),
              HasSubstr(R"(must be a list of strings, like ["a", "b"])"));
  EXPECT_TRUE(accepts("data.train", std::vector<std::string>{"a", "b"}));
  EXPECT_THAT(set("data.train", int64_t{3}), HasSubstr("must be a text or a list of texts"));
  EXPECT_THAT(set("update.packed", int64_t{1}), HasSubstr("must be true or false, but is 1"));
}

TEST_F(OptionRangeTest, TextThatNoFileCanHold) {
  using std::string_literals::operator""s;
  for (const std::string& text :
       {"\xff"s, "\xc0\x80"s, "\xe2\x82"s, "\xed\xa0\x80"s, "\xf4\x90\x80\x80"s,
        "\xf0\x8f\x80\x80"s, "\xe0\x9f\x80"s, "a\0b"s, "\x80"s, "\xf5\x80\x80\x80"s})
    EXPECT_FALSE(accepts("data.train", text));
  EXPECT_TRUE(
      accepts("data.train", "\xf0\x9f\x8c\xb3 \xed\x9f\xbf \xee\x80\x80 \xf4\x8f\xbf\xbf"s));
}

TEST(OptionTable, AKeyIsDeclaredOnce) {
  OptionTable table;
  bool flag = false;
  table.begin_section("s", "");
  table.add("a", flag, "");
  EXPECT_THROW(table.add("a", flag, ""), CheckFailure);
}

}  // namespace
}  // namespace treepo
