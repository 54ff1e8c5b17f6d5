#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace treepo {

// Every read and write of treepo goes through one replaceable FileSystem, so that tests can put a
// full disk, a read-only one, a short write or a kill at each call
// (tests/support/faulty_file_system.h).

// An operation on a file that the system refused. what() names operation, path and reason.
class FileError : public Error {
 public:
  FileError(const std::string& message, const std::string& hint, int error_number)
      : Error(message, hint), error_number_(error_number) {}

  int error_number() const { return error_number_; }  // errno value, e.g. ENOSPC

 private:
  int error_number_;
};

// Throws FileError "cannot OPERATION PATH: REASON" with what to do about it.
[[noreturn]] void throw_file_error(std::string_view operation, const std::string& path,
                                   int error_number);

class ReadableFile {
 public:
  virtual ~ReadableFile() = default;
  virtual uint64_t size() const = 0;  // 0 for pipes
  // Next bytes in order, at least one; 0 only at the end. Works on pipes.
  virtual size_t read(std::span<char> out) = 0;
  // Fills `out` from this byte on; throws Error when the file ends before. Any thread may call it.
  virtual void read_at(uint64_t offset, std::span<char> out) const = 0;
};

class WritableFile {
 public:
  virtual ~WritableFile() = default;                 // closes without sync
  virtual size_t write(std::string_view bytes) = 0;  // returns how many were taken, at least 1
  virtual void sync() = 0;                           // to the disk
  virtual void close() = 0;
};

enum class WriteMode { truncate, append };

// All paths are UTF-8, relative to the working directory or absolute. Everything throws FileError.
class FileSystem {
 public:
  virtual ~FileSystem() = default;
  virtual std::unique_ptr<ReadableFile> open_for_reading(const std::string& path) = 0;
  virtual std::unique_ptr<WritableFile> open_for_writing(const std::string& path,
                                                         WriteMode mode) = 0;
  virtual void rename(const std::string& from, const std::string& to) = 0;  // replaces a file `to`
  // `path` becomes a link to `target`, which is relative to the folder of `path`.
  virtual void make_symbolic_link(const std::string& target, const std::string& path) = 0;
  virtual void make_directories(const std::string& path) = 0;  // with parents
  virtual void remove(const std::string& path) = 0;  // file or whole directory; absent: nothing
  virtual std::vector<std::string> list(const std::string& path) = 0;  // names inside, sorted
  virtual bool exists(const std::string& path) = 0;
  virtual bool is_directory(const std::string& path) = 0;
  virtual uint64_t file_size(const std::string& path) = 0;  // bytes
  virtual void truncate(const std::string& path, uint64_t size) = 0;
  virtual void sync_directory(const std::string& path) = 0;  // makes renames in it durable
};

FileSystem& posix_file_system();
FileSystem& file_system();  // the one in use: POSIX, unless a ScopedFileSystem is alive

// Puts another file system in place for a scope. For tests: not meant to change under running
// threads.
class ScopedFileSystem {
 public:
  explicit ScopedFileSystem(FileSystem& replacement);
  ~ScopedFileSystem();
  ScopedFileSystem(const ScopedFileSystem&) = delete;
  ScopedFileSystem& operator=(const ScopedFileSystem&) = delete;

 private:
  FileSystem* previous_;
};

std::string parent_directory(const std::string& path);  // "a/b" -> "a", "b" -> "."
std::string join_path(const std::string& directory, const std::string& name);

std::string read_file(const std::string& path);

// `path` holds either its old or its new content at any moment, also after a kill or power loss.
void write_file_atomically(const std::string& path, std::string_view bytes);

// Buffered sequential writer. Nothing is certain until finish() returns: a writer that is destroyed
// before has failed (or the process is unwinding), and its atomic file never appears.
class OutputFile {
 public:
  enum class Mode {
    direct,  // writes to `path` itself: pipes, or files inside a directory that is renamed later
    atomic,  // writes to `path`.tmp; finish() renames
  };

  OutputFile(std::string path, Mode mode);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void write(std::string_view bytes);
  void flush();   // hands the buffer to the system
  void finish();  // flush, sync, close, and the rename of an atomic file; once
  uint64_t position() const { return position_; }  // bytes written so far
  const std::string& path() const { return path_; }

 private:
  std::string path_, written_path_;
  Mode mode_;
  std::unique_ptr<WritableFile> file_;
  std::string buffer_;
  uint64_t position_ = 0;
};

// A log of lines. Each append reaches the system before it returns; one that fails (a full disk) is
// taken back, so that half a record never sits in the middle of the file.
class AppendFile {
 public:
  explicit AppendFile(std::string path);  // opens or creates

  void append(std::string_view bytes);
  void sync();                   // to the disk
  void truncate(uint64_t size);  // size at most size()
  uint64_t size() const { return size_; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  std::unique_ptr<WritableFile> file_;
  uint64_t size_ = 0;
};

}  // namespace treepo
