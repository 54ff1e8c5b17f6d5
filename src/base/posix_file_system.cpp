#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <utility>

#include "base/files.h"

namespace treepo {

namespace {

namespace fs = std::filesystem;

// Calls again when a signal interrupted it.
template <typename Call>
auto retry(Call call) {
  auto result = call();
  while (result == -1 && errno == EINTR) result = call();
  return result;
}

// An open file descriptor, closed at the end of its life.
class Descriptor {
 public:
  Descriptor(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int fd() const { return fd_; }
  const std::string& path() const { return path_; }

  void sync() const {
    // EINVAL, EROFS and ENOTSUP: a pipe, a device or a file system that has nothing to sync.
    if (retry([&] { return ::fsync(fd_); }) == 0 || errno == EINVAL || errno == ENOTSUP) return;
    throw_file_error("sync", path_, errno);
  }

  void close() {
    // Never called again after EINTR: the descriptor is gone then, too.
    if (::close(std::exchange(fd_, -1)) != 0 && errno != EINTR)
      throw_file_error("close", path_, errno);
  }

 private:
  int fd_;
  std::string path_;
};

int open_or_throw(const std::string& path, int flags, std::string_view operation) {
  const int fd = retry([&] { return ::open(path.c_str(), flags | O_CLOEXEC, 0666); });
  if (fd < 0) throw_file_error(operation, path, errno);
  return fd;
}

class PosixReadableFile : public ReadableFile {
 public:
  explicit PosixReadableFile(const std::string& path)
      : file_(open_or_throw(path, O_RDONLY, "read"), path) {
    struct stat status = {};
    if (::fstat(file_.fd(), &status) != 0) throw_file_error("read", path, errno);
    if (S_ISDIR(status.st_mode)) throw_file_error("read", path, EISDIR);
    size_ = S_ISREG(status.st_mode) ? static_cast<uint64_t>(status.st_size) : 0;
  }

  uint64_t size() const override { return size_; }

  size_t read(std::span<char> out) override {
    const ssize_t count = retry([&] { return ::read(file_.fd(), out.data(), out.size()); });
    if (count < 0) throw_file_error("read", file_.path(), errno);
    return static_cast<size_t>(count);
  }

  void read_at(uint64_t offset, std::span<char> out) const override {
    while (!out.empty()) {
      const ssize_t count = retry(
          [&] { return ::pread(file_.fd(), out.data(), out.size(), static_cast<off_t>(offset)); });
      if (count < 0) throw_file_error("read", file_.path(), errno);
      if (count == 0) {
        throw Error(fmt::format("{} ends at byte {}, where {} more were expected", file_.path(),
                                offset, out.size()),
                    "the file is cut off: copy or download it again");
      }
      out = out.subspan(static_cast<size_t>(count));
      offset += static_cast<uint64_t>(count);
    }
  }

 private:
  Descriptor file_;
  uint64_t size_ = 0;
};

class PosixWritableFile : public WritableFile {
 public:
  PosixWritableFile(const std::string& path, WriteMode mode)
      : file_(open_or_throw(path,
                            O_WRONLY | O_CREAT | (mode == WriteMode::append ? O_APPEND : O_TRUNC),
                            "write"),
              path) {}

  size_t write(std::string_view bytes) override {
    const ssize_t count = retry([&] { return ::write(file_.fd(), bytes.data(), bytes.size()); });
    if (count < 0) throw_file_error("write", file_.path(), errno);
    return static_cast<size_t>(count);
  }

  void sync() override { file_.sync(); }
  void close() override { file_.close(); }

 private:
  Descriptor file_;
};

void throw_if(const std::error_code& error, std::string_view operation, const std::string& path) {
  if (error) throw_file_error(operation, path, error.value());
}

class PosixFileSystem : public FileSystem {
 public:
  std::unique_ptr<ReadableFile> open_for_reading(const std::string& path) override {
    return std::make_unique<PosixReadableFile>(path);
  }

  std::unique_ptr<WritableFile> open_for_writing(const std::string& path, WriteMode mode) override {
    return std::make_unique<PosixWritableFile>(path, mode);
  }

  void rename(const std::string& from, const std::string& to) override {
    std::error_code error;
    fs::rename(from, to, error);
    throw_if(error, fmt::format("rename {} to", from), to);
  }
  void make_symbolic_link(const std::string& target, const std::string& path) override {
    std::error_code error;
    fs::create_symlink(target, path, error);
    throw_if(error, "make link", path);
  }

  void make_directories(const std::string& path) override {
    std::error_code error;
    fs::create_directories(path, error);
    // A trailing slash or an existing link to a directory is no error.
    if (error && fs::is_directory(path)) return;
    throw_if(error, "create the directory", path);
  }

  void remove(const std::string& path) override {
    std::error_code error;
    fs::remove_all(path, error);
    throw_if(error, "remove", path);
  }

  std::vector<std::string> list(const std::string& path) override {
    std::error_code error;
    std::vector<std::string> names;
    fs::directory_iterator entry(path, error);
    for (; !error && entry != fs::directory_iterator(); entry.increment(error))
      names.push_back(entry->path().filename().string());
    throw_if(error, "list", path);
    std::sort(names.begin(), names.end());
    return names;
  }

  bool exists(const std::string& path) override {
    std::error_code error;
    const bool found = fs::exists(path, error);
    throw_if(error, "look up", path);
    return found;
  }

  bool is_directory(const std::string& path) override {
    std::error_code error;
    return fs::is_directory(path, error);
  }

  uint64_t file_size(const std::string& path) override {
    struct stat status = {};
    if (::stat(path.c_str(), &status) != 0) throw_file_error("look up", path, errno);
    return S_ISREG(status.st_mode) ? static_cast<uint64_t>(status.st_size) : 0;
  }

  void truncate(const std::string& path, uint64_t size) override {
    if (retry([&] { return ::truncate(path.c_str(), static_cast<off_t>(size)); }) != 0)
      throw_file_error("truncate", path, errno);
  }

  void sync_directory(const std::string& path) override {
    Descriptor(open_or_throw(path, O_RDONLY | O_DIRECTORY, "sync"), path).sync();
  }
};

}  // namespace

FileSystem& posix_file_system() {
  static PosixFileSystem instance;
  return instance;
}

}  // namespace treepo
