#include "reward/reward_spec.h"

#include <charconv>
#include <cmath>
#include <optional>

#include "base/error.h"
#include "reward/trim.h"

namespace treepo {

namespace {

constexpr std::string_view kHint =
    "write WEIGHT*VERIFIER, VERIFIER or \"gate VERIFIER\", for example 0.9*math, tags:think,answer";

bool is_name(std::string_view text) {
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; };
  for (const char c : text)
    if (!is_letter(c)) return false;
  return !text.empty();
}

// The number before the first "*", taken off the text; nullopt where that is none.
std::optional<double> take_weight(std::string_view& text) {
  const size_t star = text.find('*');
  const std::string_view number = trim(text.substr(0, star));
  double weight = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), weight);
  if (error != std::errc() || end != number.data() + number.size() || !std::isfinite(weight))
    return std::nullopt;
  text = trim(text.substr(star + 1));
  return weight;
}

RewardPart parse_part(std::string_view whole, std::string_view place) {
  std::string_view text = trim(whole);
  RewardPart part;
  if (text.starts_with("gate ")) {
    part.gate = true;
    text = trim(text.substr(5));
  } else if (text.substr(0, text.find(':')).find('*') != std::string_view::npos) {
    const std::optional<double> weight = take_weight(text);
    if (!weight)
      throw Error(fmt::format("{}: \"{}\" has a weight that is no number", place, whole),
                  std::string(kHint));
    part.weight = *weight;
  }
  const size_t colon = text.find(':');
  part.name = text.substr(0, colon);
  if (colon != std::string_view::npos) part.argument = text.substr(colon + 1);
  if (!is_name(part.name))
    throw Error(fmt::format("{}: \"{}\" names no verifier", place, whole), std::string(kHint));
  return part;
}

void label_parts(std::vector<RewardPart>& parts) {
  for (size_t i = 0; i < parts.size(); ++i) {
    size_t same = 1;
    for (size_t j = 0; j < i; ++j) same += parts[j].name == parts[i].name;
    parts[i].label = same == 1 ? parts[i].name : fmt::format("{}_{}", parts[i].name, same);
  }
}

}  // namespace

std::vector<RewardPart> parse_parts(const std::vector<std::string>& texts, std::string_view place) {
  std::vector<RewardPart> parts;
  bool adds = false;
  for (const std::string& text : texts) {
    parts.push_back(parse_part(text, place));
    adds = adds || !parts.back().gate;
  }
  if (!adds)
    throw Error(fmt::format("{} has no part that a reward is made of", place),
                "a gate alone gives no reward: add a verifier such as math");
  label_parts(parts);
  return parts;
}

std::vector<RewardPart> parse_reward(const RewardOptions& options) {
  if (options.kind == "parts") return parse_parts(options.parts, "reward.parts");
  return parse_parts({options.kind}, "reward.kind");
}

}  // namespace treepo
