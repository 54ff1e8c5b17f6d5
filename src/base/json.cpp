#include "base/json.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace treepo {

namespace {

constexpr int kMaxDepth = 256;  // printing and copying recurse: bounds the stack they take
constexpr size_t kChunkBytes = size_t{1} << 16;

// Byte of the first bracket that opens level kMaxDepth + 1; npos if there is none.
size_t too_deep_at(std::string_view text) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kMaxDepth) return i;
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return std::string_view::npos;
}

// "line 3, column 7" of a byte; the line is left out where the text has only one.
std::string position_in(std::string_view text, size_t byte) {
  const std::string_view before = text.substr(0, std::min(byte, text.size()));
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const size_t start = before.rfind('\n') + 1;  // npos + 1 = 0
  const bool one_line = text.find('\n') == std::string_view::npos;
  return one_line ? fmt::format("column {}", byte - start + 1)
                  : fmt::format("line {}, column {}", line, byte - start + 1);
}

bool is_blank(std::string_view line) {
  return line.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

// What a value is, in words, for errors: `the string "abc"`, `an array of 3`.
std::string describe(const Json& value) {
  switch (value.type()) {
    case Json::value_t::null:
      return "null";
    case Json::value_t::object:
      return fmt::format("an object of {} members", value.size());
    case Json::value_t::array:
      return fmt::format("an array of {}", value.size());
    case Json::value_t::string: {
      const auto& text = value.get_ref<const std::string&>();
      return text.size() <= 40 ? fmt::format("the string {}", dump_json(value))
                               : fmt::format("a string of {} bytes", text.size());
    }
    default:
      return dump_json(value);
  }
}

[[noreturn]] void throw_wrong_type(const std::string& where, const std::string& key,
                                   std::string_view wanted, const Json& found) {
  throw Error(fmt::format("{}: \"{}\" must be {}, but is {}", where, key, wanted, describe(found)));
}

bool to_int(const Json& value, int64_t& out) {
  if (value.is_number_unsigned()) {
    const auto number = value.get<uint64_t>();
    out = static_cast<int64_t>(number);
    return number <= static_cast<uint64_t>(INT64_MAX);
  }
  if (value.is_number_integer()) {
    out = value.get<int64_t>();
    return true;
  }
  if (!value.is_number_float()) return false;
  const double number = value.get<double>();
  if (std::trunc(number) != number || std::abs(number) > 0x1.0p53) return false;
  out = static_cast<int64_t>(number);
  return true;
}

// Converts each element of object[key]; `convert` returns false for a wrong type.
template <typename T, typename Convert>
std::vector<T> get_list(const Json& object, const std::string& key, const std::string& where,
                        std::string_view wanted, Convert convert) {
  const Json& array = get_array(object, key, where);
  std::vector<T> out(array.size());
  for (size_t i = 0; i < array.size(); ++i) {
    T value{};
    if (!convert(array[i], value)) {
      throw Error(fmt::format("{}: \"{}\"[{}] must be {}, but is {}", where, key, i, wanted,
                              describe(array[i])));
    }
    out[i] = std::move(value);
  }
  return out;
}

}  // namespace

Json parse_json(std::string_view text, const std::string& where) {
  if (is_blank(text)) throw Error(where + ": empty, where a JSON value was expected");
  if (const size_t byte = too_deep_at(text); byte != std::string_view::npos) {
    throw Error(fmt::format("{}: {}: JSON nested deeper than {} levels", where,
                            position_in(text, byte), kMaxDepth));
  }
  try {
    return Json::parse(text);
  } catch (const Json::parse_error& error) {
    // The library's text is "[json.exception…] parse error at line 1, column 2: REASON".
    const std::string_view message = error.what();
    const size_t reason = message.find(": ");
    throw Error(fmt::format(
        "{}: {}: not valid JSON: {}", where, position_in(text, error.byte > 0 ? error.byte - 1 : 0),
        reason == std::string_view::npos ? message : message.substr(reason + 2)));
  } catch (const Json::out_of_range& error) {
    throw Error(fmt::format("{}: not valid JSON: {}", where, error.what()));
  }
}

Json read_json_file(const std::string& path) {
  return parse_json(read_file(path), path);
}

