#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "app/commands.h"
#include "app/run_flags.h"
#include "base/error.h"
#include "base/files.h"
#include "base/timer.h"
#include "config/load.h"
#include "data/data_view.h"
#include "data/presets.h"
#include "text/tokenizer.h"

namespace treepo {

namespace {

struct DataFlags {
  RunFlags run;
  std::vector<std::string> sources;
  int64_t rows = 3;
};

// One .toml file: a run's options; anything else: sources that stand for data.train.
RunOptions data_options(const DataFlags& flags) {
  std::vector<std::string> overrides = flags.run.overrides();
  const bool is_config = flags.sources.size() == 1 && flags.sources[0].ends_with(".toml");
  RunOptions options = load_options(is_config ? flags.sources[0] : "", overrides);
  if (!is_config) options.data.train = flags.sources;
  if (options.data.kind != "files")
    throw Error("data.kind = \"" + options.data.kind + "\" makes its problems, no file holds them",
                "treepo data shows files: set data.kind = \"files\" and data.train");
  if (options.data.train.empty())
    throw Error("data.train names no file", "give a source, or set data.train");
  return options;
}

void show(const std::string& title, const std::vector<LoadedSource>& sources,
          std::string_view unit) {
  fmt::print("{}\n{}", title, sources_text(sources, unit));
  std::vector<int32_t> lengths;
  for (const LoadedSource& source : sources)
    lengths.insert(lengths.end(), source.prompt_lengths.begin(), source.prompt_lengths.end());
  fmt::print("\n  {} in a prompt\n{}\n", unit, histogram_text(lengths));
}

void show_first(const std::vector<LoadedSource>& sources, int64_t rows, std::string_view unit) {
  for (const LoadedSource& source : sources)
    for (size_t i = 0; i < source.problems.size() && std::cmp_less(i, rows); ++i)
      fmt::print("{}\n", problem_text(source.problems[i], source.prompt_lengths[i], unit));
}

void run_data(const DataFlags& flags) {
  flags.run.apply_quiet();
  RunOptions options = data_options(flags);
  const std::string& model = options.model.path;
  std::optional<Tokenizer> tokenizer;
  if (!model.empty()) tokenizer = Tokenizer::load(model);
  if (model.empty() && options.prompt.chat_template.empty()) options.prompt.form = "plain";
  const DataContext context = {
      .tokenizer = tokenizer ? &*tokenizer : nullptr, .model_directory = model, .check = {}};
  const std::string unit = tokenizer ? "tokens" : "characters";
  const Timer timer;
  PromptWriter prompts(options.prompt, model);
  const std::vector<LoadedSource> train =
      load_sources(options.data.train, options.data, prompts, context);
  show("Training", train, unit);
  std::vector<LoadedSource> test;
  if (!options.data.test.empty()) {
    test = load_sources(options.data.test, options.data, prompts, context);
    show("Test", test, unit);
  }
  show_first(train, flags.rows, unit);
  show_first(test, flags.rows, unit);
  if (!tokenizer)
    fmt::print("No model is named (--model DIR): lengths are in characters, chats as plain text\n");
  fmt::print("Read in {:.1f} s\n", timer.seconds());
}

std::string preset_list() {
  std::string text = "Presets:\n";
  for (const Preset& preset : presets())
    text += fmt::format("  {:<15} {}\n", preset.name, preset.help);
  return text;
}

}  // namespace

void add_data_command(CLI::App& program) {
  auto flags = std::make_shared<DataFlags>();
  CLI::App* command = add_command(
      program, "data", "Show what would be trained on: counts, lengths, first prompts, answers");
  command
      ->add_option("sources", flags->sources,
                   "a run's TOML file, or files as data.train names them: "
                   "[NAME=][WEIGHT*][PRESET:]FILE[?FIELD=VALUE&…]")
      ->required();
  command->add_option("--model", flags->run.model,
                      "directory with tokenizer and chat template; its weights are not read");
  command->add_option("--rows", flags->rows, "how many of each source's problems are shown")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  flags->run.add_to(*command);
  command->footer("  treepo data gsm8k:train.jsonl --model DIR --set prompt.form=chat\n" +
                  preset_list());
  command->callback([flags] { run_data(*flags); });
}

}  // namespace treepo
