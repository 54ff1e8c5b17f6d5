#include "data/presets.h"

#include <fmt/ranges.h>  // fmt::join

#include <cmath>

#include "base/error.h"
#include "reward/boxed.h"

namespace treepo {

namespace {

// The form of the puzzles that come with solver answers is the same in other words.
std::string countdown_prompt(const Json& row, const std::string& where) {
  const std::string field = has_key(row, "nums") ? "nums" : "numbers";
  return fmt::format(
      "Using the numbers [{}], write an expression whose value is {}. Use every number exactly "
      "once, no other number, and only +, -, *, / and parentheses. Put the expression between "
      "<answer> and </answer>.",
      fmt::join(get_ints(row, field, where), ", "), get_int(row, "target", where));
}

// The question behind the context that some of them share.
std::string olympiad_prompt(const Json& row, const std::string& where) {
  const std::string context = get_string_or(row, "context", "", where);
  const std::string question = get_string(row, "question", where);
  return context.empty() ? question : context + "\n\n" + question;
}

const std::vector<Preset>& table() {
  using enum AnswerForm;
  static const std::vector<Preset> all = {
      {.name = "gsm8k",
       .help = "GSM8K: question, answer behind ####",
       .prompt = "question",
       .answers = {{"answer", after_hashes}},
       .response = "answer"},
      {.name = "math",
       .help = "MATH, MATH500: problem, answer or the solution's last box",
       .prompt = "problem",
       .answers = {{"answer"}, {"solution", last_boxed}},
       .id = "unique_id",
       .response = "solution"},
      {.name = "aime",
       .help = "AIME: problem, answer",
       .prompt = "problem",
       .answers = {{"answer"}},
       .id = "id",
       .response = "solution"},
      {.name = "amc",
       .help = "AMC: problem, answer (27.0 is 27)",
       .prompt = "problem",
       .answers = {{"answer", whole_number}},
       .id = "id"},
      {.name = "minerva",
       .help = "Minerva: problem, the solution's last box",
       .prompt = "problem",
       .answers = {{"solution", last_boxed}},
       .id = "idx",
       .response = "solution"},
      {.name = "olympiadbench",
       .help = "OlympiadBench: context and question, final_answer",
       .prompt = "",
       .answers = {{"final_answer", alternatives}},
       .id = "id",
       .response = "solution.0",
       .write_prompt = olympiad_prompt},
      {.name = "deepscaler",
       .help = "DeepScaleR: problem, answer",
       .prompt = "problem",
       .answers = {{"answer"}},
       .response = "solution"},
      {.name = "countdown",
       .help = "countdown: nums or numbers, target; the prompt is written where the row has none",
       .prompt = "prompt",
       .answers = {{"target"}},
       .id = "id",
       .write_prompt = countdown_prompt},
      {.name = "knights_knaves",
       .help = "knights and knaves: quiz, solution_text_format",
       .prompt = "quiz",
       .answers = {{"solution_text_format"}, {"solution_text"}},
       .id = "index"},
      {.name = "verl",
       .help = "verl's Parquet files: prompt (a chat), reward_model.ground_truth",
       .prompt = "prompt",
       .answers = {{"reward_model.ground_truth"}},
       .id = "extra_info.index"},
  };
  return all;
}

std::optional<std::string> text_of(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number() || value.is_boolean()) return value.dump();
  return std::nullopt;
}

std::string trimmed(std::string_view text) {
  constexpr std::string_view blanks = " \t\r\n";
  const size_t begin = text.find_first_not_of(blanks);
  if (begin == std::string_view::npos) return "";
  return std::string(text.substr(begin, text.find_last_not_of(blanks) - begin + 1));
}

std::optional<std::string> joined(const Json& list) {
  if (!list.is_array()) return text_of(list);
  std::vector<std::string> texts;
  for (const Json& element : list) {
    const auto text = text_of(element);
    if (!text) return std::nullopt;
    texts.push_back(*text);
  }
  if (texts.empty()) return std::nullopt;
  return fmt::format("{}", fmt::join(texts, ", "));
}

}  // namespace

std::span<const Preset> presets() {
  return table();
}

const Preset& find_preset(std::string_view name, const std::string& text) {
  std::vector<std::string_view> names;
  for (const Preset& preset : table()) {
    if (preset.name == name) return preset;
    names.push_back(preset.name);
  }
  throw Error(fmt::format("\"{}\": there is no preset {}, and no file of this name", text, name),
              fmt::format("one of {}; without one data.prompt and data.answer name the fields",
                          fmt::join(names, ", ")));
}

std::optional<std::string> answer_in(const Json& value, AnswerForm form) {
  if (form == AnswerForm::alternatives) return joined(value);
  if (form == AnswerForm::whole_number && value.is_number_float() &&
      std::trunc(value.get<double>()) == value.get<double>())
    return fmt::format("{:.0f}", value.get<double>());
  const std::optional<std::string> text = text_of(value);
  if (!text) return std::nullopt;
  if (form == AnswerForm::last_boxed) {
    const std::optional<std::string_view> inside = last_boxed(*text);
    return inside ? std::optional(trimmed(*inside)) : std::nullopt;
  }
  if (form != AnswerForm::after_hashes) return text;
  const size_t hashes = text->rfind("####");
  if (hashes == std::string::npos) return std::nullopt;
  return trimmed(std::string_view(*text).substr(hashes + 4));
}

}  // namespace treepo
