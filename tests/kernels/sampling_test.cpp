// Holds draw_token against a sort of the whole vocabulary, and its draws against their
// probabilities.

#include "kernels/sampling.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "base/random.h"
#include "each_isa.h"
#include "support/expect_error.h"

namespace treepo {
namespace {

TREEPO_EACH_ISA(DrawToken);

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Definition, word for word: rank, keep k, keep the mass p, keep what is likely enough, draw by id.
template <typename T>
DrawnToken slow_draw(const std::vector<T>& logits, const SamplingParams& params, double u) {
  const size_t n = logits.size();
  const double temperature = params.temperature > 0 ? params.temperature : 1;
  std::vector<double> p(n);
  const double largest = *std::max_element(logits.begin(), logits.end());
  for (size_t i = 0; i < n; ++i)
    p[i] = std::exp((static_cast<double>(logits[i]) - largest) / temperature);
  const double total = std::accumulate(p.begin(), p.end(), 0.0);
  for (double& x : p) x /= total;

  std::vector<size_t> ranking(n);
  std::iota(ranking.begin(), ranking.end(), size_t{0});
  std::stable_sort(ranking.begin(), ranking.end(),
                   [&](size_t a, size_t b) { return logits[a] > logits[b]; });
  std::vector<size_t> kept = ranking;
  if (params.top_k > 0) kept.resize(std::min(n, static_cast<size_t>(params.top_k)));
  if (params.top_p < 1) {
    double mass = 0, sum = 0;
    for (const size_t token : kept) mass += p[token];
    size_t count = 0;
    while (count < kept.size() && (count == 0 || sum < params.top_p * mass))
      sum += p[kept[count++]];
    kept.resize(count);
  }
  std::erase_if(kept, [&](size_t token) { return p[token] < params.min_p * p[ranking[0]]; });
  std::sort(kept.begin(), kept.end());

  DrawnToken drawn;
  double mass = 0, cumulative = 0;
  for (const size_t token : kept) mass += p[token];
  size_t token = kept.back();
  for (const size_t candidate : kept) {
    cumulative += p[candidate];
    if (cumulative > u * mass) {
      token = candidate;
      break;
    }
  }
  if (params.temperature == 0) token = ranking[0];
  drawn.token = static_cast<int32_t>(token);
  drawn.logprob = std::log(p[token]);
  for (const double x : p) drawn.entropy -= x > 0 ? x * std::log(x) : 0;
  drawn.cut_mass = params.temperature == 0 ? 0 : 1 - mass;
  return drawn;
}

template <typename T>
std::vector<T> random_logits(uint32_t seed, size_t count, bool with_ties) {
  const RandomStream stream(seed, Purpose::generate);
  std::vector<T> logits(count);
  for (size_t i = 0; i < count; ++i) {
    const double x = 3 * stream.normal(1, static_cast<uint32_t>(i));
    logits[i] = static_cast<T>(with_ties ? std::round(x) : x);
  }
  return logits;
}

template <typename T>
void compare_with_slow_draw(const SamplingParams& params, bool with_ties) {
  for (uint32_t seed = 0; seed < 40; ++seed) {
    const size_t count = seed % 7 == 0 ? 3000 : 1 + seed % 70;
    const std::vector<T> logits = random_logits<T>(seed, count, with_ties);
    const double u = RandomStream(seed, Purpose::train).uniform(0, 0);
    const DrawnToken expected = slow_draw(logits, params, u);
    const DrawnToken drawn = draw_token<T>(logits.data(), static_cast<int32_t>(count), params, u);
    ASSERT_EQ(drawn.token, expected.token) << "seed " << seed;
    EXPECT_NEAR(drawn.logprob, expected.logprob, 1e-12);
    EXPECT_NEAR(drawn.entropy, expected.entropy, 1e-12);
    EXPECT_NEAR(drawn.cut_mass, expected.cut_mass, 1e-12);
  }
}

TEST_P(DrawToken, EqualsDefinition) {
  for (const bool with_ties : {false, true})
    for (const double temperature : {0.0, 0.6, 1.0, 2.5})
      for (const int32_t top_k : {0, 1, 5, 100})
        for (const double top_p : {1.0, 0.9, 0.3, 0.0})
          for (const double min_p : {0.0, 0.05}) {
            const SamplingParams params = {temperature, top_k, top_p, min_p};
            SCOPED_TRACE(testing::Message() << "T " << temperature << " k " << top_k << " p "
                                            << top_p << " min " << min_p << " ties " << with_ties);
            compare_with_slow_draw<double>(params, with_ties);
            compare_with_slow_draw<float>(params, with_ties);
          }
}

TEST_P(DrawToken, TiesGoToTheSmallerId) {
  const std::vector<float> logits = {1, 3, 3, 0, 3};
  EXPECT_EQ(draw_token(logits.data(), 5, {.temperature = 0}, 0.99).token, 1);
  for (const double u : {0.0, 0.5, 0.999})
    EXPECT_LE(draw_token(logits.data(), 5, {.top_k = 2}, u).token, 2);
  const std::vector<float> equal(4, 1.0f);  // two of them have just the mass
  EXPECT_EQ(draw_token(equal.data(), 4, {.top_p = 0.5}, 0.999).token, 1);
  EXPECT_EQ(draw_token(equal.data(), 4, {.top_p = 0.5}, 0.999).cut_mass, 0.5);
}

TEST_P(DrawToken, TokensOfNoProbabilityAreNeverDrawn) {
  const std::vector<double> logits = {-kInfinity, 0, -kInfinity, -5000, 1, -kInfinity};
  for (const double u : {0.0, 0.2, 0.5, 0.9, std::nextafter(1.0, 0.0)}) {
    const DrawnToken drawn = draw_token(logits.data(), 6, {}, u);
    EXPECT_TRUE(drawn.token == 1 || drawn.token == 4) << u;
    EXPECT_TRUE(std::isfinite(drawn.logprob) && std::isfinite(drawn.entropy));
  }
}

// 40,000 draws; a count lies 5 standard deviations off with a probability below 1e-6 each.
TEST_P(DrawToken, FrequenciesAreProbabilities) {
  const std::vector<float> logits = random_logits<float>(5, 40, false);
  constexpr int kDraws = 40000;
  std::vector<int> counts(40);
  const RandomStream stream(9, Purpose::evaluate);
  for (uint32_t i = 0; i < kDraws; ++i)
    ++counts[static_cast<size_t>(draw_token(logits.data(), 40, {}, stream.uniform(0, i)).token)];
  const double largest = *std::max_element(logits.begin(), logits.end());
  double total = 0;
  for (const float x : logits) total += std::exp(static_cast<double>(x) - largest);
  for (size_t i = 0; i < 40; ++i) {
    const double p = std::exp(static_cast<double>(logits[i]) - largest) / total;
    EXPECT_NEAR(counts[i], kDraws * p, 5 * std::sqrt(kDraws * p * (1 - p)) + 1) << "token " << i;
  }
}

TEST_P(DrawToken, NamesTheBadLogit) {
  for (const size_t bad : {size_t{0}, size_t{37}, size_t{63}}) {
    std::vector<float> logits(64, 1.0f);
    logits[bad] = std::numeric_limits<float>::quiet_NaN();
    const auto call = [&] { draw_token(logits.data(), 64, {}, 0.5); };
    EXPECT_NE(error_of(call).find("token " + std::to_string(bad)), std::string::npos);
    logits[bad] = std::numeric_limits<float>::infinity();
    EXPECT_NE(error_of(call).find("token " + std::to_string(bad)), std::string::npos);
  }
  const std::vector<float> nothing(10, -std::numeric_limits<float>::infinity());
  EXPECT_NE(error_of([&] { draw_token(nothing.data(), 10, {}, 0.5); }).find("every token"),
            std::string::npos);
}

}  // namespace
}  // namespace treepo
