#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"

namespace treepo {

class PythonWorkers;

// A rendered chat, or why it can't be.
struct RenderedChat {
  std::string text;
  // [begin, end) in bytes of `text` of what the template marks as the assistant's words.
  std::vector<std::pair<size_t, size_t>> assistant;
  std::string error;  // empty: rendered
};

// The Jinja template that turns a chat into text: the same text as transformers'
// apply_chat_template(tokenize=False). Jinja2 itself runs it, in Python workers that start with the
// first chat.
class ChatTemplate {
 public:
  // The template of a model's directory, or of a file in place of its
  // tokenizer_config.json: chat_template.jinja, else "chat_template" of
  // tokenizer_config.json, a text or named ones, of which "tool_use" is for chats with tools and
  // "default" for the others. `choice`: another file, or the name of one of the model's; empty:
  // as said. Nothing where the model brings none. Throws Error on a choice that is neither.
  static std::optional<ChatTemplate> find(const std::string& directory_or_file,
                                          const std::string& choice = "");
  ~ChatTemplate();
  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;

  // Each chat is the text of a JSON object as apply_chat_template takes it: "messages", and perhaps
  // "tools", "documents", "add_generation_prompt", "continue_final_message", and any variable of
  // the template ("enable_thinking"). One result for each; a chat that the template refuses, or
  // takes too long for, has an error. Throws Error where no worker can run (Jinja2 is missing).
  std::vector<RenderedChat> render(std::span<const std::string> chats);

  // Of a worker's turn, up to some tens of chats; 10 seconds unless set.
  void set_time_limit(double seconds);

  // Where it comes from, for errors: "DIR/tokenizer_config.json".
  const std::string& where() const { return where_; }

 private:
  ChatTemplate();
  std::vector<RenderedChat> render_some(std::span<const std::string> chats);
  Json request_for(std::span<const std::string> chats) const;

  std::string where_, text_;
  std::optional<std::string> tool_text_;
  Json variables_;  // special tokens: "bos_token", …
  std::unique_ptr<PythonWorkers> workers_;
  double time_limit_s_ = 10;
  int stuck_ = 0;  // chats that took too long, or that a worker died of
};

}  // namespace treepo
