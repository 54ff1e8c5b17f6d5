#include "base/files.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

namespace treepo {

namespace {

constexpr size_t kBufferBytes = size_t{1} << 20;

FileSystem* g_file_system = nullptr;  // null: POSIX

std::string hint_for(int error_number) {
  switch (error_number) {
    case ENOSPC:
    case EDQUOT:
      return "free space on the disk that holds it, or choose a directory on another one";
    case EACCES:
    case EPERM:
      return "check the owner and permissions of it and of the directories above it, or choose "
             "another path";
    case EROFS:
      return "that disk is mounted read-only: choose a path on another one";
    case ENOENT:
      return "check the path for a mistake; relative paths start at the working directory";
    case EISDIR:
      return "give a file, not a directory";
    case ENOTDIR:
    case EEXIST:
    case ENOTEMPTY:
      return "something of another kind is in the way: remove it or choose another path";
    case EMFILE:
    case ENFILE:
      return "raise the limit on open files (ulimit -n)";
    case EIO:
      return "the disk or network share reports a fault: check its health";
    default:
      return "";
  }
}

void write_all(WritableFile& file, std::string_view bytes) {
  while (!bytes.empty()) bytes.remove_prefix(file.write(bytes));
}

// A rename would put a file in the place of /dev/null, a pipe or a link: those are written
// directly. So are directories, where the error then comes at once and not at the end.
OutputFile::Mode mode_for(const std::string& path, OutputFile::Mode wanted) {
  using enum std::filesystem::file_type;
  std::error_code ignored;
  const auto type = std::filesystem::symlink_status(path, ignored).type();
  return type == regular || type == not_found || type == none ? wanted : OutputFile::Mode::direct;
}

}  // namespace

void throw_file_error(std::string_view operation, const std::string& path, int error_number) {
  throw FileError(fmt::format("cannot {} {}: {}", operation, path, std::strerror(error_number)),
                  hint_for(error_number), error_number);
}

FileSystem& file_system() {
  return g_file_system ? *g_file_system : posix_file_system();
}

ScopedFileSystem::ScopedFileSystem(FileSystem& replacement)
    : previous_(std::exchange(g_file_system, &replacement)) {}

ScopedFileSystem::~ScopedFileSystem() {
  g_file_system = previous_;
}

std::string parent_directory(const std::string& path) {
  const std::string parent = std::filesystem::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

std::string join_path(const std::string& directory, const std::string& name) {
  return (std::filesystem::path(directory) / name).string();
}

std::string read_file(const std::string& path) {
  const auto file = file_system().open_for_reading(path);
  std::string bytes;
  // One byte more than the size, so that the end is seen without growing the buffer.
  bytes.resize(file->size() + 1);
  size_t used = 0;
  while (const size_t count = file->read(std::span(bytes).subspan(used))) {
    used += count;
    if (used == bytes.size()) bytes.resize(2 * bytes.size());
  }
  bytes.resize(used);
  return bytes;
}

void write_file_atomically(const std::string& path, std::string_view bytes) {
  OutputFile file(path, OutputFile::Mode::atomic);
  file.write(bytes);
  file.finish();
}

OutputFile::OutputFile(std::string path, Mode mode)
    : path_(std::move(path)),
      written_path_(mode_for(path_, mode) == Mode::atomic ? path_ + ".tmp" : path_),
      mode_(written_path_ == path_ ? Mode::direct : Mode::atomic),
      file_(file_system().open_for_writing(written_path_, WriteMode::truncate)) {}

OutputFile::~OutputFile() {
  if (!file_) return;
  try {
    file_.reset();
    if (mode_ == Mode::atomic) file_system().remove(written_path_);
  } catch (...) {  // already failing: what is left is a .tmp file that the next write replaces
  }
}

void OutputFile::write(std::string_view bytes) {
  TREEPO_CHECK(file_, "{} is finished", path_);
  position_ += bytes.size();
  if (buffer_.size() + bytes.size() > kBufferBytes) flush();
  if (bytes.size() >= kBufferBytes) {
    write_all(*file_, bytes);
  } else {
    buffer_.append(bytes);
  }
}

void OutputFile::flush() {
  TREEPO_CHECK(file_, "{} is finished", path_);
  write_all(*file_, buffer_);
  buffer_.clear();
}

void OutputFile::finish() {
  flush();
  file_->sync();
  file_->close();
  if (mode_ == Mode::atomic) {
    file_system().rename(written_path_, path_);
    file_system().sync_directory(parent_directory(path_));
  }
  file_.reset();
}

AppendFile::AppendFile(std::string path)
    : path_(std::move(path)),
      file_(file_system().open_for_writing(path_, WriteMode::append)),
      size_(file_system().file_size(path_)) {}

void AppendFile::append(std::string_view bytes) {
  try {
    write_all(*file_, bytes);
  } catch (const FileError&) {
    try {
      file_system().truncate(path_, size_);
    } catch (const FileError&) {  // a pipe, or a disk in trouble: the first error tells more
    }
    throw;
  }
  size_ += bytes.size();
}

void AppendFile::sync() {
  file_->sync();
}

void AppendFile::truncate(uint64_t size) {
  TREEPO_CHECK(size <= size_, "truncating {} of {} bytes to {}", path_, size_, size);
  file_system().truncate(path_, size);
  size_ = size;
}

}  // namespace treepo
