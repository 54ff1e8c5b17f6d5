#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace treepo {

// How an answer is written in its field.
enum class AnswerForm {
  as_is,
  after_hashes,  // behind the last "####" of a solution
  last_boxed,    // in the last \boxed{…} of a solution
  whole_number,  // 27.0 stands for 27
  alternatives,  // a list; its texts joined by ", "
};

struct AnswerField {
  std::string_view path;
  AnswerForm form = AnswerForm::as_is;
};

// The rows of a data set as its authors publish them.
struct Preset {
  std::string_view name;
  std::string_view help;
  std::string_view prompt;           // field; where write_prompt is set: only if the row has it
  std::vector<AnswerField> answers;  // the first that the row has
  std::string_view id = {};
  std::string_view response = {};  // a worked solution, for examples
  std::string (*write_prompt)(const Json& row, const std::string& where) = nullptr;
};

std::span<const Preset> presets();

// Throws Error that lists all; `text` is the source that names it.
const Preset& find_preset(std::string_view name, const std::string& text);

// The answer in a field's value; nothing where the form is not found in it.
std::optional<std::string> answer_in(const Json& value, AnswerForm form);

}  // namespace treepo
