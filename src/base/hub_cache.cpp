#include "base/hub_cache.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <optional>
#include <string_view>

#include "base/files.h"

namespace treepo {

namespace {

constexpr std::string_view kRepositoryPrefix = "models--";

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

struct HubName {
  std::string id, revision;  // "ORG/NAME" or "NAME"; a branch, tag or commit
};

// What the hub allows in a name, so that nobody's path is taken for one.
std::optional<HubName> parse_hub_name(const std::string& name) {
  const size_t at = name.find('@');
  HubName parsed{.id = name.substr(0, at),
                 .revision = at == std::string::npos ? "main" : name.substr(at + 1)};
  const auto allowed = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_' || c == '.' ||
           c == '/';
  };
  const bool fits = !parsed.id.empty() && !parsed.revision.empty() &&
                    std::ranges::all_of(parsed.id, allowed) &&
                    std::ranges::count(parsed.id, '/') <= 1 && parsed.id.front() != '.' &&
                    parsed.id.front() != '/' && parsed.id.back() != '/';
  if (!fits) return std::nullopt;
  return parsed;
}

std::string without_trailing_space(std::string text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())) != 0)
    text.pop_back();
  return text;
}

// The snapshot of a repository's folder; empty where there is none of this revision.
std::string snapshot(const std::string& repository, const std::string& revision) {
  FileSystem& files = file_system();
  const std::string snapshots = join_path(repository, "snapshots");
  const std::string ref = join_path(join_path(repository, "refs"), revision);
  std::string commit = revision;
  if (files.exists(ref) && !files.is_directory(ref))
    commit = without_trailing_space(read_file(ref));
  const std::string folder = join_path(snapshots, commit);
  return files.is_directory(folder) ? folder : "";
}

std::string repository_folder(const HubName& name) {
  const size_t slash = std::min(name.id.find('/'), name.id.size());
  const std::string_view id = name.id, rest = id.substr(std::min(slash + 1, id.size()));
  return join_path(hub_cache(), fmt::format("{}{}{}{}", kRepositoryPrefix, id.substr(0, slash),
                                            rest.empty() ? "" : "--", rest));
}

std::string last_part(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path.substr(path.rfind('/') + 1);
}

}  // namespace

std::string hub_cache() {
  if (const std::string cache = variable("HF_HUB_CACHE"); !cache.empty()) return cache;
  if (const std::string home = variable("HF_HOME"); !home.empty()) return join_path(home, "hub");
  std::string cache = variable("XDG_CACHE_HOME");
  if (cache.empty()) {
    const std::string home = variable("HOME");
    if (home.empty()) return "";
    cache = join_path(home, ".cache");
  }
  return join_path(join_path(cache, "huggingface"), "hub");
}

std::string find_model(const std::string& name) {
  FileSystem& files = file_system();
  if (name.empty()) return name;
  if (files.is_directory(name)) {
    if (!last_part(name).starts_with(kRepositoryPrefix)) return name;
    const std::string found = snapshot(name, "main");
    return found.empty() ? name : found;
  }
  const std::optional<HubName> hub = parse_hub_name(name);
  if (files.exists(name) || !hub || hub_cache().empty()) return name;
  const std::string found = snapshot(repository_folder(*hub), hub->revision);
  return found.empty() ? name : found;
}

std::string hub_name(const std::string& directory) {
  const std::string_view path = directory;
  const size_t begin = path.find(kRepositoryPrefix), end = path.find("/snapshots/");
  if (begin == path.npos || end == path.npos || end < begin) return "";
  const size_t from = begin + kRepositoryPrefix.size();
  const std::string_view flat = path.substr(from, end - from);
  const size_t dashes = flat.find("--");
  if (flat.find('/') != flat.npos) return "";
  if (dashes == flat.npos) return std::string(flat);
  return fmt::format("{}/{}", flat.substr(0, dashes), flat.substr(dashes + 2));
}

std::string missing_model_hint(const std::string& name) {
  const std::string directory =
      "a model is a Hugging Face directory: config.json, model.safetensors, tokenizer.json";
  const std::optional<HubName> hub = parse_hub_name(name);
  if (!hub || file_system().exists(name) || hub_cache().empty()) return directory;
  return fmt::format(
      "{}; as a name of the hub, {} is not in the cache {}, and treepo does not download: fetch it "
      "with `hf download {}{}`",
      directory, name, hub_cache(), hub->id,
      hub->revision == "main" ? "" : fmt::format(" --revision {}", hub->revision));
}

}  // namespace treepo
