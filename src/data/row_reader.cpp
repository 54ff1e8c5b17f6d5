#include "data/row_reader.h"

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "data/json_array_reader.h"
#include "data/parquet_reader.h"

namespace treepo {

namespace {

class JsonLineRows : public RowReader {
 public:
  explicit JsonLineRows(const std::string& path) : reader_(path) {}

  bool next() override { return reader_.next_text(); }
  std::string_view text() const override { return reader_.text(); }
  int64_t number() const override { return reader_.line(); }
  std::string where() const override { return reader_.where(); }

 private:
  JsonLineReader reader_;
};

bool begins_with_bracket(const std::string& path) {
  if (file_system().file_size(path) == 0) return false;  // a pipe gives its bytes once only
  const std::unique_ptr<ReadableFile> file = file_system().open_for_reading(path);
  for (uint64_t at = 0; at < file->size(); ++at) {
    char c = 0;
    file->read_at(at, std::span(&c, 1));
    if (c != ' ' && c != '\t' && c != '\r' && c != '\n') return c == '[';
  }
  return false;
}

}  // namespace

std::unique_ptr<RowReader> open_rows(const std::string& path) {
  if (file_system().is_directory(path))
    throw Error(path + " is a folder, where a file of rows was expected",
                "name a file in it: JSON lines, a JSON array or Parquet");
  if (path.ends_with(".parquet")) return open_parquet(path);
  if (begins_with_bracket(path)) return open_json_array(path);
  return std::make_unique<JsonLineRows>(path);
}

}  // namespace treepo
