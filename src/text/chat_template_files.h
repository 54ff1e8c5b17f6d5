#pragma once

#include <optional>
#include <string>

#include "base/json.h"

namespace treepo {

// What a model's directory says of its chat template.
struct ChatTemplateFiles {
  std::string where;                     // the file it comes from
  std::string text;                      // Jinja
  std::optional<std::string> tool_text;  // for chats with tools, where that is another one
  Json special_tokens;                   // object: "bos_token": "<s>", …
};

// ChatTemplate::find's rules.
std::optional<ChatTemplateFiles> find_chat_template(const std::string& directory_or_file,
                                                    const std::string& choice);

}  // namespace treepo
