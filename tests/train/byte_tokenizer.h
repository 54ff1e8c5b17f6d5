#pragma once

#include <string>

#include "base/files.h"
#include "base/json.h"
#include "support/temporary_directory.h"
#include "text/tokenizer.h"

namespace treepo {

// A byte-level tokenizer in which "é" (bytes C3 A9) takes two tokens:
//   0 <eos>  1 <tool>  2 a  3 b  4 "\xC3"  5 "\xA9"  6 \boxed{  7 }  8 " stop"
inline Tokenizer byte_tokenizer() {
  const TemporaryDirectory directory;
  const auto special = [](int id, const std::string& content) {
    return Json{{"id", id},        {"content", content},  {"single_word", false}, {"lstrip", false},
                {"rstrip", false}, {"normalized", false}, {"special", true}};
  };
  const Json byte_level = {{"type", "ByteLevel"},
                           {"add_prefix_space", false},
                           {"trim_offsets", true},
                           {"use_regex", false}};
  const Json vocabulary = {{"<eos>", 0}, {"<tool>", 1},   {"a", 2}, {"b", 3},    {"Ã", 4},
                           {"©", 5},     {"\\boxed{", 6}, {"}", 7}, {"Ġstop", 8}};
  const Json tokenizer = {
      {"added_tokens", {special(0, "<eos>"), special(1, "<tool>")}},
      {"normalizer", nullptr},
      {"pre_tokenizer", byte_level},
      {"post_processor", nullptr},
      {"decoder", byte_level},
      {"model", {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", Json::array()}}}};
  write_file_atomically(directory / "tokenizer.json", tokenizer.dump());
  return Tokenizer::load(directory.path());
}

}  // namespace treepo
