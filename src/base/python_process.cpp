#include "base/python_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "base/python_modules.h"
#include "base/timer.h"  // monotonic_seconds

extern char** environ;

namespace treepo {

namespace {

constexpr double kStartSeconds = 120;      // a loaded machine, a cold disk
constexpr double kLongestWait = 0.1;       // between two looks at whether the process is alive
constexpr double kExitSeconds = 1;         // from its last word to its exit
constexpr size_t kLargestReply = 1 << 28;  // bytes
constexpr size_t kTailBytes = 4096, kTailLines = 5;

struct Pipe {
  OwnedDescriptor read, write;
};

// Above the standard descriptors, so that the child can have these moved there.
int lifted(int fd) {
  const int high = ::fcntl(fd, F_DUPFD_CLOEXEC, 10);
  ::close(fd);
  if (high < 0) throw Error(fmt::format("no more files can be opened: {}", std::strerror(errno)));
  return high;
}

void open_pipe(Pipe& pipe) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0)
    throw Error(fmt::format("no pipe to a Python worker: {}", std::strerror(errno)),
                "raise the limit on open files (ulimit -n)");
  pipe.read.reset(lifted(ends[0]));
  pipe.write.reset(lifted(ends[1]));
}

void set_nonblocking(int fd) {
  ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
}

std::string_view module_source(std::string_view name) {
  for (const PythonModule& module : python_modules())
    if (module.name == name) return module.source;
  TREEPO_CHECK(false, "python/{}.py is not in the program", name);
  return {};
}

std::string setup_line(int64_t memory_mib) {
  Json modules = Json::object();
  for (const PythonModule& module : python_modules()) modules[module.name] = module.source;
  return dump_json(Json{{"parent", ::getpid()}, {"memory_mib", memory_mib}, {"modules", modules}});
}

// What posix_spawn does in the child before it runs the interpreter: a process group of its own,
// standard input, output and error from the pipes, no blocked or ignored signals.
struct SpawnPlan {
  SpawnPlan(int in, int out, int error) {
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions, error, STDERR_FILENO);
    ::posix_spawnattr_init(&attributes);
    sigset_t none, all;
    ::sigemptyset(&none);
    ::sigfillset(&all);
    ::posix_spawnattr_setsigmask(&attributes, &none);
    ::posix_spawnattr_setsigdefault(&attributes, &all);
    ::posix_spawnattr_setpgroup(&attributes, 0);
    ::posix_spawnattr_setflags(
        &attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  }
  ~SpawnPlan() {
    ::posix_spawn_file_actions_destroy(&actions);
    ::posix_spawnattr_destroy(&attributes);
  }
  SpawnPlan(const SpawnPlan&) = delete;
  SpawnPlan& operator=(const SpawnPlan&) = delete;

  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
};

std::string describe_status(int status) {
  if (WIFEXITED(status)) return fmt::format("ended with status {}", WEXITSTATUS(status));
  const int signal = WTERMSIG(status);
  const char* cause = signal == SIGKILL ? ", from outside or for want of memory" : "";
  return fmt::format("was killed by signal {} ({}{})", signal, ::strsignal(signal), cause);
}

// Reads what there is, at most `most` bytes at once; false at the end of the stream.
bool read_some(int fd, std::string& out, size_t most = 1 << 16) {
  const size_t old = out.size();
  out.resize(old + most);
  const ssize_t got = ::read(fd, out.data() + old, most);
  out.resize(old + static_cast<size_t>(std::max<ssize_t>(got, 0)));
  return got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR));
}

}  // namespace

void OwnedDescriptor::reset(int fd) {
  if (fd_ >= 0) ::close(fd_);
  fd_ = fd;
}

PythonProcess::PythonProcess(const std::string& python, int64_t memory_mib, int interrupt_fd)
    : interrupt_fd_(interrupt_fd) {
  spawn(python);
  try {
    wait_until_ready(python, memory_mib);
  } catch (...) {
    kill_and_reap();
    throw;
  }
}

PythonProcess::~PythonProcess() {
  kill_and_reap();
}

void PythonProcess::spawn(const std::string& python) {
  Pipe in, out, error;
  for (Pipe* pipe : {&in, &out, &error}) open_pipe(*pipe);
  const SpawnPlan plan(in.read.fd(), out.write.fd(), error.write.fd());
  std::string program = python, option = "-c", source(module_source("worker"));
  char* arguments[] = {program.data(), option.data(), source.data(), nullptr};
  const int failure =
      ::posix_spawnp(&pid_, python.c_str(), &plan.actions, &plan.attributes, arguments, environ);
  if (failure != 0) {
    pid_ = -1;
    throw Error(
        fmt::format("the Python worker can't start: {}: {}", python, std::strerror(failure)),
        "set TREEPO_PYTHON to a Python 3.10 or newer, or run scripts/bootstrap --workers");
  }
  requests_.reset(::fcntl(in.write.fd(), F_DUPFD_CLOEXEC, 10));
  replies_.reset(::fcntl(out.read.fd(), F_DUPFD_CLOEXEC, 10));
  printed_.reset(::fcntl(error.read.fd(), F_DUPFD_CLOEXEC, 10));
  for (const int fd : {requests_.fd(), replies_.fd(), printed_.fd()}) set_nonblocking(fd);
}

