#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "config/options.h"  // PromptOptions
#include "data/problem_rows.h"
#include "data/source_report.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace treepo {

// Makes of questions what the model reads, as prompt.* says: system prompt, solved examples, the
// question with its instruction; as text, or as a chat in the model's template.
//
//   plain  SYSTEM \n\n QUESTION 1 ANSWER 1 \n\n … QUESTION        a space before an answer, unless
//                                                                 its question ends with white
//                                                                 space
//   chat   system: SYSTEM, user: QUESTION 1, assistant: ANSWER 1, … user: QUESTION
//
// A row that is a chat keeps its messages; a system message of its own stands in place of
// prompt.system, and the instruction goes with its last user message. A chat that ends with an
// assistant's message is to be gone on with.
class PromptWriter {
 public:
  // model_directory: with the chat template; empty: there is none. Throws Error on what is wrong
  // with the options or the file of examples.
  PromptWriter(PromptOptions options, std::string model_directory);

  // Fills in Problem::prompt and is_chat. Rows that the template refuses go the way of bad rows.
  void write(std::vector<SourceRow>& rows, SourceReport& report, const BadRows& bad_rows);

  bool writes_chats() const { return options_.form == "chat"; }  // of rows that are text
  std::string plain_prompt(const std::string& question) const;
  // With prompt.system, examples and instruction. Throws Error, naming `where`, on messages that
  // are none.
  OrderedJson chat_messages(OrderedJson messages, const std::string& where) const;
  // The JSON that the template is given, with prompt.template_arguments.
  std::string chat_request(const OrderedJson& messages, bool add_generation_prompt) const;
  // Throws Error where the model brings no template.
  ChatTemplate& chat_template();

 private:
  struct SolvedExample {
    std::string question, answer;
  };
  std::string instructed(const std::string& question) const;
  bool is_chat(const SourceRow& row) const;
  std::string plain_prompt_of(const SourceRow& row) const;
  std::string request_of(const SourceRow& row) const;

  PromptOptions options_;
  std::string model_directory_;
  Json template_arguments_;
  std::vector<SolvedExample> examples_;
  std::optional<ChatTemplate> template_;
};

// Problem::ids, or its prompt's tokens: with the tokenizer's special tokens, unless a chat template
// wrote it. Throws Error, naming the row, where there is none at all.
std::vector<int32_t> prompt_ids(const Problem& problem, const Tokenizer& tokenizer);

// "train.jsonl, line 12", or "problem "carry-7"" of one that lies in no file.
std::string place_of(const Problem& problem);

}  // namespace treepo
