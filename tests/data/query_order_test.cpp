#include "data/query_order.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <random>

#include "base/error.h"

namespace treepo {
namespace {

std::vector<int64_t> epoch_of(QueryOrder& order, int64_t epoch) {
  std::vector<int64_t> queries;
  for (int64_t offset = 0; offset < order.num_queries(); ++offset)
    queries.push_back(order.at(epoch * order.num_queries() + offset).query);
  return queries;
}

TEST(QueryOrder, AsksEveryQueryOnceInEachEpoch) {
  for (const int64_t count : {1, 2, 7, 100}) {
    QueryOrder order(count, 3);
    for (int64_t epoch = 0; epoch < 4; ++epoch) {
      auto queries = epoch_of(order, epoch);
      std::ranges::sort(queries);
      for (int64_t i = 0; i < count; ++i) ASSERT_EQ(queries[static_cast<size_t>(i)], i);
    }
  }
}

TEST(QueryOrder, NumbersVisitsOfEachQuery) {
  QueryOrder order(5, 1);
  std::map<int64_t, int64_t> visits;
  for (int64_t position = 0; position < 40; ++position) {
    const auto draw = order.at(position);
    EXPECT_EQ(draw.visit, visits[draw.query]++);
  }
}

// Resuming in the middle, or jumping about, gives what walking from the start gives.
TEST(QueryOrder, DependsOnThePositionAlone) {
  QueryOrder walked(13, 9), jumping(13, 9);
  std::vector<int64_t> expected;
  for (int64_t position = 0; position < 13 * 6; ++position)
    expected.push_back(walked.at(position).query);
  std::mt19937 random(1);
  for (int i = 0; i < 500; ++i) {
    const auto position = static_cast<int64_t>(random() % expected.size());
    EXPECT_EQ(jumping.at(position).query, expected[static_cast<size_t>(position)]);
    EXPECT_EQ(QueryOrder(13, 9).at(position).query, expected[static_cast<size_t>(position)]);
  }
}

TEST(QueryOrder, ShufflesEachEpochAndSeedAnew) {
  QueryOrder order(50, 1), other(50, 2);
  EXPECT_NE(epoch_of(order, 0), epoch_of(order, 1));
  EXPECT_NE(epoch_of(order, 0), epoch_of(other, 0));
}

// All 24 orders of four queries equally often. False alarm below 1e-4 (5 standard deviations).
TEST(QueryOrder, IsUniformOverOrders) {
  constexpr int64_t kEpochs = 24000;
  QueryOrder order(4, 5);
  std::map<std::vector<int64_t>, int64_t> seen;
  for (int64_t epoch = 0; epoch < kEpochs; ++epoch) ++seen[epoch_of(order, epoch)];
  ASSERT_EQ(seen.size(), 24u);
  for (const auto& [queries, count] : seen)
    EXPECT_NEAR(static_cast<double>(count), kEpochs / 24.0, 5 * std::sqrt(kEpochs / 24.0));
}

TEST(QueryOrder, RefusesNothingToOrder) {
  EXPECT_THROW(QueryOrder(0, 1), CheckFailure);
  EXPECT_THROW(QueryOrder(3, 1).at(-1), CheckFailure);
}

}  // namespace
}  // namespace treepo
