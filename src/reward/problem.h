#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace treepo {

// One question: what the model reads and what its verifier needs. It lies here, not in data/,
// because rewards come before data sets in the order of folders.
struct Problem {
  std::string id;            // unique within its data set
  std::string prompt;        // what the model reads, unless ids is set
  bool is_chat = false;      // prompt is written by a chat template: it has its special tokens
  std::vector<int32_t> ids;  // the prompt as token ids, taken as they are; empty: use prompt
  std::optional<std::string> answer;  // reference answer; "" is an answer, nullopt is none
  std::string where;                  // "train.jsonl, line 12": names the row in errors
  std::string source;                 // name of the data set it comes from: "math500"
  std::string row;  // all fields of its row as a JSON object, for verifiers; empty: none
};

}  // namespace treepo
