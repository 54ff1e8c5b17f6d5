#include "data/row_condition.h"

#include <algorithm>
#include <charconv>

#include "base/error.h"

namespace treepo {

namespace {

std::optional<double> number_of(std::string_view text) {
  double number = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failure != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// Of "Level 4": 4.
std::optional<double> last_number(const Json& value) {
  if (value.is_number()) return value.get<double>();
  if (!value.is_string()) return std::nullopt;
  const std::string_view text = value.get_ref<const std::string&>();
  const size_t before = text.find_last_not_of("0123456789.");
  return number_of(before == std::string_view::npos ? text : text.substr(before + 1));
}

const Json* child(const Json& value, std::string_view name) {
  if (value.is_object()) {
    const auto found = value.find(std::string(name));
    return found == value.end() || found->is_null() ? nullptr : &*found;
  }
  size_t index = 0;
  const auto [end, failure] = std::from_chars(name.data(), name.data() + name.size(), index);
  if (!value.is_array() || failure != std::errc() || end != name.data() + name.size() ||
      index >= value.size() || value[index].is_null())
    return nullptr;
  return &value[index];
}

}  // namespace

const Json* find_field(const Json& row, std::string_view path) {
  if (path.empty()) return nullptr;
  if (const Json* whole = child(row, path)) return whole;
  const size_t dot = path.find('.');
  if (dot == std::string_view::npos) return nullptr;
  const Json* inner = child(row, path.substr(0, dot));
  return inner ? find_field(*inner, path.substr(dot + 1)) : nullptr;
}

RowCondition::RowCondition(std::string field, const std::string& value) : field_(std::move(field)) {
  const std::string_view text = value;
  const size_t dots = text.find("..");
  if (dots != std::string_view::npos) {
    low_ = number_of(text.substr(0, dots));
    high_ = number_of(text.substr(dots + 2));
    const bool ends_are_numbers =
        (low_ || dots == 0) && (high_ || dots + 2 == text.size()) && (low_ || high_);
    if (ends_are_numbers) return;
  }
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find('|', begin), text.size());
    texts_.emplace_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
}

bool RowCondition::holds(const Json& row, const std::string& where) const {
  const Json* value = find_field(row, field_);
  if (!value)
    throw Error(fmt::format("{}: \"{}\", which rows are chosen by, is missing", where, field_),
                "correct the condition behind ? in the source, or the row");
  if (!texts_.empty()) {
    const std::string text = value->is_string() ? value->get<std::string>() : dump_json(*value);
    return std::find(texts_.begin(), texts_.end(), text) != texts_.end();
  }
  const std::optional<double> number = last_number(*value);
  if (!number)
    throw Error(
        fmt::format("{}: \"{}\" is {}, no number to compare", where, field_, dump_json(*value)),
        "correct the condition behind ? in the source, or the row");
  return (!low_ || *number >= *low_) && (!high_ || *number <= *high_);
}

}  // namespace treepo