void PythonProcess::wait_until_ready(const std::string& python, int64_t memory_mib) {
  const Exchange first = exchange(setup_line(memory_mib), kStartSeconds);
  if (first.outcome == Outcome::reply || first.outcome == Outcome::interrupted) return;
  const std::string what = first.outcome == Outcome::timed_out
                               ? fmt::format("was not ready after {} s", kStartSeconds)
                               : first.text;
  throw Error(fmt::format("the Python worker can't start: {} {}", python, what),
              "set TREEPO_PYTHON to a Python 3.10 or newer, or run scripts/bootstrap --workers");
}

PythonProcess::Exchange PythonProcess::exchange(std::string request, double timeout_s) {
  request.push_back('\n');
  std::string_view unsent = request;
  reply_.clear();
  searched_ = 0;
  tail_.clear();
  const double deadline = monotonic_seconds() + timeout_s;
  Exchange result;
  while (!take_line(result.text)) {
    const double left = deadline - monotonic_seconds();
    if (left <= 0) return {Outcome::timed_out, last_lines()};
    if (reply_.size() > kLargestReply)
      return {Outcome::died, fmt::format("answered more than {} bytes", kLargestReply)};
    if (ended_ || has_exited()) {
      read_reply();
      if (take_line(result.text)) break;
      return {Outcome::died, end_and_describe()};
    }
    if (!wait_for_events(unsent, std::min(left, kLongestWait))) return {Outcome::interrupted, ""};
  }
  return result;
}

bool PythonProcess::wait_for_events(std::string_view& unsent, double seconds) {
  pollfd events[] = {{unsent.empty() ? -1 : requests_.fd(), POLLOUT, 0},
                     {replies_.fd(), POLLIN, 0},
                     {printed_.fd(), POLLIN, 0},
                     {interrupt_fd_, POLLIN, 0}};
  if (::poll(events, std::size(events), static_cast<int>(std::ceil(seconds * 1000))) <= 0)
    return true;
  if (events[3].revents) return false;
  if (events[0].revents) {
    const ssize_t sent = ::write(requests_.fd(), unsent.data(), unsent.size());
    if (sent > 0) unsent.remove_prefix(static_cast<size_t>(sent));
    if (sent < 0 && errno == EPIPE) unsent = {};  // its end shows in the replies
  }
  if (events[1].revents) read_reply();
  if (events[2].revents) read_printed();
  return true;
}

void PythonProcess::read_reply() {
  if (!read_some(replies_.fd(), reply_)) ended_ = true;
}

void PythonProcess::read_printed() {
  if (printed_.fd() >= 0 && !read_some(printed_.fd(), tail_)) printed_.reset();
  if (tail_.size() > kTailBytes) tail_.erase(0, tail_.size() - kTailBytes);
}

bool PythonProcess::take_line(std::string& line) {
  const size_t end = reply_.find('\n', searched_);
  searched_ = reply_.size();
  if (end == std::string::npos) return false;
  line = reply_.substr(0, end);
  return true;
}

bool PythonProcess::has_exited() const {
  siginfo_t info{};
  return ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
         info.si_pid == pid_;
}

// Waits a little for the exit, so that the status is the process's own and not that of the kill.
std::string PythonProcess::end_and_describe() {
  const double deadline = monotonic_seconds() + kExitSeconds;
  while (!has_exited() && monotonic_seconds() < deadline) ::usleep(2000);
  read_printed();
  const std::string status = describe_status(kill_and_reap());
  return status + last_lines();
}

// "; it printed: LINE / LINE": empty where it printed nothing.
std::string PythonProcess::last_lines() const {
  std::string_view text = tail_;
  while (text.ends_with('\n')) text.remove_suffix(1);
  if (text.empty()) return "";
  size_t begin = text.size();
  for (size_t lines = 0; lines < kTailLines && begin != std::string_view::npos; ++lines)
    begin = begin == 0 ? std::string_view::npos : text.rfind('\n', begin - 1);
  std::string shown(text.substr(begin == std::string_view::npos ? 0 : begin + 1));
  for (size_t at = 0; (at = shown.find('\n', at)) != std::string::npos; at += 3)
    shown.replace(at, 1, " / ");
  return "; it printed: " + shown;
}

int PythonProcess::kill_and_reap() {
  if (pid_ < 0) return 0;
  ::kill(-pid_, SIGKILL);
  ::kill(pid_, SIGKILL);  // where the group isn't there yet
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  return status;
}

}  // namespace treepo
