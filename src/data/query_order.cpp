#include "data/query_order.h"

#include <numeric>
#include <utility>

#include "base/error.h"
#include "base/random.h"

namespace treepo {

QueryOrder::QueryOrder(int64_t num_queries, uint64_t seed, uint64_t stream)
    : seed_(seed), stream_(stream) {
  TREEPO_CHECK(num_queries > 0, "{} queries to order", num_queries);
  order_.resize(static_cast<size_t>(num_queries));
}

QueryOrder::Draw QueryOrder::at(int64_t position) {
  TREEPO_CHECK(position >= 0, "position {}", position);
  const int64_t epoch = position / num_queries();
  if (epoch != epoch_) shuffle(epoch);
  return {order_[static_cast<size_t>(position % num_queries())], epoch};
}

void QueryOrder::shuffle(int64_t epoch) {
  const RandomStream random(seed_, Purpose::data_order, stream_, static_cast<uint64_t>(epoch));
  std::iota(order_.begin(), order_.end(), 0);
  for (int64_t i = num_queries() - 1; i > 0; --i) {
    // The address of a draw has 32 bits for each half.
    const auto low = static_cast<uint32_t>(i), high = static_cast<uint32_t>(i >> 32);
    std::swap(order_[static_cast<size_t>(i)],
              order_[static_cast<size_t>(random.integer(0, i, high, low))]);
  }
  epoch_ = epoch;
}

}  // namespace treepo
