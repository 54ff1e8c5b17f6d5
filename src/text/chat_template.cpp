#include "text/chat_template.h"

#include <algorithm>

#include "base/error.h"
#include "base/files.h"
#include "base/python_workers.h"
#include "text/chat_template_files.h"

namespace treepo {

namespace {

constexpr const char* kHandler = "template";
constexpr size_t kChatsAtOnce = 64;
constexpr size_t kRequestsAtOnce = 4;
// A template that takes for ever on so many chats is not tried on those beside them.
constexpr int kMostStuck = 3;

RenderedChat read_result(const Json& result) {
  RenderedChat chat;
  chat.error = get_string_or(result, "error", "", "the template's result");
  if (!chat.error.empty()) return chat;
  chat.text = result.at("text").get<std::string>();
  for (const Json& span : result.at("assistant"))
    chat.assistant.emplace_back(span.at(0).get<size_t>(), span.at(1).get<size_t>());
  return chat;
}

}  // namespace

ChatTemplate::ChatTemplate() = default;
ChatTemplate::~ChatTemplate() = default;
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;

std::optional<ChatTemplate> ChatTemplate::find(const std::string& directory_or_file,
                                               const std::string& choice) {
  std::optional<ChatTemplateFiles> files = find_chat_template(directory_or_file, choice);
  if (!files) return std::nullopt;
  ChatTemplate found;
  found.where_ = std::move(files->where);
  found.text_ = std::move(files->text);
  found.tool_text_ = std::move(files->tool_text);
  found.variables_ = std::move(files->special_tokens);
  return found;
}

void ChatTemplate::set_time_limit(double seconds) {
  time_limit_s_ = seconds;
  workers_.reset();
}

std::vector<RenderedChat> ChatTemplate::render(std::span<const std::string> chats) {
  if (!workers_) {
    workers_ = std::make_unique<PythonWorkers>(
        PythonWorkerSettings{.workers = 2, .timeout_s = time_limit_s_});
    workers_->require(kHandler);
  }
  std::vector<RenderedChat> rendered;
  while (!chats.empty()) {
    const size_t count = std::min(chats.size(), kChatsAtOnce * kRequestsAtOnce);
    for (RenderedChat& chat : render_some(chats.first(count))) rendered.push_back(std::move(chat));
    chats = chats.subspan(count);
  }
  return rendered;
}

Json ChatTemplate::request_for(std::span<const std::string> chats) const {
  return {{"template", text_},
          {"tool_template", tool_text_ ? Json(*tool_text_) : Json()},
          {"variables", variables_},
          {"chats", std::vector<std::string>(chats.begin(), chats.end())}};
}

std::vector<RenderedChat> ChatTemplate::render_some(std::span<const std::string> chats) {
  std::vector<std::span<const std::string>> parts;
  std::vector<Json> requests;
  for (size_t begin = 0; begin < chats.size(); begin += kChatsAtOnce) {
    parts.push_back(chats.subspan(begin, std::min(kChatsAtOnce, chats.size() - begin)));
    requests.push_back(request_for(parts.back()));
  }
  std::vector<RenderedChat> rendered;
  const std::vector<PythonReply> replies = workers_->call(kHandler, requests);
  for (size_t i = 0; i < parts.size(); ++i) {
    const auto fail = [&] {
      rendered.push_back({.text = {}, .assistant = {}, .error = replies[i].message});
    };
    if (replies[i].status == PythonReply::Status::ok) {
      for (const Json& result : replies[i].value) rendered.push_back(read_result(result));
    } else if (parts[i].size() == 1) {
      ++stuck_;
      fail();
    } else if (stuck_ >= kMostStuck) {
      for (size_t k = 0; k < parts[i].size(); ++k) fail();
    } else {  // which of them it was: one by one
      for (const std::string& chat : parts[i])
        if (stuck_ >= kMostStuck) {
          fail();
        } else {
          rendered.push_back(std::move(render_some(std::span(&chat, 1)).front()));
        }
    }
  }
  return rendered;
}

}  // namespace treepo
