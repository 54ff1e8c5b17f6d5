#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace treepo {

// The rows of a file as JSON texts, one after another, whatever form the file has:
//   *.parquet         Parquet, read by pyarrow in a Python worker
//   begins with "["   a JSON array of rows; read into memory as a whole
//   anything else     JSON lines; blank ones are skipped, but counted; pipes too
// A row's text is not checked here: whether one broken row ends the reading is the caller's choice.
class RowReader {
 public:
  virtual ~RowReader() = default;

  // False at the end. Throws Error where the file as a whole can't be read on.
  virtual bool next() = 0;

  // Of the row that next() has reached, until the next call.
  virtual std::string_view text() const = 0;
  virtual int64_t number() const = 0;     // its line, from 1; of Parquet files the row
  virtual std::string where() const = 0;  // "train.jsonl, line 12", "train.parquet, row 12"
};

// Throws Error for a folder, and whatever is wrong with opening a file.
std::unique_ptr<RowReader> open_rows(const std::string& path);

}  // namespace treepo
