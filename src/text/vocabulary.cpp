#include "text/vocabulary.h"

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

}  // namespace

Vocabulary::Vocabulary(const Json& object, const std::string& where) {
  size_t bytes = 0, largest = 0;
  for (const auto& [token, id] : object.items()) {
    bytes += token.size();
    largest = std::max(largest, static_cast<size_t>(checked_id(token, id, where)));
  }
  if (object.empty()) throw Error(where + ": the vocabulary is empty");
  text_.reserve(bytes);  // never grows: ids_ points into it
  places_.resize(largest + 1);
  ids_.reserve(object.size());
  for (const auto& [token, value] : object.items()) {
    const auto id = value.get<int32_t>();
    Place& place = places_[static_cast<size_t>(id)];
    if (place.length != kNone) {
      throw Error(fmt::format("{}: {} and {} have the same id {}", where,
                              dump_json(Json(this->token(id))), dump_json(Json(token)), id));
    }
    place = {.begin = static_cast<uint32_t>(text_.size()),
             .length = static_cast<uint32_t>(token.size())};
    text_ += token;
    ids_.emplace(this->token(id), id);
  }
}

std::optional<int32_t> Vocabulary::find(std::string_view token) const {
  const auto found = ids_.find(token);
  if (found == ids_.end()) return std::nullopt;
  return found->second;
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
