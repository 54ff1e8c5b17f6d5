#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "config/options.h"  // DataOptions
#include "data/presets.h"
#include "data/row_condition.h"
#include "data/source_spec.h"

namespace treepo {

// Where a source's rows keep what: its preset's fields or those of the options, replaced by what
// stands behind "?" in the source.
class RowFields {
 public:
  RowFields(const SourceSpec& source, const DataOptions& options);

  const Preset* preset() const { return preset_; }  // null: none
  const std::string& prompt() const { return prompt_; }
  const std::string& id() const { return id_; }
  const std::string& response() const { return response_; }

  bool wants(const Json& row, const std::string& where) const;  // by the source's conditions

  // The question. Throws Error, naming row and field, where it is missing or no text.
  std::string prompt_text(const Json& row, const std::string& where) const;
  // Nothing where the row has none. Throws Error where it has what can't be one.
  std::optional<std::string> answer(const Json& row, const std::string& where) const;
  // A list of messages as it stands in the row's text, keys in their order.
  std::string chat_text(std::string_view row_text, const std::string& field,
                        const std::string& where) const;

 private:
  const Preset* preset_ = nullptr;
  bool prompt_is_named_ = false;
  std::string prompt_, id_, response_;
  std::vector<AnswerField> answers_;
  std::string answer_;  // what a path of answers_ may refer to
  std::vector<RowCondition> conditions_;
};

}  // namespace treepo