std::string dump_json(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string dump_json(const OrderedJson& value) {
  return value.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

JsonLineReader::JsonLineReader(std::string path)
    : path_(std::move(path)), file_(file_system().open_for_reading(path_)) {}

std::string JsonLineReader::where() const {
  return fmt::format("{}, line {}", path_, line_);
}

bool JsonLineReader::next_line(std::string_view& line) {
  size_t searched = begin_;
  while (true) {
    const size_t newline = buffer_.find('\n', searched);
    if (newline != std::string::npos || (at_end_ && begin_ < buffer_.size())) {
      const size_t end = newline == std::string::npos ? buffer_.size() : newline;
      line = std::string_view(buffer_).substr(begin_, end - begin_);
      const size_t next = std::min(end + 1, buffer_.size());
      consumed_ += next - begin_;
      begin_ = next;
      ++line_;
      return true;
    }
    if (at_end_) return false;
    buffer_.erase(0, begin_);
    begin_ = 0;
    searched = buffer_.size();
    buffer_.resize(searched + std::max(kChunkBytes, searched));  // doubles on a very long line
    const size_t count = file_->read(std::span(buffer_).subspan(searched));
    buffer_.resize(searched + count);
    at_end_ = count == 0;
  }
}

bool JsonLineReader::next_text() {
  while (next_line(text_)) {
    if (!is_blank(text_)) return true;
  }
  return false;
}

bool JsonLineReader::next(Json& value) {
  if (!next_text()) return false;
  value = parse_json(text_, where());
  return true;
}

bool has_key(const Json& object, const std::string& key) {
  const auto found = object.find(key);
  return found != object.end() && !found->is_null();
}

const Json& get_value(const Json& object, const std::string& key, const std::string& where) {
  if (!object.is_object()) {
    throw Error(fmt::format("{}: an object with \"{}\" was expected, but this is {}", where, key,
                            describe(object)));
  }
  const auto found = object.find(key);
  if (found == object.end()) throw Error(fmt::format("{}: \"{}\" is missing", where, key));
  return *found;
}

const Json& get_object(const Json& object, const std::string& key, const std::string& where) {
  const Json& value = get_value(object, key, where);
  if (!value.is_object()) throw_wrong_type(where, key, "an object", value);
  return value;
}

const Json& get_array(const Json& object, const std::string& key, const std::string& where) {
  const Json& value = get_value(object, key, where);
  if (!value.is_array()) throw_wrong_type(where, key, "an array", value);
  return value;
}

int64_t get_int(const Json& object, const std::string& key, const std::string& where) {
  const Json& value = get_value(object, key, where);
  int64_t out = 0;
  if (!to_int(value, out)) throw_wrong_type(where, key, "an integer", value);
  return out;
}

double get_double(const Json& object, const std::string& key, const std::string& where) {
  const Json& value = get_value(object, key, where);
  if (!value.is_number()) throw_wrong_type(where, key, "a number", value);
  return value.get<double>();
}

bool get_bool(const Json& object, const std::string& key, const std::string& where) {
  const Json& value = get_value(object, key, where);
  if (!value.is_boolean()) throw_wrong_type(where, key, "true or false", value);
  return value.get<bool>();
}

std::string get_string(const Json& object, const std::string& key, const std::string& where) {
  const Json& value = get_value(object, key, where);
  if (!value.is_string()) throw_wrong_type(where, key, "a string", value);
  return value.get<std::string>();
}

std::vector<int64_t> get_ints(const Json& object, const std::string& key,
                              const std::string& where) {
  return get_list<int64_t>(object, key, where, "an integer", to_int);
}

std::vector<double> get_doubles(const Json& object, const std::string& key,
                                const std::string& where) {
  return get_list<double>(object, key, where, "a number", [](const Json& value, double& out) {
    if (value.is_number()) out = value.get<double>();
    return value.is_number();
  });
}

std::vector<std::string> get_strings(const Json& object, const std::string& key,
                                     const std::string& where) {
  return get_list<std::string>(object, key, where, "a string",
                               [](const Json& value, std::string& out) {
                                 if (value.is_string()) out = value.get<std::string>();
                                 return value.is_string();
                               });
}

int64_t get_int_or(const Json& object, const std::string& key, int64_t fallback,
                   const std::string& where) {
  return has_key(object, key) ? get_int(object, key, where) : fallback;
}

double get_double_or(const Json& object, const std::string& key, double fallback,
                     const std::string& where) {
  return has_key(object, key) ? get_double(object, key, where) : fallback;
}

bool get_bool_or(const Json& object, const std::string& key, bool fallback,
                 const std::string& where) {
  return has_key(object, key) ? get_bool(object, key, where) : fallback;
}

std::string get_string_or(const Json& object, const std::string& key, const std::string& fallback,
                          const std::string& where) {
  return has_key(object, key) ? get_string(object, key, where) : fallback;
}

}  // namespace treepo
