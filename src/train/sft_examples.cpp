#include "train/sft_examples.h"

#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "data/examples.h"
#include "data/prompt_writer.h"
#include "train/chat_turns.h"
#include "train/supervised_run.h"

namespace treepo {

namespace {

constexpr size_t kChatsAtOnce = 256;

// A text pair as the chat that prompt.form = "chat" makes of it.
std::string chat_of(const TextExample& text, const PromptWriter& prompts) {
  OrderedJson messages = prompts.chat_messages(
      OrderedJson::array({{{"role", "user"}, {"content", text.prompt}}}), text.where);
  messages.push_back({{"role", "assistant"}, {"content", text.response}});
  return dump_json(OrderedJson{{"messages", std::move(messages)}});
}

// Tokenizes what the sources hold, and keeps what fits.
class ExampleLoader {
 public:
  ExampleLoader(const RunOptions& options, const LoadedModel& model)
      : options_(options),
        model_(model),
        prompts_(options.prompt, model.tokenizer_dir),
        eos_ids_(model.decoder.config().eos_token_ids),
        eos_(demonstration_eos(eos_ids_)) {}

  void add(const SourceSpec& source) {
    std::vector<TextExample> texts = read_examples(source);
    for (TextExample& text : texts) {
      if (text.chat.empty() && prompts_.writes_chats()) text.chat = chat_of(text, prompts_);
      if (text.chat.empty()) {
        keep(tokenized_example(prompts_.plain_prompt(text.prompt), text.response, model_.tokenizer,
                               eos_),
             text.where);
      } else {
        chats_.push_back(std::move(text));
      }
      if (chats_.size() == kChatsAtOnce) add_chats();
    }
    add_chats();
  }

  int64_t left_out() const { return left_out_; }
  std::vector<Example> take() { return std::move(examples_); }

 private:
  void add_chats() {
    if (chats_.empty()) return;
    std::vector<ChatToLearn> chats;
    for (TextExample& text : chats_) chats.push_back({std::move(text.chat), text.where});
    for (LearnedChat& chat : learned_turns(chats, prompts_))
      keep(chat_example(chat, model_.tokenizer, eos_ids_), chat.where);
    chats_.clear();
  }

  void keep(Example example, const std::string& where) {
    const int64_t tokens = std::ssize(example.prompt) + std::ssize(example.response);
    const int64_t context = model_.decoder.config().max_positions;
    if (example.prompt.empty())
      throw Error(where + ": the prompt is empty and the tokenizer adds no token of its own",
                  "a model needs at least one token to go on from");
    if (options_.sft.max_tokens > 0 && tokens > options_.sft.max_tokens) {
      ++left_out_;
      return;
    }
    if (tokens > context)
      throw Error(fmt::format("{}: prompt and response have {} tokens, the model's context {}",
                              where, tokens, context),
                  fmt::format("set sft.max_tokens = {} to leave such examples out", context));
    examples_.push_back(std::move(example));
  }

  const RunOptions& options_;
  const LoadedModel& model_;
  PromptWriter prompts_;
  std::vector<int32_t> eos_ids_;
  int32_t eos_;
  std::vector<TextExample> chats_;  // that wait for their template
  std::vector<Example> examples_;
  int64_t left_out_ = 0;
};

}  // namespace

std::vector<Example> load_sft_examples(const std::vector<std::string>& sources,
                                       const RunOptions& options, const LoadedModel& model) {
  ExampleLoader loader(options, model);
  for (const SourceSpec& source : parse_sources(sources)) {
    if (source.weight)
      throw Error(source.path + ": examples of supervised training take no weights",
                  "each is learned once in an epoch: name a file twice to learn it twice");
    loader.add(source);
  }
  std::vector<Example> examples = loader.take();
  const std::string& first = sources.front();
  if (loader.left_out() > 0)
    log_warning("{}: {} of {} examples have more than {} tokens and are left out",
                sources.size() == 1 ? first : first + " and others", loader.left_out(),
                loader.left_out() + std::ssize(examples), options.sft.max_tokens);
  if (examples.empty())
    throw Error(first + ": every example is longer than sft.max_tokens",
                fmt::format("raise sft.max_tokens = {}", options.sft.max_tokens));
  return examples;
}

}  // namespace treepo
