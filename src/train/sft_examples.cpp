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
        bad_rows_(options.data.bad_rows == "skip"),
        prompts_(options.prompt, model.tokenizer_dir),
        eos_ids_(model.decoder.config().eos_token_ids),
        eos_(demonstration_eos(eos_ids_)) {}

  void add(const SourceSpec& source) {
    report_ = {};
    std::vector<TextExample> texts = read_examples(source, bad_rows_, report_);
    for (TextExample& text : texts) {
      if (text.chat.empty() && prompts_.writes_chats()) text.chat = chat_of(text, prompts_);
      if (text.chat.empty()) {
        add_texts(text);
      } else {
        chats_.push_back({std::move(text.chat), std::move(text.where)});
      }
      if (chats_.size() == kChatsAtOnce) add_chats();
    }
    add_chats();
    if (report_.left_out() > 0) log_warning("{}: {}", report_.path, report_.left_out_text());
  }

  std::vector<Example> take() { return std::move(examples_); }

 private:
  void add_texts(const TextExample& text) {
    try {
      keep(checked(tokenized_example(prompts_.plain_prompt(text.prompt), text.response,
                                     model_.tokenizer, eos_),
                   text.where));
    } catch (const Error& error) {
      bad_rows_.add(report_, error);
    }
  }

  // All at once; one by one where the template refuses some, to find out which.
  void add_chats() {
    if (chats_.empty()) return;
    try {
      learn(chats_);
    } catch (const Error&) {
      for (const ChatToLearn& chat : chats_) {
        try {
          learn(std::span(&chat, 1));
        } catch (const Error& error) {
          bad_rows_.add(report_, error);
        }
      }
    }
    chats_.clear();
  }

  void learn(std::span<const ChatToLearn> chats) {
    std::vector<Example> made;  // nothing is kept of chats that are tried again
    for (const LearnedChat& chat : learned_turns(chats, prompts_))
      made.push_back(checked(chat_example(chat, model_.tokenizer, eos_ids_), chat.where));
    for (Example& example : made) keep(std::move(example));
  }

  int64_t tokens_of(const Example& example) const {
    return std::ssize(example.prompt) + std::ssize(example.response);
  }
  bool is_left_out(const Example& example) const {
    return options_.sft.max_tokens > 0 && tokens_of(example) > options_.sft.max_tokens;
  }

  // Throws Error where the model can't learn the example.
  Example checked(Example example, const std::string& where) const {
    const int64_t context = model_.decoder.config().max_positions;
    if (example.prompt.empty())
      throw Error(where + ": the prompt is empty and the tokenizer adds no token of its own",
                  "a model needs at least one token to go on from");
    if (!is_left_out(example) && tokens_of(example) > context)
      throw Error(fmt::format("{}: prompt and response have {} tokens, the model's context {}",
                              where, tokens_of(example), context),
                  fmt::format("set sft.max_tokens = {} to leave such examples out", context));
    example.where = where;
    return example;
  }

  void keep(Example example) {
    if (is_left_out(example)) {
      ++report_.too_long;
      return;
    }
    examples_.push_back(std::move(example));
  }

  const RunOptions& options_;
  const LoadedModel& model_;
  BadRows bad_rows_;
  PromptWriter prompts_;
  std::vector<int32_t> eos_ids_;
  int32_t eos_;
  SourceReport report_;             // of the source that is read
  std::vector<ChatToLearn> chats_;  // that wait for their template
  std::vector<Example> examples_;
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
  if (examples.empty())
    throw Error(
        sources.front() + ": no example is left to learn from",
        fmt::format("raise sft.max_tokens = {}, or look at the rows that the warnings above "
                    "name",
                    options.sft.max_tokens));
  return examples;
}

}  // namespace treepo
