#include "data/prompt_writer.h"

#include <algorithm>
#include <span>
#include <utility>

#include "base/error.h"
#include "data/examples.h"

namespace treepo {

namespace {

constexpr std::string_view kQuestionPlace = "{question}";
constexpr const char* kParagraph = "\n\n";
constexpr size_t kRowsAtOnce = 1024;

OrderedJson message(const std::string& role, const std::string& content) {
  return {{"role", role}, {"content", content}};
}

std::string role_of(const OrderedJson& message) {
  return message["role"].get<std::string>();
}

void check_messages(const OrderedJson& messages, const std::string& where) {
  for (const OrderedJson& one : messages)
    if (!one.is_object() || !one.contains("role") || !one["role"].is_string())
      throw Error(where + ": a message without a \"role\"",
                  "a chat is a list of {\"role\": …, \"content\": …}");
  if (messages.empty()) throw Error(where + ": the chat is empty", "it needs at least one message");
}

Json parse_arguments(const std::string& text) {
  if (text.empty()) return Json::object();
  Json arguments = parse_json(text, "prompt.template_arguments");
  if (arguments.is_object()) return arguments;
  throw Error("prompt.template_arguments is no JSON object",
              "for example '{\"enable_thinking\": false}'");
}

}  // namespace

std::string place_of(const Problem& problem) {
  return problem.where.empty() ? fmt::format("problem \"{}\"", problem.id) : problem.where;
}

std::vector<int32_t> prompt_ids(const Problem& problem, const Tokenizer& tokenizer) {
  if (!problem.ids.empty()) return problem.ids;
  std::vector<int32_t> ids = tokenizer.encode(problem.prompt, !problem.is_chat);
  if (!ids.empty()) return ids;
  throw Error(fmt::format("{}: the prompt is empty and the tokenizer adds no token of its own",
                          place_of(problem)),
              "a model needs at least one token to go on from");
}

PromptWriter::PromptWriter(PromptOptions options, std::string model_directory)
    : options_(std::move(options)),
      model_directory_(std::move(model_directory)),
      template_arguments_(parse_arguments(options_.template_arguments)) {
  if (options_.few_shot.empty()) return;
  for (TextExample& example : read_examples(parse_source(options_.few_shot))) {
    if (std::ssize(examples_) == options_.few_shot_count) break;
    if (!example.chat.empty())
      throw Error(example.where + ": a chat, where a solved example was expected",
                  "prompt.few_shot takes rows {\"prompt\", \"response\"}, both texts");
    examples_.push_back({std::move(example.prompt), std::move(example.response)});
  }
  if (std::ssize(examples_) < options_.few_shot_count)
    throw Error(fmt::format("{} holds {} examples, prompt.few_shot_count is {}", options_.few_shot,
                            examples_.size(), options_.few_shot_count),
                "lower prompt.few_shot_count");
}

std::string PromptWriter::instructed(const std::string& question) const {
  if (options_.instruction.empty()) return question;
  const size_t place = options_.instruction.find(kQuestionPlace);
  if (place == std::string::npos) return question + "\n" + options_.instruction;
  std::string text = options_.instruction;
  return text.replace(place, kQuestionPlace.size(), question);
}

std::string PromptWriter::plain_prompt(const std::string& question) const {
  std::string text;
  if (!options_.system.empty()) text = options_.system + kParagraph;
  for (const SolvedExample& example : examples_) {
    const std::string asked = instructed(example.question);
    const bool ends_blank = !asked.empty() && (asked.back() == ' ' || asked.back() == '\n');
    text += asked + (ends_blank ? "" : " ") + example.answer + kParagraph;
  }
  return text + instructed(question);
}

OrderedJson PromptWriter::chat_messages(OrderedJson messages, const std::string& where) const {
  check_messages(messages, where);
  const auto last_user = std::find_if(messages.rbegin(), messages.rend(),
                                      [](const auto& one) { return role_of(one) == "user"; });
  if (last_user != messages.rend() && !options_.instruction.empty()) {
    OrderedJson& content = (*last_user)["content"];
    if (!content.is_string())
      throw Error(where + ": prompt.instruction can't go with a message whose content is no text");
    content = instructed(content.get<std::string>());
  }
  OrderedJson out = OrderedJson::array();
  auto rest = messages.begin();
  if (role_of(*rest) == "system") {
    out.push_back(*rest++);
  } else if (!options_.system.empty()) {
    out.push_back(message("system", options_.system));
  }
  for (const SolvedExample& example : examples_) {
    out.push_back(message("user", instructed(example.question)));
    out.push_back(message("assistant", example.answer));
  }
  out.insert(out.end(), rest, messages.end());
  return out;
}

std::string PromptWriter::chat_request(const OrderedJson& messages,
                                       bool add_generation_prompt) const {
  OrderedJson request = {{"messages", messages}, {"add_generation_prompt", add_generation_prompt}};
  for (const auto& [key, value] : template_arguments_.items()) request[key] = value;
  return dump_json(request);
}

bool PromptWriter::is_chat(const SourceRow& row) const {
  if (!row.problem.ids.empty()) return false;
  return options_.form == "chat" || (options_.form == "auto" && !row.chat.empty());
}

// A chat's messages as paragraphs.
std::string PromptWriter::plain_prompt_of(const SourceRow& row) const {
  if (row.chat.empty()) return plain_prompt(row.problem.prompt);
  const OrderedJson messages = OrderedJson::parse(row.chat);
  check_messages(messages, row.problem.where);
  std::string text;
  for (const OrderedJson& one : messages) {
    if (!one.contains("content") || !one["content"].is_string())
      throw Error(row.problem.where + ": a message whose content is no text",
                  "prompt.form = \"auto\" leaves it to the chat template");
    text += (text.empty() ? "" : kParagraph) + one["content"].get<std::string>();
  }
  return plain_prompt(text);
}

std::string PromptWriter::request_of(const SourceRow& row) const {
  const OrderedJson messages =
      chat_messages(row.chat.empty() ? OrderedJson{message("user", row.problem.prompt)}
                                     : OrderedJson::parse(row.chat),
                    row.problem.where);
  if (role_of(messages.back()) != "assistant") return chat_request(messages, true);
  OrderedJson request = OrderedJson::parse(chat_request(messages, false));
  request["continue_final_message"] = true;
  return dump_json(request);
}

ChatTemplate& PromptWriter::chat_template() {
  if (template_) return *template_;
  if (!model_directory_.empty())
    template_ = ChatTemplate::find(model_directory_, options_.chat_template);
  if (template_) return *template_;
  throw Error(model_directory_.empty()
                  ? std::string("a chat needs the template of a model, and there is none")
                  : model_directory_ + " brings no chat template, and prompts are chats",
              "name a Jinja file with prompt.chat_template, or set prompt.form = \"plain\"");
}

void PromptWriter::write(std::vector<SourceRow>& rows, SourceReport& report,
                         const BadRows& bad_rows) {
  std::vector<size_t> waiting;  // rows of the requests
  std::vector<std::string> requests;
  std::vector<bool> is_bad(rows.size());
  const auto fail = [&](size_t i, const Error& error) {
    bad_rows.add(report, error);
    is_bad[i] = true;
  };
  const auto render = [&] {
    if (requests.empty()) return;
    const std::vector<RenderedChat> chats = chat_template().render(requests);
    for (size_t k = 0; k < chats.size(); ++k) {
      SourceRow& row = rows[waiting[k]];
      row.problem.prompt = chats[k].text;
      row.problem.is_chat = true;
      if (!chats[k].error.empty())
        fail(waiting[k], Error(fmt::format("{}: chat template {}: {}", row.problem.where,
                                           chat_template().where(), chats[k].error)));
    }
    waiting.clear();
    requests.clear();
  };
  for (size_t i = 0; i < rows.size(); ++i) {
    try {
      if (!is_chat(rows[i])) {
        if (rows[i].problem.ids.empty()) rows[i].problem.prompt = plain_prompt_of(rows[i]);
        continue;
      }
      requests.push_back(request_of(rows[i]));
      waiting.push_back(i);
    } catch (const Error& error) {
      fail(i, error);
    }
    if (requests.size() == kRowsAtOnce) render();
  }
  render();
  size_t next = 0;
  std::erase_if(rows, [&](const SourceRow&) { return is_bad[next++]; });
}

}  // namespace treepo
