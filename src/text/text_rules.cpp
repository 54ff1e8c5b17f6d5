#include "text/text_rules.h"

#include <algorithm>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "base/error.h"
#include "text/utf8.h"

namespace treepo {

namespace {

constexpr std::string_view kBox = "\\boxed{";

// Bytes of text that are not a brace: an escape ("\{", "\}", "\\") or one byte. "\\boxed{" is a
// line break and a word in LaTeX, but models write it for a box: it counts as one.
size_t plain_length(std::string_view text) {
  if (text.size() < 2 || text[0] != '\\') return 1;
  if (text[1] == '{' || text[1] == '}') return 2;
  return text[1] == '\\' && !text.substr(1).starts_with(kBox) ? 2 : 1;
}

constexpr uint64_t kModulus = (uint64_t{1} << 61) - 1;  // a Mersenne prime
constexpr uint64_t kBase = 0x2545F4914F6CDD1D % kModulus;

__extension__ using Uint128 = unsigned __int128;

uint64_t multiply(uint64_t a, uint64_t b) {
  return static_cast<uint64_t>(static_cast<Uint128>(a) * b % kModulus);
}

std::vector<char32_t> code_points_of(std::string_view text) {
  std::string valid;
  append_lossy_utf8(text, true, valid);
  std::vector<char32_t> out;
  for (size_t offset = 0; offset < valid.size();) out.push_back(next_code_point(valid, offset));
  return out;
}

// Equal substrings met so far. Groups whose hashes collide form a chain, so the answer is exact.
struct Group {
  size_t first;  // where the substring first occurs
  size_t count;
  int64_t next;  // group with the same hash, -1 for none
};

}  // namespace

bool has_complete_box(std::string_view text) {
  std::vector<bool> open;  // for each open brace: does it belong to a box?
  for (size_t i = 0; i < text.size();) {
    if (text.substr(i).starts_with(kBox)) {
      open.push_back(true);
      i += kBox.size();
      continue;
    }
    if (text[i] == '{') open.push_back(false);
    if (text[i] == '}' && !open.empty()) {
      if (open.back()) return true;
      open.pop_back();
    }
    i += plain_length(text.substr(i));
  }
  return false;
}

bool repeats(std::string_view text, size_t length, size_t count) {
  TREEPO_CHECK(length > 0 && count > 0, "length {}, count {}", length, count);
  const std::vector<char32_t> chars = code_points_of(text);
  if (chars.size() < length || chars.size() - length + 1 < count) return false;

  uint64_t leaving_factor = 1;  // kBase^(length - 1)
  for (size_t i = 1; i < length; ++i) leaving_factor = multiply(leaving_factor, kBase);
  std::unordered_map<uint64_t, int64_t> first_group;
  std::vector<Group> groups;
  uint64_t hash = 0;
  for (size_t end = 0; end < chars.size(); ++end) {
    if (end >= length) {
      const uint64_t leaving = multiply(chars[end - length] + 1, leaving_factor);
      hash = (hash + kModulus - leaving) % kModulus;
    }
    hash = (multiply(hash, kBase) + chars[end] + 1) % kModulus;
    if (end + 1 < length) continue;

    const size_t begin = end + 1 - length;
    const auto equal = [&](size_t other) {
      return std::equal(&chars[begin], &chars[end] + 1, &chars[other]);
    };
    int64_t& head = first_group.try_emplace(hash, -1).first->second;
    int64_t group = head;
    while (group >= 0 && !equal(groups[group].first)) group = groups[group].next;
    if (group < 0) {
      groups.push_back({.first = begin, .count = 0, .next = head});
      group = head = static_cast<int64_t>(groups.size()) - 1;
    }
    if (++groups[group].count >= count) return true;
  }
  return false;
}

}  // namespace treepo
