#include "report/run_files.h"

#include <filesystem>
#include <map>

#include "base/error.h"
#include "base/files.h"
#include "config/declare.h"

namespace treepo {

namespace {

std::map<std::string, std::string> default_values() {
  RunOptions defaults;
  std::map<std::string, std::string> values;
  const OptionTable table = declare_options(defaults);
  for (const Option& option : table.options()) values[option.key] = option.value_text();
  return values;
}

// The lines "[section]" and "key = value" of the file that a run writes of its options: a line
// each. Options of another version of the program are read as well as those of this one.
std::vector<ConfigValue> read_config(const std::string& path) {
  std::vector<ConfigValue> values;
  if (!file_system().exists(path)) return values;
  const std::map<std::string, std::string> defaults = default_values();
  const std::string text = read_file(path);
  std::string section;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string line = text.substr(begin, end - begin);
    begin = end + 1;
    if (line.starts_with('[')) section = line.substr(1, line.find(']') - 1);
    const size_t equals = line.find(" = ");
    if (line.starts_with('#') || line.starts_with('[') || equals == std::string::npos) continue;
    const std::string key = section + "." + line.substr(0, equals);
    const std::string value = line.substr(equals + 3);
    const auto known = defaults.find(key);
    values.push_back({key, value, known != defaults.end() && known->second == value});
  }
  return values;
}

std::string folder_name(const std::string& folder) {
  const std::filesystem::path path = std::filesystem::absolute(folder).lexically_normal();
  return (path.has_filename() ? path : path.parent_path()).filename().string();
}

}  // namespace

RunFiles read_run_files(const std::string& folder) {
  const std::string metrics = join_path(folder, "metrics.jsonl");
  const std::string config = join_path(folder, "config.toml");
  if (!file_system().exists(metrics) && !file_system().exists(config))
    throw Error(
        fmt::format("{} holds no run: there is neither metrics.jsonl nor config.toml", folder),
        "give the folder that train.run_dir named");
  RunFiles run{.name = folder_name(folder),
               .folder = folder,
               .config = read_config(config),
               .record = nullptr,
               .metrics = read_metric_log(metrics)};
  const std::string record = join_path(folder, "run.json");
  if (file_system().exists(record)) {
    run.record = Json::parse(read_file(record), nullptr, false);
    if (!run.record.is_object()) run.record = nullptr;
  }
  return run;
}

std::string configuration_but_seed(const RunFiles& run) {
  std::string all;
  for (const ConfigValue& value : run.config)
    if (value.key != "train.seed" && value.key != "train.run_dir")
      all += value.key + "=" + value.value + "\n";
  return all;
}

}  // namespace treepo
