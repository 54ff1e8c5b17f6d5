#include "base/machine.h"

#include <fmt/chrono.h>
#include <sched.h>
#include <sys/utsname.h>

#include <chrono>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace treepo {

namespace {

// The system's own tables are read past the replaceable FileSystem: they are no files of a run.
std::string system_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// What follows KEY and `separator` on the first line that begins with KEY.
std::string table_value(const std::string& text, const std::string& key, char separator) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(key)) continue;
    const size_t at = line.find(separator);
    if (at == std::string::npos) continue;
    const size_t begin = line.find_first_not_of(" \t\"", at + 1);
    const size_t end = line.find_last_not_of(" \t\"");
    return begin == std::string::npos ? "" : line.substr(begin, end - begin + 1);
  }
  return "";
}

}  // namespace

std::string cpu_name() {
  return table_value(system_text("/proc/cpuinfo"), "model name", ':');
}

std::vector<std::string> cpu_flags() {
  std::istringstream words(table_value(system_text("/proc/cpuinfo"), "flags", ':'));
  std::vector<std::string> flags;
  for (std::string word; words >> word;) flags.push_back(word);
  return flags;
}

int64_t cpu_cores() {
  cpu_set_t set;
  return ::sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 0;
}

std::string system_name() {
  utsname names;
  const std::string kernel =
      ::uname(&names) == 0 ? fmt::format("{} {}", names.sysname, names.release) : "";
  const std::string distribution = table_value(system_text("/etc/os-release"), "PRETTY_NAME", '=');
  return distribution.empty() ? kernel : distribution + ", " + kernel;
}

int64_t free_disk_bytes(const std::string& path) {
  std::error_code error;
  std::filesystem::path place = std::filesystem::absolute(path, error);
  while (!place.empty() && place != place.root_path() && !std::filesystem::exists(place, error))
    place = place.parent_path();
  const auto space = std::filesystem::space(place, error);
  return error ? 0 : static_cast<int64_t>(space.available);
}

std::vector<std::string> nvidia_gpus() {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/driver/nvidia/gpus", error)) {
    const std::string information = system_text((entry.path() / "information").string());
    names.push_back(table_value(information, "Model", ':'));
  }
  return names;
}

std::vector<std::string> process_arguments() {
  std::istringstream text(system_text("/proc/self/cmdline"));
  std::vector<std::string> arguments;
  for (std::string one; std::getline(text, one, '\0');) arguments.push_back(one);
  return arguments;
}

std::string program_version() {
  return TREEPO_VERSION;
}

std::string program_folder() {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/exe", error).parent_path().string();
}

std::string utc_time_now() {
  const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(now));
}

}  // namespace treepo
