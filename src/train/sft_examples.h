#pragma once

#include <string>
#include <vector>

#include "config/options.h"
#include "learn/pack.h"
#include "train/model_setup.h"

namespace treepo {

// The examples of options.sft.train or test as tokens, checked against the model's context. Those
// beyond sft.max_tokens, and with data.bad_rows = "skip" those that can't be used, are left out,
// with a warning for each source that counts them.
//
// Texts: the prompt as prompt.* writes it with the tokenizer's special tokens, then the response
// and EOS. Chats: as the model's template writes them; learned is what it marks as the assistant's
// words ({% generation %}), else each assistant's turn: what follows the rendering of the messages
// before it, with a generation prompt, up to and with EOS. Where a template writes earlier turns
// otherwise once others follow (it drops their thinking), each turn is an example of its own.
// Throws Error naming file and row.
std::vector<Example> load_sft_examples(const std::vector<std::string>& sources,
                                       const RunOptions& options, const LoadedModel& model);

}  // namespace treepo
