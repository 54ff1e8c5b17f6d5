#pragma once

#include <fcntl.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/temporary_directory.h"

namespace treepo {

using Words = std::vector<std::string>;

inline std::string read_text(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

inline void write_text(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

struct ProgramResult {
  int code = -1;  // 128 + signal for a killed program
  std::string out, err;
};

// The program, started with these arguments and this text as standard input. Each has one thread:
// the models of these tests are tiny.
class RunningProgram {
 public:
  explicit RunningProgram(Words arguments, const std::string& input = "",
                          const std::string& out_path = "", int out_flags = O_TRUNC)
      : out_path_(out_path.empty() ? folder_ / "out" : out_path) {
    write_text(folder_ / "in", input);
    arguments.insert(arguments.begin(), TREEPO_PROGRAM);
    Words environment = {"OMP_NUM_THREADS=1", "OMP_WAIT_POLICY=passive"};
    for (char** variable = environ; *variable; ++variable) {
      if (!std::string(*variable).starts_with("OMP_")) environment.emplace_back(*variable);
    }
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 0, (folder_ / "in").c_str(), O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&files, 1, out_path_.c_str(), O_WRONLY | O_CREAT | out_flags,
                                     0666);
    posix_spawn_file_actions_addopen(&files, 2, (folder_ / "err").c_str(), O_WRONLY | O_CREAT,
                                     0666);
    const int error = posix_spawn(&process_, TREEPO_PROGRAM, &files, nullptr,
                                  pointers(arguments).data(), pointers(environment).data());
    posix_spawn_file_actions_destroy(&files);
    if (error != 0) throw std::runtime_error(std::string("cannot start ") + TREEPO_PROGRAM);
  }

  ~RunningProgram() {
    if (process_ <= 0) return;
    ::kill(process_, SIGKILL);
    ::waitpid(process_, nullptr, 0);
  }
  RunningProgram(const RunningProgram&) = delete;
  RunningProgram& operator=(const RunningProgram&) = delete;

  void send(int signal) const { ::kill(process_, signal); }

  bool has_ended() const {
    siginfo_t info = {};
    ::waitid(P_PID, static_cast<id_t>(process_), &info, WEXITED | WNOHANG | WNOWAIT);
    return info.si_pid != 0;
  }

  ProgramResult wait() {
    int status = 0;
    rusage usage{};
    ::wait4(process_, &status, 0, &usage);
    peak_memory_bytes_ = int64_t{usage.ru_maxrss} * 1024;
    process_ = 0;
    return {.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
            .out = out_path_.starts_with("/dev/") ? "" : read_text(out_path_),
            .err = read_text(folder_ / "err")};
  }

  // The most that it has held, after wait().
  int64_t peak_memory_bytes() const { return peak_memory_bytes_; }

 private:
  static std::vector<char*> pointers(Words& words) {
    std::vector<char*> result;
    for (std::string& word : words) result.push_back(word.data());
    result.push_back(nullptr);
    return result;
  }

  TemporaryDirectory folder_;
  std::string out_path_;
  pid_t process_ = 0;
  int64_t peak_memory_bytes_ = 0;
};

inline ProgramResult run_program(const Words& arguments, const std::string& input = "") {
  return RunningProgram(arguments, input).wait();
}

// All at once, each with this input; results in the same order.
inline std::vector<ProgramResult> run_programs(const std::vector<Words>& commands,
                                               const std::string& input = "") {
  std::vector<std::unique_ptr<RunningProgram>> running;
  for (const Words& command : commands) {
    running.push_back(std::make_unique<RunningProgram>(command, input));
  }
  std::vector<ProgramResult> results;
  for (const auto& program : running) results.push_back(program->wait());
  return results;
}

inline Words operator+(Words left, const Words& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

// "--set" before each of KEY=VALUE.
inline Words sets(const Words& settings) {
  Words words;
  for (const std::string& setting : settings) words = words + Words{"--set", setting};
  return words;
}

// `text` cut at line ends, which are left out.
inline Words lines_of(const std::string& text) {
  Words lines;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

}  // namespace treepo
