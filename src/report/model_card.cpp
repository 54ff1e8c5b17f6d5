#include "report/model_card.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <string_view>

#include "base/files.h"
#include "base/hub_cache.h"  // hub_name
#include "base/machine.h"
#include "report/line_chart.h"

namespace treepo {

namespace {

constexpr size_t kMostRows = 12, kMostPoints = 300;

struct Measure {
  std::string_view metric, title;
};

// Those of an evaluation that the table shows, where they were logged.
constexpr std::array kMeasures = {Measure{"eval/pass@1", "success, one sample"},
                                  Measure{"eval/greedy", "success, greedy"},
                                  Measure{"eval/score", "mean reward"},
                                  Measure{"eval/unseen/pass@1", "unseen problems"},
                                  Measure{"eval/loss", "test loss"},
                                  Measure{"eval/token_accuracy", "token accuracy"}};

// A curve of training itself.
constexpr std::array kTrainingMeasures = {Measure{"reward/mean", "mean reward in training"},
                                          Measure{"loss", "training loss"}};

// The value as text without its quotes; empty where there is none.
std::string config_text(const RunFiles& run, std::string_view key) {
  for (const ConfigValue& value : run.config) {
    if (value.key != key) continue;
    std::string text = value.value;
    if (text.size() >= 2 && text.front() == '"') text = text.substr(1, text.size() - 2);
    return text;
  }
  return "";
}

bool has_metric(const RunFiles& run, std::string_view name) {
  return run.metrics.metrics.contains(std::string(name));
}

bool is_supervised(const RunFiles& run) {
  return has_metric(run, "update/response_tokens") || has_metric(run, "eval/token_accuracy");
}

// Every k-th of `count` so that at most `most` are left, the last always among them.
std::vector<size_t> thinned(size_t count, size_t most) {
  std::vector<size_t> kept;
  const size_t stride = std::max<size_t>(1, (count + most - 1) / most);
  for (size_t i = 0; i < count; ++i)
    if ((count - 1 - i) % stride == 0) kept.push_back(i);
  return kept;
}

using Points = std::vector<std::pair<size_t, double>>;  // index of the line, value

Points points_up_to(const RunFiles& run, std::string_view name, int64_t step) {
  Points points;
  const auto found = run.metrics.metrics.find(std::string(name));
  if (found == run.metrics.metrics.end()) return points;
  for (const auto& point : found->second)
    if (run.metrics.lines[point.first].step <= step && std::isfinite(point.second))
      points.push_back(point);
  return points;
}

std::optional<ChartSeries> series(const RunFiles& run, const Measure& measure, int64_t step) {
  const Points points = points_up_to(run, measure.metric, step);
  if (points.size() < 2) return std::nullopt;
  ChartSeries line{.name = std::string(measure.title), .x = {}, .y = {}};
  for (const size_t i : thinned(points.size(), kMostPoints)) {
    line.x.push_back(static_cast<double>(run.metrics.lines[points[i].first].step));
    line.y.push_back(points[i].second);
  }
  return line;
}

std::string curves(const RunFiles& run, int64_t step) {
  std::vector<LineChart> charts;
  const auto add = [&](const char* title, const char* y_label, const auto& measures) {
    LineChart chart{.title = title, .x_label = "step", .y_label = y_label, .series = {}};
    for (const Measure& measure : measures)
      if (auto line = series(run, measure, step)) chart.series.push_back(std::move(*line));
    if (!chart.series.empty()) charts.push_back(std::move(chart));
  };
  add("held-out problems", "share, or mean", kMeasures);
  add("training", "mean of a step", kTrainingMeasures);
  return charts.empty() ? "" : charts_svg(charts);
}

// A row for each evaluation, thinned; empty where there was none.
std::string results_table(const RunFiles& run, int64_t step) {
  std::vector<Measure> shown;
  for (const Measure& measure : kMeasures)
    if (!points_up_to(run, measure.metric, step).empty()) shown.push_back(measure);
  if (shown.empty()) return "";
  std::string head = "| step |", rule = "|---|";
  std::map<size_t, std::map<std::string_view, double>> rows;  // by line of the log
  for (const Measure& measure : shown) {
    head += fmt::format(" {} |", measure.title);
    rule += "---|";
    for (const auto& [line, value] : points_up_to(run, measure.metric, step))
      rows[line][measure.metric] = value;
  }
  std::string table = head + " tokens | seconds |\n" + rule + "---|---|\n";
  std::vector<size_t> lines;
  for (const auto& row : rows) lines.push_back(row.first);
  for (const size_t i : thinned(lines.size(), kMostRows)) {
    const MetricLog::Line& line = run.metrics.lines[lines[i]];
    table += fmt::format("| {} |", line.step);
    for (const Measure& measure : shown) {
      const auto& row = rows[lines[i]];
      const auto value = row.find(measure.metric);
      table += value == row.end() ? " |" : fmt::format(" {:.4g} |", value->second);
    }
    table += fmt::format(" {:.0f} | {:.0f} |\n", line.tokens, line.seconds);
  }
  return table +
         "\nTokens are those decoded (or learned from) up to there, seconds those of training.\n";
}

std::string front_matter(const RunFiles& run, const std::string& base) {
  std::string text = "---\n";
  if (!base.empty()) text += "base_model: " + base + "\n";
  text += config_text(run, "lora.rank") == "0" ? "library_name: transformers\n"
                                               : "library_name: peft\n";
  text += "pipeline_tag: text-generation\ntags:\n- treepo\n";
  text += is_supervised(run) ? "- sft\n" : "- reinforcement-learning\n";
  return text + "---\n\n";
}

std::string introduction(const RunFiles& run, const std::string& base, int64_t step) {
  const std::string path = config_text(run, "model.path");
  const std::string from = path.empty() || config_text(run, "model.random_weights") == "true"
                               ? "fresh random weights"
                               : "`" + (base.empty() ? path : base) + "`";
  const std::string how =
      is_supervised(run)
          ? "supervised training on responses"
          : "reinforcement learning on verifiable rewards, with answers sampled as trees (TreePO, "
            "[arXiv 2508.17445](https://arxiv.org/abs/2508.17445))";
  return fmt::format(
      "# {}, step {}\n\nTrained with treepo {} from {} by {}.\nThis is step {} of at most {}.\n\n",
      run.name, step, program_version(), from, how, step, config_text(run, "train.max_steps"));
}

std::string use(const RunFiles& run) {
  if (config_text(run, "lora.rank") != "0")
    return "## Use\n\nA low-rank adapter in PEFT's format. `treepo merge --adapter DIR --out "
           "MERGED`\n"
           "adds it to its base; `peft.AutoPeftModelForCausalLM.from_pretrained(DIR)` loads "
           "it.\n\n";
  return "## Use\n\n```python\nfrom transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
         "model = AutoModelForCausalLM.from_pretrained(\"DIR\")\n"
         "tokenizer = AutoTokenizer.from_pretrained(\"DIR\")\n```\n\n"
         "or `treepo sample --model DIR --prompts FILE --out trees.jsonl`.\n\n";
}

std::string data(const RunFiles& run) {
  std::string text = "## Data and reward\n\n";
  const auto line = [&](const char* label, const char* key) {
    const std::string value = config_text(run, key);
    if (!value.empty() && value != "[]") text += fmt::format("- {}: `{}`\n", label, value);
  };
  if (is_supervised(run)) {
    line("training examples", "sft.train");
    line("test examples", "sft.test");
  } else {
    line("problems", "data.kind");
    line("training problems", "data.train");
    line("test problems", "data.test");
    line("reward", "reward.kind");
    line("parts of the reward", "reward.parts");
  }
  line("prompt", "prompt.form");
  return text + "\n";
}

std::string options(const RunFiles& run) {
  std::string text, section;
  for (const ConfigValue& value : run.config) {
    if (value.is_default) continue;
    const size_t dot = value.key.find('.');
    if (const std::string here = value.key.substr(0, dot); here != section) {
      text += fmt::format("{}[{}]\n", section.empty() ? "" : "\n", here);
      section = here;
    }
    text += fmt::format("{} = {}\n", value.key.substr(dot + 1), value.value);
  }
  if (text.empty()) return "";
  return "## Options that differ from their defaults\n\n```toml\n" + text + "```\n\n";
}

std::string machine(const RunFiles& run) {
  const auto sessions = run.record.is_object() ? run.record.find("sessions") : run.record.end();
  if (!run.record.is_object() || sessions == run.record.end() || !sessions->is_array() ||
      sessions->empty())
    return "";
  const Json& last = sessions->back();
  const auto text = [&](const char* key) {
    const auto found = last.find(key);
    if (found == last.end()) return std::string("?");
    return found->is_string() ? found->get<std::string>() : dump_json(*found);
  };
  return fmt::format(
      "## Made on\n\n{}, {} of {} cores, device {}; {}; PyTorch {}, {} session{} of training.\n",
      text("cpu"), text("threads"), text("cores"), text("device"), text("system"), text("torch"),
      sessions->size(), sessions->size() == 1 ? "" : "s");
}

}  // namespace

ModelCard model_card(const RunFiles& run, int64_t step) {
  const std::string base = hub_name(config_text(run, "model.path"));
  ModelCard card{.readme = front_matter(run, base) + introduction(run, base, step),
                 .curves = curves(run, step)};
  const std::string table = results_table(run, step);
  if (!table.empty()) card.readme += "## Results\n\n" + table + "\n";
  if (!card.curves.empty()) card.readme += "![curves](curves.svg)\n\n";
  card.readme += use(run) + data(run) + options(run) + machine(run);
  return card;
}

void write_model_card(const std::string& run_folder, const std::string& checkpoint_folder,
                      int64_t step) {
  const ModelCard card = model_card(read_run_files(run_folder), step);
  write_file_atomically(join_path(checkpoint_folder, "README.md"), card.readme);
  if (!card.curves.empty())
    write_file_atomically(join_path(checkpoint_folder, "curves.svg"), card.curves);
}

}  // namespace treepo
