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
  std::string prompt;        // text for the tokenizer, unless ids is set
  std::vector<int32_t> ids;  // the prompt as token ids, taken as they are; empty: use prompt
  std::optional<std::string> answer;  // reference answer; "" is an answer, nullopt is none
  std::string where;                  // "train.jsonl, line 12": names the row in errors
};

}  // namespace treepo
