#include "data/mixture_order.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"

namespace treepo {

namespace {

std::vector<int64_t> quotas_of(std::span<const int64_t> sizes, std::span<const double> weights) {
  const auto problems = static_cast<double>(std::accumulate(sizes.begin(), sizes.end(), int64_t{}));
  const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
  std::vector<int64_t> quotas;
  for (const double weight : weights)
    quotas.push_back(std::max<int64_t>(1, std::llround(problems * weight / total)));
  return quotas;
}

}  // namespace

MixtureOrder::MixtureOrder(std::span<const int64_t> sizes, std::span<const double> weights,
                           uint64_t seed)
    : quotas_(quotas_of(sizes, weights)),
      shuffle_(std::accumulate(quotas_.begin(), quotas_.end(), int64_t{}), seed) {
  TREEPO_CHECK(sizes.size() == weights.size(), "{} sizes, {} weights", sizes.size(),
               weights.size());
  uint64_t stream = 0;  // 0 is the shuffle's own
  for (const int64_t size : sizes) orders_.emplace_back(size, seed, ++stream);
  places_.resize(static_cast<size_t>(shuffle_.num_queries()));
}

MixtureOrder::Draw MixtureOrder::at(int64_t position) {
  TREEPO_CHECK(position >= 0, "position {}", position);
  const int64_t epoch = position / epoch_size();
  if (epoch != epoch_) fill(epoch);
  const Place& place = places_[static_cast<size_t>(position % epoch_size())];
  const auto source = static_cast<size_t>(place.source);
  const QueryOrder::Draw draw = orders_[source].at(epoch * quotas_[source] + place.rank);
  return {source, draw.query, draw.visit};
}

// A shuffled number below the first source's quota is a place of the first source, and so on.
void MixtureOrder::fill(int64_t epoch) {
  std::vector<int64_t> ends(quotas_.size()), used(quotas_.size());
  std::partial_sum(quotas_.begin(), quotas_.end(), ends.begin());
  for (int64_t i = 0; i < epoch_size(); ++i) {
    const int64_t number = shuffle_.at(epoch * epoch_size() + i).query;
    const auto source =
        static_cast<size_t>(std::upper_bound(ends.begin(), ends.end(), number) - ends.begin());
    places_[static_cast<size_t>(i)] = {static_cast<int32_t>(source), used[source]++};
  }
  epoch_ = epoch;
}

}  // namespace treepo
