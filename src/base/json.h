#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"  // ReadableFile

namespace treepo {

using Json = nlohmann::json;                 // keys sorted
using OrderedJson = nlohmann::ordered_json;  // keys in the order of insertion: for what people read

// `where` names the text in errors: a path, or "path, line 12". Deeper nesting than 256 is refused.
Json parse_json(std::string_view text, const std::string& where);
Json read_json_file(const std::string& path);

// On one line, without the newline. Bytes that are not UTF-8 become U+FFFD; NaN and infinity, which
// JSON lacks, become null.
std::string dump_json(const Json& value);
std::string dump_json(const OrderedJson& value);

// Reads a file (or pipe) of one JSON value for each line. Lines end at "\n" alone; blank ones are
// skipped, but counted.
class JsonLineReader {
 public:
  explicit JsonLineReader(std::string path);

  bool next(Json& value);                             // false at the end
  bool next_text();                                   // the same without reading its JSON
  int64_t line() const { return line_; }              // of the value last read, from 1
  std::string_view text() const { return text_; }     // its line as it stands, until the next
  std::string where() const;                          // "path, line 12"
  uint64_t end_of_line() const { return consumed_; }  // bytes up to and with that line's newline

 private:
  bool next_line(std::string_view& line);

  std::string path_;
  std::unique_ptr<ReadableFile> file_;
  std::string buffer_;
  size_t begin_ = 0;  // start of the next line in buffer_
  bool at_end_ = false;
  int64_t line_ = 0;
  uint64_t consumed_ = 0;
  std::string_view text_;  // in buffer_
};

// Typed access to an object's members. Errors read `WHERE: "key" …` and tell what was found there.
// get_int takes 3.0 for 3; get_double takes 3 for 3.0.
bool has_key(const Json& object, const std::string& key);  // present and not null
const Json& get_value(const Json& object, const std::string& key, const std::string& where);
const Json& get_object(const Json& object, const std::string& key, const std::string& where);
const Json& get_array(const Json& object, const std::string& key, const std::string& where);
int64_t get_int(const Json& object, const std::string& key, const std::string& where);
double get_double(const Json& object, const std::string& key, const std::string& where);
bool get_bool(const Json& object, const std::string& key, const std::string& where);
std::string get_string(const Json& object, const std::string& key, const std::string& where);
std::vector<int64_t> get_ints(const Json& object, const std::string& key, const std::string& where);
std::vector<double> get_doubles(const Json& object, const std::string& key,
                                const std::string& where);
std::vector<std::string> get_strings(const Json& object, const std::string& key,
                                     const std::string& where);

// The same where the key may be absent or null.
int64_t get_int_or(const Json& object, const std::string& key, int64_t fallback,
                   const std::string& where);
double get_double_or(const Json& object, const std::string& key, double fallback,
                     const std::string& where);
bool get_bool_or(const Json& object, const std::string& key, bool fallback,
                 const std::string& where);
std::string get_string_or(const Json& object, const std::string& key, const std::string& fallback,
                          const std::string& where);

}  // namespace treepo
