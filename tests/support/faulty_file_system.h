#pragma once

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/files.h"

namespace treepo {

// Stands for the end of the process. Not derived from std::exception, so that no handler takes it
// for an error that can be handled.
struct SimulatedKill {};

// Forwards to the real file system and goes wrong when told to. Counted are the calls that change
// something on disk, from 1. How to try a kill at each of them:
//
//   for (int64_t call = 1;; ++call) {
//     FaultyFileSystem faulty;
//     faulty.kill_at(call);
//     ScopedFileSystem scope(faulty);
//     try { save(); break; } catch (const SimulatedKill&) {}
//     … look at what is left, through posix_file_system() …
//   }
class FaultyFileSystem : public FileSystem {
 public:
  // The process ends in this call: a write takes half its bytes, anything else does nothing. Every
  // later call, also from destructors, throws SimulatedKill too, so that nothing is cleaned up.
  void kill_at(int64_t call) { kill_call_ = call; }
  // With the kill, all that was not synced is lost, as when the machine loses power.
  void lose_unsynced_at_kill() { lose_unsynced_ = true; }
  // This one call fails; a write takes half its bytes before.
  void fail_at(int64_t call, int error) { first_failure_ = last_failure_ = call, error_ = error; }
  // This call and all later ones that need space (open, write, make_directories) fail: a full disk
  // with ENOSPC. Removing, truncating and renaming still work.
  void fail_from(int64_t call, int error) {
    fail_at(call, error);
    last_failure_ = std::numeric_limits<int64_t>::max();
  }
  void fail_reads(int error) { read_error_ = error; }        // every open, read and list
  void limit_writes(size_t bytes) { write_limit_ = bytes; }  // a write takes at most this many

  int64_t num_calls() const { return num_calls_; }
  bool is_killed() const { return killed_; }

  std::unique_ptr<ReadableFile> open_for_reading(const std::string& path) override {
    before_read("read", path);
    return std::make_unique<Reader>(*this, path, real_.open_for_reading(path));
  }
  std::unique_ptr<WritableFile> open_for_writing(const std::string& path, WriteMode mode) override {
    before_change("write", path, true);
    auto file = real_.open_for_writing(path, mode);
    durable_size_[path] = mode == WriteMode::append ? real_.file_size(path) : 0;
    return std::make_unique<Writer>(*this, path, std::move(file));
  }
  void rename(const std::string& from, const std::string& to) override {
    before_change("rename", to, false);
    real_.rename(from, to);
    move_durable_sizes(from, to);
  }
  void make_symbolic_link(const std::string& target, const std::string& path) override {
    before_change("make_symbolic_link", path, true);
    real_.make_symbolic_link(target, path);
  }
  void make_directories(const std::string& path) override {
    before_change("create the directory", path, true);
    real_.make_directories(path);
  }
  void remove(const std::string& path) override {
    before_change("remove", path, false);
    real_.remove(path);
    std::erase_if(durable_size_, [&](const auto& item) { return is_inside(item.first, path); });
  }
  std::vector<std::string> list(const std::string& path) override {
    before_read("list", path);
    return real_.list(path);
  }
  bool exists(const std::string& path) override {
    before_read("look up", path);
    return real_.exists(path);
  }
  bool is_directory(const std::string& path) override {
    before_read("look up", path);
    return real_.is_directory(path);
  }
  uint64_t file_size(const std::string& path) override {
    before_read("look up", path);
    return real_.file_size(path);
  }
  void truncate(const std::string& path, uint64_t size) override {
    before_change("truncate", path, false);
    real_.truncate(path, size);
    const auto durable = durable_size_.find(path);
    if (durable != durable_size_.end()) durable->second = std::min(durable->second, size);
  }
  void sync_directory(const std::string& path) override {
    before_change("sync", path, false);
    real_.sync_directory(path);
  }

 private:
  class Reader : public ReadableFile {
   public:
    Reader(FaultyFileSystem& owner, std::string path, std::unique_ptr<ReadableFile> real)
        : owner_(owner), path_(std::move(path)), real_(std::move(real)) {}
    uint64_t size() const override { return real_->size(); }
    size_t read(std::span<char> out) override {
      owner_.before_read("read", path_);
      return real_->read(out);
    }
    void read_at(uint64_t offset, std::span<char> out) const override {
      owner_.before_read("read", path_);
      real_->read_at(offset, out);
    }

   private:
    FaultyFileSystem& owner_;
    std::string path_;
    std::unique_ptr<ReadableFile> real_;
  };

  class Writer : public WritableFile {
   public:
    Writer(FaultyFileSystem& owner, std::string path, std::unique_ptr<WritableFile> real)
        : owner_(owner), path_(std::move(path)), real_(std::move(real)) {}
    size_t write(std::string_view bytes) override {
      if (owner_.goes_wrong_next(true)) real_->write(bytes.substr(0, bytes.size() / 2));
      owner_.before_change("write", path_, true);
      return real_->write(bytes.substr(0, std::min(bytes.size(), owner_.write_limit_)));
    }
    void sync() override {
      owner_.before_change("sync", path_, false);
      real_->sync();
      owner_.durable_size_[path_] = owner_.real_.file_size(path_);
    }
    void close() override {
      owner_.before_change("close", path_, false);
      real_->close();
    }

   private:
    FaultyFileSystem& owner_;
    std::string path_;
    std::unique_ptr<WritableFile> real_;
  };

  static bool is_inside(const std::string& path, const std::string& directory) {
    return path == directory || path.rfind(directory + "/", 0) == 0;
  }

  void move_durable_sizes(const std::string& from, const std::string& to) {
    std::map<std::string, uint64_t> moved;
    for (const auto& [path, size] : durable_size_) {
      if (is_inside(path, to)) continue;  // replaced
      moved[is_inside(path, from) ? to + path.substr(from.size()) : path] = size;
    }
    durable_size_ = std::move(moved);
  }

  bool goes_wrong_next(bool needs_space) const {
    const int64_t call = num_calls_ + 1;
    const bool fails =
        first_failure_ <= call && call <= last_failure_ && (needs_space || call == first_failure_);
    return !killed_ && (call == kill_call_ || fails);
  }

  void before_read(std::string_view operation, const std::string& path) {
    if (killed_) throw SimulatedKill();
    if (read_error_ != 0) throw_file_error(operation, path, read_error_);
  }

  void before_change(std::string_view operation, const std::string& path, bool needs_space) {
    if (killed_) throw SimulatedKill();
    const bool wrong = goes_wrong_next(needs_space);
    if (++num_calls_ == kill_call_) {
      killed_ = true;
      if (lose_unsynced_) lose_unsynced();
      throw SimulatedKill();
    }
    if (wrong) throw_file_error(operation, path, error_);
  }

  void lose_unsynced() {
    for (const auto& [path, size] : durable_size_)
      if (real_.exists(path) && real_.file_size(path) > size) real_.truncate(path, size);
  }

  FileSystem& real_ = posix_file_system();
  int64_t num_calls_ = 0, kill_call_ = 0;
  int64_t first_failure_ = 0, last_failure_ = -1;
  int error_ = 0, read_error_ = 0;
  size_t write_limit_ = std::numeric_limits<size_t>::max();
  bool killed_ = false, lose_unsynced_ = false;
  std::map<std::string, uint64_t> durable_size_;  // bytes of each written file that are on disk
};

}  // namespace treepo
