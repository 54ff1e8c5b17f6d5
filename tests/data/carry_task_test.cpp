#include "data/carry_task.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <regex>
#include <set>

#include "base/files.h"
#include "base/json.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"
#include "text/tokenizer.h"

namespace treepo {
namespace {

using ::testing::HasSubstr;

Problem problem_of(const std::string& prompt) {
  Problem problem;
  problem.prompt = prompt;
  return problem;
}

TEST(CarryTask, WritesTheDrawnExample) {
  const CarryTask task(1);
  const Problem problem = problem_of("8+5+4-8+3*6:");
  EXPECT_EQ(task.demonstration(problem, 0, 0.0), "8+5=13;13+4=17;17-8=9;9+3=12;12*6=72!");
  // Always forgetful: 17-8 keeps its ten, 19+3 drops the new one; 8+5 has none to forget.
  EXPECT_EQ(task.demonstration(problem, 0, 1.0), "8+5=13;13+4=17;17-8=19;19+3=12;12*6=72!");
  EXPECT_EQ(task.demonstration(problem_of("9*2-9-9+2*9:"), 0, 1.0),
            "9*2=18;18-9=19;19-9=10;10+2=12;12*9=108!");
  EXPECT_EQ(task.demonstration(problem_of("7+7+8-9-9+9:"), 0, 1.0),
            "7+7=14;14+8=12;12-9=13;13-9=14;14+9=13!");
  EXPECT_EQ(task.demonstration(problem_of("6+6+8-8-9+2:"), 0, 1.0),
            "6+6=12;12+8=10;10-8=12;12-9=13;13+2=15!");
}

TEST(CarryTask, ForgetsOnTwoDigitValuesOnly) {
  EXPECT_EQ(carry_step_result(8, '+', 5, true), 13);
  EXPECT_EQ(carry_step_result(4, '-', 9, true), -5);
  EXPECT_EQ(carry_step_result(-5, '+', 3, true), -2);
  EXPECT_EQ(carry_step_result(105, '+', 9, true), 114);
  EXPECT_EQ(carry_step_result(100, '-', 1, true), 99);
}

// What a student does who adds or subtracts column by column and loses the digit carried over.
int32_t by_columns(int32_t left, char operation, int32_t right, bool forgotten) {
  int32_t tens = left / 10, units = left % 10;
  units += operation == '+' ? right : -right;
  if (units >= 10) {
    units -= 10;
    if (!forgotten) ++tens;
  }
  if (units < 0) {
    units += 10;
    if (!forgotten) --tens;
  }
  return tens * 10 + units;
}

TEST(CarryTask, StepsEqualColumnArithmeticOnTwoDigitValues) {
  int due = 0;
  for (int32_t left = 10; left <= 99; ++left) {
    for (int32_t right = 2; right <= 9; ++right) {
      for (const char operation : {'+', '-'}) {
        const CarryStepKind kind = carry_step_kind(left, operation, right);
        const bool is_due =
            kind == CarryStepKind::plus_with_carry || kind == CarryStepKind::minus_with_borrow;
        for (const bool forgotten : {false, true}) {
          ASSERT_EQ(carry_step_result(left, operation, right, forgotten),
                    by_columns(left, operation, right, forgotten))
              << left << operation << right;
        }
        const int32_t exact = operation == '+' ? left + right : left - right;
        ASSERT_EQ(carry_step_result(left, operation, right, true) != exact, is_due);
        due += is_due;
      }
      ASSERT_EQ(carry_step_result(left, '*', right, true), left * right);
    }
  }
  EXPECT_EQ(due, 9 * (44 + 44)) << "each of nine tens: 2+3+…+9 unit digits for each sign";
}

// Reads a prompt from left to right; false unless it is of the task.
bool evaluate(const std::string& prompt, int32_t& value) {
  if (prompt.size() != 12 || prompt[11] != ':') return false;
  value = prompt[0] - '0';
  for (size_t i = 1; i < 11; i += 2) {
    const int32_t operand = prompt[i + 1] - '0';
    if (operand < 2 || operand > 9) return false;
    if (prompt[i] == '+')
      value += operand;
    else if (prompt[i] == '-')
      value -= operand;
    else if (prompt[i] == '*')
      value *= operand;
    else
      return false;
    if (value < 1 || value > 99) return false;
  }
  return true;
}

TEST(CarryTask, MakesProblemsWithinTheRules) {
  const CarryTask task(3);
  for (int64_t i = 0; i < 3000; ++i) {
    const Problem problem = task.training_problem(i);
    int32_t value = 0;
    ASSERT_TRUE(evaluate(problem.prompt, value)) << problem.prompt;
    ASSERT_EQ(problem.answer, std::to_string(value));
    ASSERT_EQ(problem.id, fmt::format("carry-{}", i));
    ASSERT_FALSE(is_held_out(problem.prompt));
  }
}

// Reads responses back: each step starts from the value before it, right or wrong, and its result
// is right, or short of a carry or borrow.
TEST(CarryTask, GoesOnFromWrongValues) {
  const CarryTask task(2);
  const std::regex step_form(R"((-?\d+)([-+*])(\d)=(-?\d+)([;!]))");
  int64_t mistakes = 0, negative = 0, large = 0;
  for (int64_t i = 0; i < 5000; ++i) {
    const Problem problem = task.training_problem(i);
    const std::string text = task.demonstration(problem, i, 0.6);
    std::string operations = problem.prompt.substr(0, 1);
    std::string value = operations;
    auto rest = text.begin();
    for (std::smatch step; rest != text.end(); rest = step[0].second) {
      ASSERT_TRUE(std::regex_search(rest, text.end(), step, step_form,
                                    std::regex_constants::match_continuous))
          << text;
      ASSERT_EQ(step[1], value) << text;
      operations += step.str(2) + step.str(3);
      ASSERT_EQ(step[5] == "!", step[0].second == text.end()) << text;
      value = step[4];
      const int32_t left = std::stoi(step[1]), right = std::stoi(step[3]);
      const int32_t exact = step[2] == "+"   ? left + right
                            : step[2] == "-" ? left - right
                                             : left * right;
      if (std::stoi(value) != exact) {
        ++mistakes;
        ASSERT_TRUE(left >= 10 && left <= 99) << text;
        ASSERT_EQ(std::stoi(value), by_columns(left, step.str(2)[0], right, true)) << text;
      }
      negative += std::stoi(value) < 0;
      large += std::stoi(value) > 99;
    }
    ASSERT_EQ(operations + ":", problem.prompt);
  }
  EXPECT_GT(mistakes, 1000);
  EXPECT_GT(negative, 0);
  EXPECT_GT(large, 0);
}

// Probability of each last value, counted over all prompts within the rules.
std::array<double, 100> exact_value_distribution() {
  std::array<double, 100> ways{};
  for (int32_t start = 2; start <= 9; ++start) ways[static_cast<size_t>(start)] = 1;
  for (int step = 0; step < kCarryOperations; ++step) {
    std::array<double, 100> next{};
    for (int32_t value = 1; value <= 99; ++value) {
      for (const char operation : {'+', '+', '-', '-', '*'}) {
        for (int32_t right = 2; right <= 9; ++right) {
          const int32_t result = operation == '+'   ? value + right
                                 : operation == '-' ? value - right
                                                    : value * right;
          if (result >= 1 && result <= 99)
            next[static_cast<size_t>(result)] += ways[static_cast<size_t>(value)];
        }
      }
    }
    ways = next;
  }
  double total = 0;
  for (const double way : ways) total += way;
  for (double& way : ways) way /= total;
  return ways;
}

// False alarm below 1e-4: 99 values, each within 5 standard deviations.
TEST(CarryTask, DrawsValuesAsOftenAsCountingPromptsSays) {
  constexpr int64_t kProblems = 20000;
  const auto expected = exact_value_distribution();
  std::array<int64_t, 100> seen{};
  const CarryTask task(4);
  for (int64_t i = 0; i < kProblems; ++i)
    ++seen[static_cast<size_t>(std::stoi(*task.training_problem(i).answer))];
  for (size_t value = 1; value <= 99; ++value) {
    const double mean = expected[value] * kProblems;
    EXPECT_NEAR(static_cast<double>(seen[value]), mean, 5 * std::sqrt(mean) + 1) << value;
  }
}

TEST(CarryTask, IsAFunctionOfSeedAndIndex) {
  const CarryTask task(5), same(5), other(6);
  int equal = 0;
  for (int64_t i = 99; i >= 0; --i) {
    const Problem problem = task.training_problem(i);
    EXPECT_EQ(same.training_problem(i).prompt, problem.prompt);
    EXPECT_EQ(same.demonstration(problem, i, 0.6), task.demonstration(problem, i, 0.6));
    equal += other.training_problem(i).prompt == problem.prompt;
  }
  EXPECT_LE(equal, 1);
  // Two demonstrations of one problem differ in what they forget.
  std::set<std::string> ways;
  for (int64_t i = 0; i < 100; ++i)
    ways.insert(task.demonstration(problem_of("9+8+7+6+5+4:"), i, 0.6));
  EXPECT_EQ(ways.size(), 4u) << "9+8=17: a carry for 7 and one for 6, then 5 and 4 have none";
}

TEST(CarryTask, KeepsHeldOutProblemsOutOfTraining) {
  const CarryTask task(0);
  const auto held_out = task.held_out_problems(20000);  // some are drawn twice
  ASSERT_EQ(held_out.size(), 20000u);
  std::set<std::string> prompts;
  for (size_t i = 0; i < held_out.size(); ++i) {
    int32_t value = 0;
    ASSERT_TRUE(evaluate(held_out[i].prompt, value));
    ASSERT_EQ(held_out[i].answer, std::to_string(value));
    ASSERT_EQ(held_out[i].id, fmt::format("held-out-{}", i));
    ASSERT_TRUE(is_held_out(held_out[i].prompt));
    prompts.insert(held_out[i].prompt);
  }
  EXPECT_EQ(prompts.size(), 20000u) << "all different";
  const auto fewer = task.held_out_problems(10);
  for (size_t i = 0; i < fewer.size(); ++i) EXPECT_EQ(fewer[i].prompt, held_out[i].prompt);
}

TEST(CarryTask, HoldsOutOneOfSixteen) {
  // Every prompt of the form 2+a+b+c+d+e: and the like, so that the hash sees near neighbours.
  int64_t held = 0, all = 0;
  for (int code = 0; code < 8 * 8 * 8 * 8 * 8; ++code) {
    std::string prompt = "2";
    for (int rest = code, i = 0; i < 5; ++i, rest /= 8) {
      prompt += "+-*+-"[i];
      prompt += static_cast<char>('2' + rest % 8);
    }
    held += is_held_out(prompt + ":");
    ++all;
  }
  const double expected = static_cast<double>(all) / 16;
  EXPECT_NEAR(static_cast<double>(held), expected, 5 * std::sqrt(expected));
}

TEST(CarryTask, RefusesImpossibleCountsOfHeldOutProblems) {
  for (const int64_t count : {int64_t{-1}, int64_t{0}, int64_t{100001}}) {
    EXPECT_THAT(error_of([&] { CarryTask(0).held_out_problems(count); }),
                HasSubstr("data.held_out goes from 1 to 100000"));
  }
  EXPECT_THROW(CarryTask(0).demonstration(problem_of("1+1:"), 0, 0.5), CheckFailure);
}

// Probability that a student ends right, over all combinations of what is forgotten.
double right_by_enumeration(const std::string& prompt, const std::string& answer, double bug,
                            int32_t value, size_t at) {
  if (at == 11) return std::to_string(value) == answer ? 1.0 : 0.0;
  const char operation = prompt[at];
  const int32_t right = prompt[at + 1] - '0';
  const auto result = [&](bool forgotten) {
    return right_by_enumeration(prompt, answer, bug,
                                operation == '*' ? value * right
                                : value >= 10 && value <= 99
                                    ? by_columns(value, operation, right, forgotten)
                                    : value + (operation == '+' ? right : -right),
                                at + 2);
  };
  return (1 - bug) * result(false) + bug * result(true);
}

// The bug alone explains how often demonstrations end right. False alarm below 1e-4 (4 standard
// deviations, twice).
TEST(CarryStatistics, AgreeWithEnumeratingEveryMistake) {
  constexpr int64_t kCount = 20000;
  constexpr double kBug = 0.6;
  const CarryTask task(7);
  const CarryStatistics statistics = carry_statistics(task, 0, kCount, kBug);
  double mean = 0, variance = 0;
  for (int64_t i = 0; i < kCount; ++i) {
    const Problem problem = task.training_problem(i);
    const double p =
        right_by_enumeration(problem.prompt, *problem.answer, kBug, problem.prompt[0] - '0', 1);
    mean += p;
    variance += p * (1 - p);
  }
  EXPECT_NEAR(static_cast<double>(statistics.ended_right), mean, 4 * std::sqrt(variance));

  const auto steps = [&](CarryStepKind kind) {
    return static_cast<double>(statistics.steps[static_cast<int>(kind)]);
  };
  const double due =
      steps(CarryStepKind::plus_with_carry) + steps(CarryStepKind::minus_with_borrow);
  EXPECT_NEAR(static_cast<double>(statistics.forgotten), kBug * due,
              4 * std::sqrt(due * kBug * (1 - kBug)));
  EXPECT_EQ(statistics.demonstrations, kCount);
  EXPECT_EQ(
      due + steps(CarryStepKind::plus) + steps(CarryStepKind::minus) + steps(CarryStepKind::times),
      static_cast<double>(kCount * kCarryOperations));

  // What the quickstart counts on: half of the demonstrations are right, about 37 characters.
  const auto share = [&](int64_t count) { return static_cast<double>(count) / kCount; };
  EXPECT_NEAR(share(statistics.ended_right), 0.49, 0.015);
  EXPECT_NEAR(share(statistics.characters), 37.4, 0.2);
  EXPECT_LT(share(statistics.left_range), 0.05);
  EXPECT_LE(statistics.longest, 47) << "48 tokens with EOS";
}

TEST(CarryStatistics, WithoutTheBugEverythingIsRight) {
  const CarryStatistics statistics = carry_statistics(CarryTask(8), 100, 2000, 0.0);
  EXPECT_EQ(statistics.ended_right, 2000);
  EXPECT_EQ(statistics.forgotten, 0);
  EXPECT_EQ(statistics.left_range, 0);
}

TEST(CarryTokenizer, HasOneIdForEachCharacterOfTheTask) {
  const Json tokenizer = parse_json(carry_tokenizer_json(), "tokenizer.json");
  const Json& vocabulary = tokenizer["model"]["vocab"];
  ASSERT_EQ(vocabulary.size(), static_cast<size_t>(kCarryVocabularySize));
  std::set<int64_t> ids;
  for (const auto& [token, id] : vocabulary.items()) ids.insert(id.get<int64_t>());
  EXPECT_EQ(*ids.begin(), 0);
  EXPECT_EQ(*ids.rbegin(), kCarryVocabularySize - 1);
  EXPECT_EQ(ids.size(), vocabulary.size());
  EXPECT_EQ(vocabulary["<pad>"], kCarryPadId);
  EXPECT_EQ(vocabulary["<eos>"], kCarryEosId);
  EXPECT_EQ(vocabulary["0"], 3);
  EXPECT_EQ(vocabulary["!"], 19);
  for (const Json& token : tokenizer["added_tokens"])
    EXPECT_EQ(vocabulary[token["content"].get<std::string>()], token["id"]);

  const CarryTask task(9);
  for (int64_t i = 0; i < 500; ++i) {
    const Problem problem = task.training_problem(i);
    for (const char c : problem.prompt + task.demonstration(problem, i, 0.6))
      ASSERT_TRUE(vocabulary.contains(std::string(1, c))) << c;
  }
}

// The tokenizer that text/ reads from the written files: one id for each character, nothing added.
TEST(CarryTokenizer, EncodesProblemsCharacterByCharacter) {
  TemporaryDirectory directory;
  write_carry_tokenizer(directory.path());
  const Tokenizer tokenizer = Tokenizer::load(directory.path());
  EXPECT_EQ(tokenizer.vocab_size(), kCarryVocabularySize);
  EXPECT_EQ(tokenizer.token_to_id("<eos>"), kCarryEosId);
  EXPECT_EQ(tokenizer.token_to_id("<pad>"), kCarryPadId);
  EXPECT_EQ(tokenizer.encode("8+5-4*6:", true),
            (std::vector<int32_t>{11, 13, 8, 14, 7, 15, 9, 18}));
  EXPECT_EQ(tokenizer.encode("=13;72!x", false),
            (std::vector<int32_t>{16, 4, 6, 17, 10, 5, 19, 2}));
  const CarryTask task(9);
  for (int64_t i = 0; i < 200; ++i) {
    const Problem problem = task.training_problem(i);
    const std::string text = problem.prompt + task.demonstration(problem, i, 0.6);
    const auto ids = tokenizer.encode(text, true);
    ASSERT_EQ(ids.size(), text.size());
    ASSERT_EQ(tokenizer.decode(ids, false), text);
  }
  write_file_atomically(directory / "tokenizer.json", carry_tokenizer_json());
  const Tokenizer same = Tokenizer::load(directory.path());
  for (int32_t id = 0; id < kCarryVocabularySize; ++id)
    EXPECT_EQ(same.id_to_token(id), tokenizer.id_to_token(id));
}

// Golden: a change here changes every run of the quickstart.
TEST(CarryTask, KeepsItsProblems) {
  const CarryTask task(0);
  std::vector<std::string> got;
  for (int64_t i = 0; i < 3; ++i) {
    const Problem problem = task.training_problem(i);
    got.push_back(problem.prompt + task.demonstration(problem, i, 0.6));
  }
  got.push_back(task.held_out_problems(1)[0].prompt);
  EXPECT_EQ(got, (std::vector<std::string>{"5+5-8+6-4+2:5+5=10;10-8=2;2+6=8;8-4=4;4+2=6!",
                                           "9+5+4+7-6*3:9+5=14;14+4=18;18+7=15;15-6=19;19*3=57!",
                                           "7-2+6+7-7-8:7-2=5;5+6=11;11+7=18;18-7=11;11-8=3!",
                                           "9-7+8+7+2+7:"}));
}

}  // namespace
}  // namespace treepo
