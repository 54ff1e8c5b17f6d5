#include "report/page.h"

#include <algorithm>
#include <map>
#include <string_view>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "base/machine.h"
#include "report/curves_json.h"
#include "report/health.h"
#include "report/page_files.h"
#include "report/run_files.h"
#include "report/sample_trees_json.h"

namespace treepo {

namespace {

// All runs together. With the curves of a few runs the page stays below 5 MB.
constexpr size_t kSampleBytes = 2'500'000, kCurvePoints = 3000;
constexpr size_t kLeastSampleBytes = 200'000, kLeastCurvePoints = 100, kMostCurvePoints = 1000;

OrderedJson config_json(const RunFiles& run) {
  OrderedJson values = OrderedJson::array();
  for (const ConfigValue& value : run.config)
    values.push_back({value.key, value.value, value.is_default ? 1 : 0});
  return values;
}

OrderedJson health_json(const MetricLog& log) {
  OrderedJson findings = OrderedJson::array();
  for (const HealthFinding& one : check_health(log))
    findings.push_back({{"name", one.name},
                        {"level", health_level_name(one.level)},
                        {"found", one.found},
                        {"limit", one.limit},
                        {"advice", one.advice}});
  return findings;
}

OrderedJson notes_json(const RunFiles& run, const SampleTrees& samples) {
  OrderedJson notes = OrderedJson::array();
  const auto unreadable = [&](const char* file, int64_t count) {
    if (count > 0)
      notes.push_back(fmt::format("{}: {} damaged line{} left out", file, count,
                                  count == 1 ? " was" : "s were"));
  };
  unreadable("metrics.jsonl", run.metrics.unreadable_lines);
  unreadable("samples.jsonl", samples.unreadable_lines);
  if (static_cast<int64_t>(samples.trees.size()) < samples.num_trees)
    notes.push_back(fmt::format("{} of the {} logged trees are on this page", samples.trees.size(),
                                samples.num_trees));
  return notes;
}

OrderedJson run_json(const RunFiles& run, size_t group, size_t num_runs) {
  const size_t points = std::clamp(kCurvePoints / num_runs, kLeastCurvePoints, kMostCurvePoints);
  const SampleTrees samples = read_sample_trees(
      join_path(run.folder, "samples.jsonl"), std::max(kSampleBytes / num_runs, kLeastSampleBytes));
  OrderedJson json = {{"name", run.name},
                      {"folder", run.folder},
                      {"group", group},
                      {"lines", run.metrics.lines.size()},
                      {"config", config_json(run)},
                      {"record", OrderedJson::parse(dump_json(run.record))},
                      {"health", health_json(run.metrics)},
                      {"tables", curves_json(run.metrics, points)},
                      {"notes", notes_json(run, samples)}};
  json["trees"] = samples.trees;
  return json;
}

// Runs that differ in their seed only get the same number.
std::vector<size_t> seed_groups(const std::vector<RunFiles>& runs) {
  std::map<std::string, size_t> numbers;
  std::vector<size_t> groups;
  for (const RunFiles& run : runs) {
    std::string key = configuration_but_seed(run);
    if (key.empty()) key = "\n" + run.folder;  // without a configuration: of its own
    groups.push_back(numbers.try_emplace(key, numbers.size()).first->second);
  }
  return groups;
}

// Folders of one name are told apart by the folder above.
void make_names_unique(std::vector<RunFiles>& runs) {
  std::map<std::string, int> count;
  for (const RunFiles& run : runs) ++count[run.name];
  for (RunFiles& run : runs)
    if (count[run.name] > 1) run.name = run.folder;
}

// JSON in which no "</script>" or "<!--" can end the element around it.
std::string script_safe(const OrderedJson& json) {
  const std::string text = dump_json(json);
  std::string safe;
  safe.reserve(text.size());
  for (const char c : text) {
    if (c == '<')
      safe += "\\u003c";
    else
      safe += c;
  }
  return safe;
}

// `page` with each {{NAME}} replaced, in one pass: what is put in is not looked at again.
std::string filled(std::string_view page, const std::map<std::string, std::string>& parts) {
  std::string text;
  while (!page.empty()) {
    const size_t begin = page.find("{{");
    text += page.substr(0, begin);
    if (begin == std::string_view::npos) break;
    const size_t end = page.find("}}", begin);
    TREEPO_CHECK(end != std::string_view::npos, "page.html has an open {{{{");
    text += parts.at(std::string(page.substr(begin + 2, end - begin - 2)));
    page.remove_prefix(end + 2);
  }
  return text;
}

}  // namespace

std::string report_page(const std::vector<std::string>& run_folders) {
  TREEPO_CHECK(!run_folders.empty(), "a report of no run");
  std::vector<RunFiles> runs;
  for (const std::string& folder : run_folders) runs.push_back(read_run_files(folder));
  make_names_unique(runs);
  const std::vector<size_t> groups = seed_groups(runs);
  OrderedJson data = {{"made", utc_time_now()}, {"treepo", program_version()}};
  data["runs"] = OrderedJson::array();
  for (size_t i = 0; i < runs.size(); ++i)
    data["runs"].push_back(run_json(runs[i], groups[i], runs.size()));
  return filled(page_html(), {{"style", std::string(page_style())},
                              {"script", std::string(page_script())},
                              {"data", script_safe(data)}});
}

}  // namespace treepo
