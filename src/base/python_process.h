#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace treepo {

// A file descriptor that is closed at the end of its life.
class OwnedDescriptor {
 public:
  explicit OwnedDescriptor(int fd = -1) : fd_(fd) {}
  ~OwnedDescriptor() { reset(); }
  OwnedDescriptor(const OwnedDescriptor&) = delete;
  OwnedDescriptor& operator=(const OwnedDescriptor&) = delete;

  int fd() const { return fd_; }  // -1: none
  void reset(int fd = -1);

 private:
  int fd_;
};

// One worker process, python/worker.py, in a process group of its own. Lines go in and come out
// through pipes; what it prints is kept for error messages. It dies with the thread that started
// it, and that thread alone may use it. The thread must block SIGPIPE.
class PythonProcess {
 public:
  enum class Outcome { reply, timed_out, died, interrupted };
  struct Exchange {
    Outcome outcome = Outcome::reply;
    std::string text;  // the reply's line; for `died` how it ended, with the last lines it printed
  };

  // Waits until it is ready. Throws Error where the interpreter can't be run. memory_mib: address
  // space it may have, 0: any. interrupt_fd: becomes readable when the wait must end.
  PythonProcess(const std::string& python, int64_t memory_mib, int interrupt_fd);
  ~PythonProcess();  // kills the group and reaps the process
  PythonProcess(const PythonProcess&) = delete;
  PythonProcess& operator=(const PythonProcess&) = delete;

  // Sends one line and waits for one. After any outcome but `reply` the process is of no use.
  Exchange exchange(std::string request, double timeout_s);

  bool has_exited() const;

 private:
  void spawn(const std::string& python);
  void wait_until_ready(const std::string& python, int64_t memory_mib);
  bool wait_for_events(std::string_view& unsent, double seconds);  // false: interrupted
  void read_reply();
  void read_printed();
  bool take_line(std::string& line);
  std::string end_and_describe();
  std::string last_lines() const;
  int kill_and_reap();  // its status as waitpid gives it

  pid_t pid_ = -1;
  int interrupt_fd_;
  OwnedDescriptor requests_, replies_, printed_;  // our ends of its stdin, stdout and stderr
  std::string reply_;                             // what has arrived of the reply
  size_t searched_ = 0;                           // bytes of reply_ that hold no newline
  std::string tail_;                              // end of what it printed during this exchange
  bool ended_ = false;                            // its end of the replies is closed
};

}  // namespace treepo
