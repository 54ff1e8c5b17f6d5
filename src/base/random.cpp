#include "base/random.h"

#include <cmath>
#include <numbers>

#include "base/error.h"

namespace treepo {

namespace {

constexpr uint32_t kMultiplier0 = 0xD2511F53, kMultiplier1 = 0xCD9E8D57;  // Philox4x32 constants
constexpr uint32_t kWeyl0 = 0x9E3779B9, kWeyl1 = 0xBB67AE85;

}  // namespace

std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> c, std::array<uint32_t, 2> k) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{kMultiplier0} * c[0];
    const uint64_t p1 = uint64_t{kMultiplier1} * c[2];
    c = {static_cast<uint32_t>(p1 >> 32) ^ c[1] ^ k[0], static_cast<uint32_t>(p1),
         static_cast<uint32_t>(p0 >> 32) ^ c[3] ^ k[1], static_cast<uint32_t>(p0)};
    k[0] += kWeyl0;
    k[1] += kWeyl1;
  }
  return c;
}

RandomStream::RandomStream(uint64_t seed, Purpose purpose, uint64_t query, uint64_t visit) {
  // Two chained Philox blocks hash (seed, purpose, query, visit) to the 96 bits of a stream's name.
  const auto low = [](uint64_t x) { return static_cast<uint32_t>(x); };
  const auto high = [](uint64_t x) { return static_cast<uint32_t>(x >> 32); };
  const auto first =
      philox4x32({low(query), high(query), low(visit), high(visit)}, {low(seed), high(seed)});
  const auto second = philox4x32({first[2], first[3], static_cast<uint32_t>(purpose), 0x7452u},
                                 {first[0], first[1]});
  key_ = {second[0], second[1]};
  salt_ = second[2];
}

uint64_t RandomStream::bits(uint32_t node, uint32_t position, uint32_t lane) const {
  const auto block = philox4x32({node, position, lane, salt_}, key_);
  return (uint64_t{block[0]} << 32) | block[1];
}

double RandomStream::uniform(uint32_t node, uint32_t position, uint32_t lane) const {
  return static_cast<double>(bits(node, position, lane) >> 11) * 0x1.0p-53;
}

int64_t RandomStream::integer(int64_t low, int64_t high, uint32_t node, uint32_t position,
                              uint32_t lane) const {
  TREEPO_CHECK(low <= high, "empty range {}..{}", low, high);
  const uint64_t count = static_cast<uint64_t>(high) - static_cast<uint64_t>(low) + 1;
  const uint64_t random = bits(node, position, lane);
  if (count == 0) return static_cast<int64_t>(random);  // the whole range of int64
  // Lemire's multiply-shift without rejection: the bias is below count / 2^64.
  const auto offset = static_cast<uint64_t>((static_cast<unsigned __int128>(random) * count) >> 64);
  return static_cast<int64_t>(static_cast<uint64_t>(low) + offset);
}

double RandomStream::normal(uint32_t node, uint32_t position, uint32_t lane) const {
  const auto block = philox4x32({node, position, lane, salt_ ^ 0x80000000u}, key_);
  const double u = (static_cast<double>(block[0]) + 0.5) * 0x1.0p-32;  // in (0, 1): log is finite
  const double v = static_cast<double>(block[1]) * 0x1.0p-32;
  return std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * std::numbers::pi * v);
}

}  // namespace treepo
