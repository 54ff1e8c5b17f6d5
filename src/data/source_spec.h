#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace treepo {

// One entry of data.train, data.test, sft.train, prompt.few_shot:
//
//   [NAME=][WEIGHT*][PRESET:]FILE[?FIELD=VALUE&FIELD=VALUE…]
//   math500.jsonl      deepscaler:train_math.json?difficulty=3..5      aime24=0.3*aime:a.jsonl
//
// A text that is the name of a file as it stands is that file and nothing else.
struct SourceSpec {
  std::string name;              // of the data set: NAME, else the file's name without its ending
  std::optional<double> weight;  // relative share of the queries; finite, above 0
  std::string preset;            // data/presets.h; empty: none
  std::string path;
  // After "?": prompt, answer, id and response name fields of the row, every other key is a
  // condition on the field of that name (data/row_condition.h).
  std::vector<std::pair<std::string, std::string>> arguments;
};

// Throws Error, naming the text, on a weight that is none, an unknown preset, no file.
SourceSpec parse_source(const std::string& text);

// The same for a list. Where names repeat, the folder's name is put in front ("gsm8k/train").
// Throws Error where they still do, and where some sources have a weight and others none.
std::vector<SourceSpec> parse_sources(const std::vector<std::string>& texts);

}  // namespace treepo
