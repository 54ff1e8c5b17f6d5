#include "text/prompt_command.h"

#include <istream>
#include <ostream>
#include <vector>

#include "base/error.h"

namespace treepo {

namespace {

constexpr size_t kLinesAtOnce = 1024;

struct ChatLine {
  std::string text, where;
};

void check_chat(const std::string& text, const std::string& where) {
  const Json chat = parse_json(text, where);
  if (!chat.is_object())
    throw Error(where + ": a JSON object was expected", "one {\"messages\": […]} for each line");
  get_array(chat, "messages", where);
}

// False where the input ends.
bool read_lines(std::istream& in, const std::string& name, int64_t& number,
                std::vector<ChatLine>& lines) {
  lines.clear();
  for (std::string line; lines.size() < kLinesAtOnce && std::getline(in, line);) {
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    lines.push_back({std::move(line), fmt::format("{}, line {}", name, number)});
    check_chat(lines.back().text, lines.back().where);
  }
  if (in.bad()) throw Error(name + " cannot be read to its end");
  return !lines.empty();
}

}  // namespace

void render_chat_lines(ChatTemplate& chat_template, std::istream& in, const std::string& input_name,
                       std::ostream& out) {
  std::vector<ChatLine> lines;
  for (int64_t number = 0; read_lines(in, input_name, number, lines);) {
    std::vector<std::string> chats;
    for (ChatLine& line : lines) chats.push_back(std::move(line.text));
    const std::vector<RenderedChat> rendered = chat_template.render(chats);
    for (size_t i = 0; i < rendered.size(); ++i) {
      if (!rendered[i].error.empty())
        throw Error(fmt::format("{}: chat template {}: {}", lines[i].where, chat_template.where(),
                                rendered[i].error));
      out << dump_json(Json{{"prompt", rendered[i].text}}) << '\n';
      if (!out) throw Error(lines[i].where + ": the result cannot be written");
    }
  }
}

}  // namespace treepo
