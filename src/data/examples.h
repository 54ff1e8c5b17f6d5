#pragma once

#include <string>
#include <vector>

#include "data/source_report.h"
#include "data/source_spec.h"

namespace treepo {

// What is to be learned from: a prompt and its response as texts, or a chat.
struct TextExample {
  std::string prompt, response;
  std::string chat;   // in place of both: a JSON object with "messages", and "tools" where given
  std::string where;  // "FILE, line 12"
};

// Reads a source's examples, as its preset or "?prompt=…&response=…" says; without either
//   {"messages": [{"role", "content"}, …], "tools"?}
//   {"prompt", "response"}, a text or a chat and a text
// Other keys are left alone. Throws Error naming file and row on anything else, and where there is
// no example.
std::vector<TextExample> read_examples(const SourceSpec& source);
// The same, with bad rows treated as data.bad_rows says; `report` counts rows and what is left out.
std::vector<TextExample> read_examples(const SourceSpec& source, const BadRows& bad_rows,
                                       SourceReport& report);

}  // namespace treepo
