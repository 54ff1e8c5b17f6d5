#include "evaluate/answer_groups.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cctype>
#include <optional>
#include <string>
#include <vector>

namespace treepo {
namespace {

using testing::ElementsAre;
using testing::Optional;

// Letters are equal whatever their case.
std::vector<bool> same_letter(std::span<const std::pair<std::string, std::string>> pairs) {
  std::vector<bool> same;
  for (const auto& [a, b] : pairs) same.push_back(std::tolower(a.at(0)) == std::tolower(b.at(0)));
  return same;
}

Samples samples(const std::vector<std::optional<std::string>>& answers) {
  Samples all;
  for (const auto& answer : answers)
    all.push_back({.score = 0, .correct = false, .answer = answer});
  return all;
}

std::vector<std::string> answers(const Samples& samples) {
  std::vector<std::string> all;
  for (const Sample& sample : samples) all.push_back(sample.answer.value_or("none"));
  return all;
}

TEST(AnswerGroups, EqualAnswersGetTheTextOfTheFirst) {
  std::vector<Samples> problems = {samples({"b", "A", std::nullopt, "B", "a", "A", "c"}),
                                   samples({"B", "b"}), samples({std::nullopt})};
  unify_answers(problems, same_letter);
  EXPECT_THAT(answers(problems[0]), ElementsAre("b", "A", "none", "b", "A", "A", "c"));
  EXPECT_THAT(answers(problems[1]), ElementsAre("B", "B"));
  EXPECT_THAT(answers(problems[2]), ElementsAre("none"));
}

TEST(AnswerGroups, AMajorityOfDifferentTextsWins) {
  // Apart, x has two votes and each spelling of y one.
  std::vector<Samples> problems = {samples({"x", "x", "ya", "Yb", "yc"})};
  for (size_t i = 2; i < 5; ++i) problems[0][i].correct = true;
  EXPECT_EQ(majority_correct(problems[0]), 0);
  unify_answers(problems, same_letter);
  EXPECT_EQ(majority_correct(problems[0]), 1);
}

TEST(AnswerGroups, WhereEquivalenceIsNotTransitiveTheFirstGroupWins) {
  // Neighbours in the alphabet are equal: c could join a's b or d, and joins none but the firsts.
  const AnswerEquivalence near = [](std::span<const std::pair<std::string, std::string>> pairs) {
    std::vector<bool> same;
    for (const auto& [a, b] : pairs) same.push_back(std::abs(a.at(0) - b.at(0)) <= 1);
    return same;
  };
  std::vector<Samples> problems = {samples({"a", "c", "b", "d"})};
  unify_answers(problems, near);
  EXPECT_THAT(answers(problems[0]), ElementsAre("a", "c", "a", "c"));
}

TEST(AnswerGroups, AsksNothingWhereAnswersAreEqualTexts) {
  std::vector<Samples> problems = {samples({"a", "a"}), samples({})};
  int asked = 0;
  unify_answers(problems, [&](std::span<const std::pair<std::string, std::string>> pairs) {
    ++asked;
    return same_letter(pairs);
  });
  EXPECT_EQ(asked, 0);
}

}  // namespace
}  // namespace treepo
