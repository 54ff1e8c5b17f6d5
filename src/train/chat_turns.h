#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "data/prompt_writer.h"
#include "learn/pack.h"
#include "text/tokenizer.h"

namespace treepo {

// A chat of supervised training: a JSON object with "messages", and "tools" where given.
struct ChatToLearn {
  std::string chat, where;
};

// A rendered chat and the parts of it that are learned.
//   <user>Hi</user><bot>Hello!</bot><user>1+1?</user><bot>2</bot>
//                       ------------                      -------
struct LearnedChat {
  std::string text;
  std::vector<std::pair<size_t, size_t>> learned;  // [begin, end) in bytes, ascending
  std::string where;
};

// One for each chat, or one for each assistant's turn where the template writes earlier turns
// otherwise once others follow. Throws Error, naming the row, where the template refuses a chat or
// no message is an assistant's.
std::vector<LearnedChat> learned_turns(std::span<const ChatToLearn> chats, PromptWriter& prompts);

// Every part is tokenized alone, as sampling would go on from its beginning; of a learned part the
// tokens behind its last EOS are read only.
Example chat_example(const LearnedChat& chat, const Tokenizer& tokenizer,
                     std::span<const int32_t> eos_ids);

}  // namespace treepo
