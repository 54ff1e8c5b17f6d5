#include "data/mixture_order.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

namespace treepo {
namespace {

// The class's promises, counted over many epochs.
TEST(MixtureOrder, SharesHoldInEveryEpochAndNoProblemComesAgainBeforeAllHaveCome) {
  const std::vector<int64_t> sizes = {50, 7, 3};
  const std::vector<double> weights = {1, 2, 1};
  MixtureOrder order(sizes, weights, 3);
  ASSERT_EQ(order.epoch_size(), 60);
  std::vector<std::map<int64_t, int64_t>> visits(3);  // of each query
  for (int64_t epoch = 0; epoch < 20; ++epoch) {
    std::vector<int64_t> counts(3);
    for (int64_t i = 0; i < 60; ++i) {
      const MixtureOrder::Draw draw = order.at(60 * epoch + i);
      ++counts[draw.source];
      ASSERT_LT(draw.query, sizes[draw.source]);
      EXPECT_EQ(draw.visit, visits[draw.source][draw.query]++);
      int64_t least = INT64_MAX;
      for (int64_t q = 0; q < sizes[draw.source]; ++q)
        least = std::min(least, visits[draw.source][q]);
      EXPECT_LE(visits[draw.source][draw.query], least + 1);
    }
    EXPECT_EQ(counts, (std::vector<int64_t>{15, 30, 15})) << "epoch " << epoch;
  }
}

TEST(MixtureOrder, APositionDecidesAlone) {
  const std::vector<int64_t> sizes = {40, 9};
  const std::vector<double> weights = {0.3, 0.7};
  MixtureOrder forwards(sizes, weights, 8);
  std::vector<MixtureOrder::Draw> draws;
  for (int64_t position = 0; position < 200; ++position) draws.push_back(forwards.at(position));
  for (const int64_t position : {199, 3, 120, 48, 49, 97, 98, 0}) {
    MixtureOrder fresh(sizes, weights, 8);
    const auto& expected = draws[static_cast<size_t>(position)];
    const MixtureOrder::Draw draw = fresh.at(position);
    EXPECT_EQ(draw.source, expected.source);
    EXPECT_EQ(draw.query, expected.query);
    EXPECT_EQ(draw.visit, expected.visit);
  }
}

TEST(MixtureOrder, SeedsAndEpochsShuffleAnew) {
  const std::vector<int64_t> sizes = {30, 30};
  const std::vector<double> weights = {1, 1};
  const auto epoch_of = [&](uint64_t seed, int64_t epoch) {
    MixtureOrder order(sizes, weights, seed);
    std::vector<std::pair<size_t, int64_t>> draws;
    for (int64_t i = 0; i < order.epoch_size(); ++i) {
      const auto draw = order.at(epoch * order.epoch_size() + i);
      draws.emplace_back(draw.source, draw.query);
    }
    return draws;
  };
  EXPECT_NE(epoch_of(1, 0), epoch_of(2, 0));
  EXPECT_NE(epoch_of(1, 0), epoch_of(1, 1));
  EXPECT_EQ(epoch_of(1, 1), epoch_of(1, 1));
}

// A source of next to no weight is asked all the same.
TEST(MixtureOrder, EverySourceHasAPlace) {
  MixtureOrder order(std::vector<int64_t>{10, 10}, std::vector<double>{1e6, 1}, 1);
  EXPECT_EQ(order.places_of(1), 1);
}

}  // namespace
}  // namespace treepo
