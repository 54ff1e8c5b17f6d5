#include "data/parquet_reader.h"

#include <filesystem>
#include <vector>

#include "base/error.h"
#include "base/files.h"
#include "base/python_workers.h"

namespace treepo {

namespace {

constexpr const char* kHandler = "parquet";
constexpr int64_t kRowsAtOnce = 256;
constexpr double kSecondsAtOnce = 120;  // a row group is decoded as a whole

// Rows come in slices. One worker serves them all: it keeps the file open between requests.
class ParquetRows : public RowReader {
 public:
  explicit ParquetRows(const std::string& path)
      : path_(path),
        request_path_(std::filesystem::absolute(path).string()),
        workers_({.workers = 1, .timeout_s = kSecondsAtOnce}) {
    file_system().open_for_reading(path);  // its errors are clearer
    workers_.require(kHandler);
    fetch();
  }

  bool next() override {
    if (at_ + 1 == std::ssize(rows_)) fetch();
    if (at_ + 1 == std::ssize(rows_)) return false;
    ++at_;
    return true;
  }

  std::string_view text() const override { return rows_[static_cast<size_t>(at_)]; }
  int64_t number() const override { return first_ + at_ + 1; }
  std::string where() const override { return fmt::format("{}, row {}", path_, number()); }

 private:
  void fetch() {
    first_ += std::ssize(rows_);
    at_ = -1;
    const Json request = {{"path", request_path_}, {"first", first_}, {"count", kRowsAtOnce}};
    PythonReply reply = workers_.submit(kHandler, request).get();
    if (reply.status != PythonReply::Status::ok)
      throw Error(fmt::format("{}: can't be read as Parquet: {}", path_, reply.message),
                  reply.hint.empty() ? "is the file complete?" : reply.hint);
    rows_ = reply.value.get<std::vector<std::string>>();
  }

  std::string path_, request_path_;
  PythonWorkers workers_;
  std::vector<std::string> rows_;  // of the file's rows from first_ on
  int64_t first_ = 0, at_ = -1;
};

}  // namespace

std::unique_ptr<RowReader> open_parquet(const std::string& path) {
  return std::make_unique<ParquetRows>(path);
}

}  // namespace treepo
