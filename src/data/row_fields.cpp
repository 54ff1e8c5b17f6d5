#include "data/row_fields.h"

#include "base/error.h"

namespace treepo {

RowFields::RowFields(const SourceSpec& source, const DataOptions& options)
    : prompt_(options.prompt), id_(options.id), response_("response"), answer_(options.answer) {
  if (!source.preset.empty()) {
    preset_ = &find_preset(source.preset, source.path);
    prompt_ = preset_->prompt;
    id_ = preset_->id;
    response_ = preset_->response;
    answers_ = preset_->answers;
    answer_.clear();
  }
  for (const auto& [key, value] : source.arguments) {
    if (key == "prompt") {
      prompt_ = value;
      prompt_is_named_ = true;
    } else if (key == "answer") {
      answer_ = value;
    } else if (key == "id") {
      id_ = value;
    } else if (key == "response") {
      response_ = value;
    } else {
      conditions_.emplace_back(key, value);
    }
  }
}

bool RowFields::wants(const Json& row, const std::string& where) const {
  for (const RowCondition& condition : conditions_)
    if (!condition.holds(row, where)) return false;
  return true;
}

std::string RowFields::prompt_text(const Json& row, const std::string& where) const {
  const Json* prompt = find_field(row, prompt_);
  const bool writes = preset_ && preset_->write_prompt && !prompt_is_named_;
  if (!prompt && writes) return preset_->write_prompt(row, where);
  if (!prompt)
    throw Error(fmt::format("{}: \"{}\", the field of the prompt, is missing", where, prompt_),
                "name another field with data.prompt, or behind the file: FILE?prompt=FIELD");
  if (prompt->is_string()) return prompt->get<std::string>();
  throw Error(
      fmt::format("{}: \"{}\" must be a string or a chat, a list of messages", where, prompt_));
}

std::optional<std::string> RowFields::answer(const Json& row, const std::string& where) const {
  if (!answer_.empty()) {
    const Json* value = find_field(row, answer_);
    if (!value) return std::nullopt;
    if (value->is_string() || value->is_number()) return answer_in(*value, AnswerForm::as_is);
    throw Error(fmt::format("{}: \"{}\" must be a string or a number", where, answer_),
                "a reference answer is compared as text or as a number");
  }
  for (const AnswerField& field : answers_) {
    const Json* value = find_field(row, field.path);
    if (!value) continue;
    if (const auto answer = answer_in(*value, field.form)) return answer;
    if (field.form == AnswerForm::as_is) return dump_json(*value);  // for verifiers that know it
    throw Error(fmt::format("{}: no answer is found in \"{}\"", where, field.path),
                fmt::format("the preset's form is {}", preset_->help));
  }
  return std::nullopt;
}

std::string RowFields::chat_text(std::string_view row_text, const std::string& field,
                                 const std::string& where) const {
  const OrderedJson row = OrderedJson::parse(row_text);
  const OrderedJson* value = &row;
  std::string_view path = field;
  while (!path.empty() && value->is_object()) {
    auto found = value->find(std::string(path));
    const size_t dot = found == value->end() ? path.find('.') : std::string_view::npos;
    if (found == value->end() && dot != std::string_view::npos)
      found = value->find(std::string(path.substr(0, dot)));
    if (found == value->end()) break;
    value = &*found;
    path = dot == std::string_view::npos ? "" : path.substr(dot + 1);
  }
  TREEPO_CHECK(path.empty() && value->is_array(), "{}: {} is no list", where, field);
  return dump_json(*value);
}

}  // namespace treepo
