#include "data/json_array_reader.h"

#include <algorithm>

#include "base/error.h"
#include "base/files.h"

namespace treepo {

namespace {

class JsonArrayRows : public RowReader {
 public:
  explicit JsonArrayRows(const std::string& path) : path_(path), content_(read_file(path)) {
    skip_blanks();
    ++at_;  // "["
    skip_blanks();
    if (peek() == ']') close();
  }

  bool next() override {
    if (closed_) return false;
    skip_blanks();
    line_ = line_of_at_;
    const size_t begin = at_;
    skip_row();
    row_ = std::string_view(content_).substr(begin, at_ - begin);
    while (!row_.empty() && is_blank(row_.back())) row_.remove_suffix(1);
    if (peek() == ']') {
      close();
    } else {
      ++at_;  // ","
    }
    return true;
  }

  std::string_view text() const override { return row_; }
  int64_t number() const override { return line_; }
  std::string where() const override { return fmt::format("{}, line {}", path_, line_); }

 private:
  static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

  char peek() const {
    if (at_ < content_.size()) return content_[at_];
    throw Error(
        fmt::format("{}: the array is not closed; its last row begins on line {}", path_, line_),
        "a JSON array ends with ]; is the file complete?");
  }

  void step() {
    if (content_[at_] == '\n') ++line_of_at_;
    ++at_;
  }

  void skip_blanks() {
    while (at_ < content_.size() && is_blank(content_[at_])) step();
  }

  // To the comma or bracket behind the row.
  void skip_row() {
    int64_t depth = 0;
    for (bool in_string = false;; step()) {
      const char c = peek();
      if (in_string) {
        if (c == '\\') step();
        in_string = c != '"';
        if (at_ == content_.size()) peek();
        continue;
      }
      if (c == '"') in_string = true;
      if (c == '{' || c == '[') ++depth;
      if (depth == 0 && (c == ',' || c == ']')) return;
      if (c == '}' || c == ']') --depth;
    }
  }

  void close() {
    closed_ = true;
    ++at_;
    skip_blanks();
    if (at_ == content_.size()) return;
    throw Error(fmt::format("{}, line {}: something follows the array", path_, line_of_at_),
                "a JSON array is the whole file; JSON lines have one object on each");
  }

  std::string path_, content_;
  size_t at_ = 0;
  int64_t line_of_at_ = 1, line_ = 1;
  std::string_view row_;
  bool closed_ = false;
};

}  // namespace

std::unique_ptr<RowReader> open_json_array(const std::string& path) {
  return std::make_unique<JsonArrayRows>(path);
}

}  // namespace treepo
