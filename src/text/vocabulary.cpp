#include "text/vocabulary.h"

#include <bit>
#include <functional>

namespace treepo {

namespace {

constexpr int64_t kMaxId = 1 << 24;  // a larger id is a mistake, not a vocabulary

int32_t checked_id(const std::string& token, const Json& id, const std::string& where) {
  if (!id.is_number_integer() || id.get<int64_t>() < 0 || id.get<int64_t>() > kMaxId) {
    throw Error(fmt::format("{}: the id of {} must be an integer in 0…{}, but is {}", where,
                            dump_json(Json(token)), kMaxId, dump_json(id)));
  }
  return id.get<int32_t>();
}

uint32_t hash_of(std::string_view token) {
  return static_cast<uint32_t>(std::hash<std::string_view>{}(token));
}

}  // namespace

Vocabulary::Vocabulary(const Json& object, const std::string& where) : count_(object.size()) {
  if (object.empty()) throw Error(where + ": the vocabulary is empty");
  slots_.resize(std::bit_ceil(2 * object.size()));
  places_.reserve(object.size());
  for (const auto& [token, id] : object.items()) add(token, checked_id(token, id, where), where);
}

void Vocabulary::add(const std::string& token, int32_t id, const std::string& where) {
  if (id >= size()) places_.resize(static_cast<size_t>(id) + 1);
  Place& place = places_[static_cast<size_t>(id)];
  if (place.length != kNone) {
    throw Error(fmt::format("{}: {} and {} have the same id {}", where,
                            dump_json(Json(this->token(id))), dump_json(Json(token)), id));
  }
  place = {.begin = static_cast<uint32_t>(text_.size()),
           .length = static_cast<uint32_t>(token.size())};
  text_ += token;
  const uint32_t hash = hash_of(token);
  slots_[slot_of(token, hash)] = {.hash = hash, .id = id};
}

size_t Vocabulary::slot_of(std::string_view wanted, uint32_t hash) const {
  size_t slot = hash & (slots_.size() - 1);
  while (slots_[slot].id >= 0 && (slots_[slot].hash != hash || token(slots_[slot].id) != wanted)) {
    slot = (slot + 1) & (slots_.size() - 1);
  }
  return slot;
}

std::optional<int32_t> Vocabulary::find(std::string_view token) const {
  const int32_t id = slots_[slot_of(token, hash_of(token))].id;
  if (id < 0) return std::nullopt;
  return id;
}

bool Vocabulary::has_id(int32_t id) const {
  return id >= 0 && id < size() && places_[static_cast<size_t>(id)].length != kNone;
}

std::string_view Vocabulary::token(int32_t id) const {
  if (!has_id(id)) return {};
  const Place& place = places_[static_cast<size_t>(id)];
  return std::string_view(text_).substr(place.begin, place.length);
}

}  // namespace treepo
