#include "base/random.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "base/error.h"

namespace treepo {
namespace {

using testing::ElementsAre;

// kat_vectors of the Random123 distribution, lines "philox4x32 10".
TEST(Philox, KnownAnswers) {
  EXPECT_THAT(philox4x32({0, 0, 0, 0}, {0, 0}),
              ElementsAre(0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8));
  constexpr uint32_t ones = 0xffffffff;
  EXPECT_THAT(philox4x32({ones, ones, ones, ones}, {ones, ones}),
              ElementsAre(0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd));
  EXPECT_THAT(
      philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
      ElementsAre(0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1));
}

// Runs made with one version must repeat with the next: these values may never change.
TEST(RandomStream, ValuesAreFrozen) {
  const RandomStream stream(1, Purpose::train, 2, 3);
  EXPECT_EQ(stream.bits(4, 5), 0x9837a4d8aba120ee);
  EXPECT_EQ(stream.bits(4, 5, 1), 0xc1a27ae2ee7f44b9);
  EXPECT_DOUBLE_EQ(stream.uniform(4, 5), 0.59459905900769572);
  EXPECT_EQ(stream.integer(-100, 100, 4, 5), 19);
  EXPECT_DOUBLE_EQ(stream.normal(4, 5), 0.90227711373250374);
}

TEST(RandomStream, EveryPartOfTheAddressMatters) {
  std::vector<uint64_t> values;
  const auto add = [&](uint64_t seed, Purpose purpose, uint64_t query, uint64_t visit,
                       uint32_t node, uint32_t position, uint32_t lane) {
    values.push_back(RandomStream(seed, purpose, query, visit).bits(node, position, lane));
  };
  add(0, Purpose::train, 0, 0, 0, 0, 0);
  for (int i = 0; i < 64; ++i) {
    add(uint64_t{1} << i, Purpose::train, 0, 0, 0, 0, 0);
    add(0, Purpose::train, uint64_t{1} << i, 0, 0, 0, 0);
    add(0, Purpose::train, 0, uint64_t{1} << i, 0, 0, 0);
  }
  for (int i = 0; i < 32; ++i) {
    add(0, Purpose::train, 0, 0, uint32_t{1} << i, 0, 0);
    add(0, Purpose::train, 0, 0, 0, uint32_t{1} << i, 0);
    add(0, Purpose::train, 0, 0, 0, 0, uint32_t{1} << i);
  }
  for (uint32_t purpose = 1; purpose <= static_cast<uint32_t>(Purpose::bootstrap); ++purpose)
    add(0, static_cast<Purpose>(purpose), 0, 0, 0, 0, 0);
  std::sort(values.begin(), values.end());
  EXPECT_EQ(std::adjacent_find(values.begin(), values.end()), values.end());
}

TEST(RandomStream, IntegerCoversItsRange) {
  const RandomStream stream(1, Purpose::growth);
  for (uint32_t i = 0; i < 1000; ++i) {
    EXPECT_EQ(stream.integer(7, 7, 0, i), 7);
    const int64_t value = stream.integer(-1, 1, 0, i);
    EXPECT_TRUE(-1 <= value && value <= 1);
  }
  constexpr int64_t lowest = std::numeric_limits<int64_t>::min();
  constexpr int64_t highest = std::numeric_limits<int64_t>::max();
  EXPECT_EQ(stream.integer(lowest, highest, 3, 4), static_cast<int64_t>(stream.bits(3, 4)));
  EXPECT_LT(stream.integer(lowest, lowest + 9, 3, 4), lowest + 10);
  EXPECT_GE(stream.integer(highest - 9, highest, 3, 4), highest - 9);
  EXPECT_THROW(stream.integer(1, 0, 0, 0), CheckFailure);
}

// --- statistics. Seeds are fixed, so nothing here fails by chance once it has passed; the limits
// are five standard deviations of what true randomness would show.

constexpr int kDraws = 200000;

// Chi-square against equal shares, in standard deviations from its mean.
double chi_square_deviation(const std::vector<int>& counts) {
  double total = 0, chi = 0;
  for (const int count : counts) total += count;
  const double expected = total / static_cast<double>(counts.size());
  for (const int count : counts) chi += (count - expected) * (count - expected) / expected;
  const double freedom = static_cast<double>(counts.size()) - 1;
  return (chi - freedom) / std::sqrt(2 * freedom);
}

// The ways in which rollouts walk through addresses: each must look random by itself.
std::vector<std::pair<const char*, std::function<double(int)>>> uniform_walks() {
  const auto stream = std::make_shared<RandomStream>(11, Purpose::train, 5, 0);
  const auto number = [](int i) { return static_cast<uint32_t>(i); };
  return {
      {"position", [=](int i) { return stream->uniform(3, number(i)); }},
      {"node", [=](int i) { return stream->uniform(number(i), 3); }},
      {"lane", [=](int i) { return stream->uniform(1, 2, number(i)); }},
      {"query", [=](int i) { return RandomStream(1, Purpose::train, number(i)).uniform(1, 0); }},
      {"visit", [=](int i) { return RandomStream(1, Purpose::train, 1, number(i)).uniform(1, 0); }},
      {"seed", [=](int i) { return RandomStream(number(i), Purpose::train).uniform(1, 0); }},
  };
}

TEST(RandomStream, UniformIsUniform) {
  for (const auto& [name, draw] : uniform_walks()) {
    std::vector<int> high_bits(256), low_bits(256), pairs(256);
    double previous = draw(kDraws), correlation = 0, mean = 0;
    for (int i = 0; i < kDraws; ++i) {
      const double u = draw(i);
      ASSERT_TRUE(0 <= u && u < 1);
      ++high_bits[static_cast<size_t>(u * 256)];
      ++low_bits[static_cast<size_t>(std::fmod(u * 0x1.0p53, 256))];
      ++pairs[static_cast<size_t>(previous * 16) * 16 + static_cast<size_t>(u * 16)];
      mean += u;
      correlation += (u - 0.5) * (previous - 0.5);
      previous = u;
    }
    EXPECT_LT(std::abs(chi_square_deviation(high_bits)), 5) << name;
    EXPECT_LT(std::abs(chi_square_deviation(low_bits)), 5) << name;
    EXPECT_LT(std::abs(chi_square_deviation(pairs)), 5) << name;
    EXPECT_NEAR(mean / kDraws, 0.5, 5 * std::sqrt(1.0 / 12 / kDraws)) << name;
    EXPECT_NEAR(correlation / kDraws, 0, 5 * (1.0 / 12) / std::sqrt(kDraws)) << name;
  }
}

TEST(RandomStream, IntegersAreEquallyLikely) {
  const RandomStream stream(2, Purpose::growth);
  for (const int sides : {2, 3, 7, 100}) {
    std::vector<int> counts(static_cast<size_t>(sides));
    for (uint32_t i = 0; i < kDraws; ++i)
      ++counts[static_cast<size_t>(stream.integer(0, sides - 1, 0, i))];
    EXPECT_LT(std::abs(chi_square_deviation(counts)), 5) << sides << " sides";
  }
}

TEST(RandomStream, NormalHasTheNormalDistribution) {
  const RandomStream stream(3, Purpose::weights);
  std::vector<double> draws;
  double sum = 0, squares = 0, fourth = 0;
  for (uint32_t i = 0; i < kDraws; ++i) {
    const double x = stream.normal(i / 1000, i % 1000);
    draws.push_back(x);
    sum += x;
    squares += x * x;
    fourth += x * x * x * x;
  }
  const double n = kDraws;
  EXPECT_NEAR(sum / n, 0, 5 / std::sqrt(n));
  EXPECT_NEAR(squares / n, 1, 5 * std::sqrt(2 / n));
  EXPECT_NEAR(fourth / n, 3, 5 * std::sqrt(96 / n));
  // Kolmogorov–Smirnov: 1.95 / sqrt(n) is exceeded once in 1,000 samples of true normals.
  std::sort(draws.begin(), draws.end());
  double distance = 0;
  for (size_t i = 0; i < draws.size(); ++i) {
    const double cdf = 0.5 * std::erfc(-draws[i] / std::sqrt(2.0));
    distance = std::max(distance, std::abs(cdf - (static_cast<double>(i) + 0.5) / n));
  }
  EXPECT_LT(distance, 1.95 / std::sqrt(n));
}

}  // namespace
}  // namespace treepo
