#include "reward/plain_math.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/python_workers.h"

namespace treepo {
namespace {

std::string text_of(std::optional<PlainNumber> number) {
  return number ? plain_text(*number) : "none";
}

TEST(PlainMath, ReadsPlainNumbers) {
  EXPECT_EQ(text_of(parse_plain_number(" 42\n")), "42");
  EXPECT_EQ(text_of(parse_plain_number("-7")), "-7");
  EXPECT_EQ(text_of(parse_plain_number("0.50")), "1/2");
  EXPECT_EQ(text_of(parse_plain_number("-6/4")), "-3/2");
  EXPECT_EQ(text_of(parse_plain_number("-\\dfrac{6}{4}")), "-3/2");
  for (const char* other :
       {"",    "-",         "042",        "-0",  "1,000", "1e3",          "1.",
        ".5",  "1.2345678", "1234567890", "1/0", "0/1",   "\\frac12",     "\\frac{-1}{2}",
        "4 2", "x",         "NaN",        "inf", "50\\%", "\\frac{1}{2}}"})
    EXPECT_EQ(text_of(parse_plain_number(other)), "none") << other;
}

TEST(PlainMath, FindsOneBoxAtTheEnd) {
  EXPECT_EQ(text_of(plain_answer("42")), "42");
  EXPECT_EQ(text_of(plain_answer("costs $5, so $x=2$; thus \\boxed{42}")), "42");
  EXPECT_EQ(text_of(plain_answer("**Final Answer**\n\\[\n\\boxed{42}\n\\]\n")), "42");
  EXPECT_EQ(text_of(plain_answer("The final answer is $\\boxed{42}$. I hope it is correct.")),
            "42");
  for (const char* other :
       {"", "the answer is 42", "\\boxed{41} or \\boxed{42}", "\\boxed{42} and $7$",
        "$\\boxed{42}\\%$", "\\boxed{42} percent", "the final answer is $7$. \\boxed{42}",
        "the final answer is 7. I hope \\boxed{42}", "\\boxed{x}", "\\fbox{7} \\boxed{42}",
        "\\boxed{42", "\\boxed 42", "\\boxed{{42}}", "\\boxed{42}}"})
    EXPECT_EQ(text_of(plain_answer(other)), "none") << other;
}

TEST(PlainMath, LeavesRoundingToMathVerify) {
  const PlainNumber third = *parse_plain_number("1/3"), decimal = *parse_plain_number("0.333333");
  EXPECT_EQ(plain_equal(third, decimal), std::nullopt);
  EXPECT_EQ(plain_equal(third, third), true);
  EXPECT_EQ(plain_equal(decimal, *parse_plain_number("0.333334")), false);
  EXPECT_EQ(plain_equal(*parse_plain_number("2"), *parse_plain_number("2.0")), true);
}

// Plain numbers in all ways that are written, and responses around them, drawn at random.
class Cases {
 public:
  explicit Cases(unsigned seed) : random_(seed) {}

  std::string number() {
    const int a = pick(40), b = pick(12) + 1;
    const std::string sign = pick(4) == 0 ? "-" : "";
    switch (pick(7)) {
      case 0:
        return sign + std::to_string(a) + "." + std::to_string(pick(100));
      case 1:
        return sign + std::to_string(a) + "/" + std::to_string(b);
      case 2:
        return sign + "\\frac{" + std::to_string(a) + "}{" + std::to_string(b) + "}";
      case 3:
        return sign + "\\dfrac{" + std::to_string(a) + "}{" + std::to_string(b) + "}";
      case 4:
        return std::to_string(a * 1234567);
      case 5:
        return std::to_string(a) + ".0000" + std::to_string(b);
      default:
        return sign + std::to_string(a);
    }
  }

  std::string response(const std::string& number) {
    const std::vector<std::string> starts = {
        "",
        "We have $x = 5$, so ",
        "It costs $5. Then 3 = 3 and the answer is 7, or 1/2.\n",
        "**Final Answer**\n",
        "Therefore, the final answer is ",
        "\\[ a = b \\] [1] \\frac{1}{2} and $$x$$ ",
        "I found $y$. The final answer is: "};
    const std::vector<std::pair<std::string, std::string>> around = {
        {"", ""}, {"$", "$"}, {"$$", "$$"}, {"\\[\n", "\n\\]"}, {"\\(", "\\)"}, {"$x = ", "$"}};
    const std::vector<std::string> ends = {"", ".", "\n", ". I hope it is correct."};
    const auto& [open, close] = around[pick(around.size())];
    if (pick(8) == 0) return number;
    return starts[pick(starts.size())] + open + "\\boxed{" + number + "}" + close +
           ends[pick(ends.size())];
  }

 private:
  int pick(size_t n) { return static_cast<int>(random_() % n); }
  std::mt19937 random_;
};

// What is decided here must be what math-verify decides. The seed is fixed: a failure is a case.
TEST(PlainMath, NeverDisagreesWithMathVerify) {
  PythonWorkers workers({.workers = 2, .timeout_s = 60});
  workers.require("math");
  Cases cases(7);
  std::vector<Json> requests;
  std::vector<bool> decided;
  std::vector<std::string> answers;
  for (int i = 0; i < 600; ++i) {
    const std::string gold = cases.number();
    const std::string response = cases.response(i % 3 == 0 ? gold : cases.number());
    const auto said = plain_answer(response);
    const auto reference = parse_plain_number(gold);
    const auto equal = said && reference ? plain_equal(*reference, *said) : std::nullopt;
    if (!equal) continue;
    requests.push_back(Json{{"gold", gold}, {"response", response}});
    decided.push_back(*equal);
    answers.push_back(plain_text(*said));
  }
  ASSERT_GT(requests.size(), 300u) << "most plain cases are decided here";
  const auto replies = workers.call("math", requests);
  for (size_t i = 0; i < replies.size(); ++i) {
    ASSERT_EQ(replies[i].status, PythonReply::Status::ok) << replies[i].message;
    EXPECT_EQ(replies[i].value["correct"], decided[i]) << requests[i];
    EXPECT_EQ(replies[i].value["answer"], answers[i]) << requests[i];
  }
}

}  // namespace
}  // namespace treepo
