#include "train/chat_turns.h"

#include <algorithm>
#include <string_view>

#include "base/error.h"

namespace treepo {

namespace {

// The renderings that show where an assistant's turn begins and ends.
struct Turn {
  size_t prompt, whole;  // indices of requests: up to the turn, and with it
};

struct PendingChat {
  std::vector<Turn> turns;
  std::string where;
};

// Requests for all turns of a chat.
PendingChat requests_of(const ChatToLearn& chat, const PromptWriter& prompts,
                        std::vector<std::string>& requests) {
  const OrderedJson given = OrderedJson::parse(chat.chat);
  const OrderedJson& messages = given["messages"];
  PendingChat pending{.turns = {}, .where = chat.where};
  OrderedJson so_far = OrderedJson::array();
  const auto add = [&](bool add_generation_prompt) {
    OrderedJson request = OrderedJson::parse(prompts.chat_request(so_far, add_generation_prompt));
    if (given.contains("tools")) request["tools"] = given["tools"];
    requests.push_back(dump_json(request));
    return requests.size() - 1;
  };
  for (const OrderedJson& message : messages) {
    if (!message.is_object() || !message.contains("role") || !message["role"].is_string())
      throw Error(chat.where + ": a message without a \"role\"",
                  "a chat is a list of {\"role\": …, \"content\": …}");
    const bool is_turn = message["role"] == "assistant" && !so_far.empty();
    const size_t prompt = is_turn ? add(true) : 0;
    so_far.push_back(message);
    if (is_turn) pending.turns.push_back({prompt, add(false)});
  }
  if (pending.turns.empty())
    throw Error(chat.where + ": no message of the chat is an answer of the assistant's",
                "loss is on messages of role assistant that follow another");
  return pending;
}

const std::string& text_of(const RenderedChat& chat, const std::string& where,
                           PromptWriter& prompts) {
  if (chat.error.empty()) return chat.text;
  throw Error(
      fmt::format("{}: chat template {}: {}", where, prompts.chat_template().where(), chat.error));
}

// All turns as parts of the last rendering, where each rendering continues the one before it.
bool parts_of_one(const PendingChat& chat, std::span<const RenderedChat> rendered,
                  LearnedChat& out) {
  const std::string& all = rendered[chat.turns.back().whole].text;
  for (const Turn& turn : chat.turns) {
    const std::string &prompt = rendered[turn.prompt].text, &whole = rendered[turn.whole].text;
    if (!all.starts_with(prompt) || !all.starts_with(whole) || whole.size() <= prompt.size())
      return false;
    out.learned.emplace_back(prompt.size(), whole.size());
  }
  out.text = all;
  return true;
}

void add_learned(const PendingChat& chat, std::span<const RenderedChat> rendered,
                 PromptWriter& prompts, std::vector<LearnedChat>& out) {
  for (const Turn& turn : chat.turns)
    for (const size_t request : {turn.prompt, turn.whole})
      text_of(rendered[request], chat.where, prompts);
  const RenderedChat& last = rendered[chat.turns.back().whole];
  if (!last.assistant.empty()) {
    out.push_back({last.text, last.assistant, chat.where});
    return;
  }
  if (LearnedChat one{.text = {}, .learned = {}, .where = chat.where};
      parts_of_one(chat, rendered, one)) {
    out.push_back(std::move(one));
    return;
  }
  for (const Turn& turn : chat.turns) {
    const std::string &prompt = rendered[turn.prompt].text, &whole = rendered[turn.whole].text;
    if (!whole.starts_with(prompt) || whole.size() == prompt.size())
      throw Error(fmt::format("{}: chat template {} does not write an answer behind the prompt "
                              "that asks for it",
                              chat.where, prompts.chat_template().where()),
                  "mark the assistant's words in the template with {% generation %} … "
                  "{% endgeneration %}, and name it with prompt.chat_template");
    out.push_back({whole, {{prompt.size(), whole.size()}}, chat.where});
  }
}

}  // namespace

std::vector<LearnedChat> learned_turns(std::span<const ChatToLearn> chats, PromptWriter& prompts) {
  std::vector<std::string> requests;
  std::vector<PendingChat> pending;
  for (const ChatToLearn& chat : chats) pending.push_back(requests_of(chat, prompts, requests));
  const std::vector<RenderedChat> rendered = prompts.chat_template().render(requests);
  std::vector<LearnedChat> learned;
  for (const PendingChat& chat : pending) add_learned(chat, rendered, prompts, learned);
  return learned;
}

Example chat_example(const LearnedChat& chat, const Tokenizer& tokenizer,
                     std::span<const int32_t> eos_ids) {
  const std::string_view text = chat.text;
  Example example;
  size_t at = 0;
  for (const auto& [begin, end] : chat.learned) {
    const std::vector<int32_t> read = tokenizer.encode(text.substr(at, begin - at), false);
    const std::vector<int32_t> answer = tokenizer.encode(text.substr(begin, end - begin), false);
    at = end;
    if (example.response.empty() && example.prompt.empty()) {
      example.prompt = read;
    } else {
      example.response.insert(example.response.end(), read.begin(), read.end());
      example.learned.resize(example.response.size(), false);
    }
    const auto last_eos =
        std::find_first_of(answer.rbegin(), answer.rend(), eos_ids.begin(), eos_ids.end());
    const auto num_learned =
        last_eos == answer.rend() ? answer.size() : static_cast<size_t>(answer.rend() - last_eos);
    example.response.insert(example.response.end(), answer.begin(), answer.end());
    example.learned.resize(example.learned.size() + num_learned, true);
    example.learned.resize(example.response.size(), false);
  }
  return example;
}

}  // namespace treepo
