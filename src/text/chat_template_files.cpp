#include "text/chat_template_files.h"

#include <fmt/ranges.h>  // fmt::join

#include <map>
#include <vector>

#include "base/error.h"
#include "base/files.h"

namespace treepo {

namespace {

constexpr const char* kDefault = "default";
constexpr const char* kToolUse = "tool_use";
constexpr std::string_view kEnding = ".jinja";

struct NamedTemplate {
  std::string text, where;
};
using NamedTemplates = std::map<std::string, NamedTemplate>;

// A token is written as its text, or as an object with "content".
std::optional<Json> token_text(const Json& token) {
  if (token.is_string()) return token;
  if (token.is_object() && token.contains("content") && token["content"].is_string())
    return token["content"];
  return std::nullopt;
}

void add_special_tokens(const Json& config, Json& tokens) {
  for (const auto& [key, value] : config.items()) {
    if (key == "additional_special_tokens" && value.is_array()) {
      Json list = Json::array();
      for (const Json& token : value)
        if (const auto text = token_text(token)) list.push_back(*text);
      tokens[key] = std::move(list);
    } else if (key.ends_with("_token")) {
      if (const auto text = token_text(value)) tokens[key] = *text;
    }
  }
}

// special_tokens_map.json counts where tokenizer_config.json says nothing.
Json special_tokens_of(const std::string& directory, const Json& config) {
  Json tokens = Json::object();
  const std::string map = join_path(directory, "special_tokens_map.json");
  if (!directory.empty() && file_system().exists(map))
    add_special_tokens(read_json_file(map), tokens);
  add_special_tokens(config, tokens);
  return tokens;
}

void add_configured(const Json& config, const std::string& where, NamedTemplates& named) {
  if (!has_key(config, "chat_template")) return;
  const Json& value = config["chat_template"];
  if (value.is_string()) {
    named[kDefault] = {value.get<std::string>(), where};
    return;
  }
  for (const Json& one : get_array(config, "chat_template", where))
    named[get_string(one, "name", where)] = {get_string(one, "template", where), where};
}

void add_file(const std::string& path, const std::string& name, NamedTemplates& named) {
  if (file_system().exists(path)) named[name] = {read_file(path), path};
}

NamedTemplates templates_of(const std::string& directory, const Json& config,
                            const std::string& config_path) {
  NamedTemplates named;
  add_configured(config, config_path, named);
  if (directory.empty()) return named;
  add_file(join_path(directory, "chat_template.jinja"), kDefault, named);
  const std::string more = join_path(directory, "additional_chat_templates");
  if (!file_system().is_directory(more)) return named;
  for (const std::string& file : file_system().list(more))
    if (file.ends_with(kEnding))
      add_file(join_path(more, file), file.substr(0, file.size() - kEnding.size()), named);
  return named;
}

[[noreturn]] void throw_no_choice(const std::string& choice, const std::string& directory,
                                  const NamedTemplates& named) {
  std::vector<std::string> names;
  for (const auto& [name, text] : named) names.push_back(name);
  throw Error(fmt::format("prompt.chat_template = \"{}\" is no file, and no template of {}", choice,
                          directory),
              names.empty() ? "the model brings none: name a file with a Jinja template"
                            : fmt::format("name a file, or one of {}", fmt::join(names, ", ")));
}

}  // namespace

std::optional<ChatTemplateFiles> find_chat_template(const std::string& directory_or_file,
                                                    const std::string& choice) {
  const bool is_file = directory_or_file.ends_with(".json");
  const std::string directory = is_file ? "" : directory_or_file;
  const std::string config_path =
      is_file ? directory_or_file : join_path(directory, "tokenizer_config.json");
  const Json config =
      file_system().exists(config_path) ? read_json_file(config_path) : Json::object();
  NamedTemplates named = templates_of(directory, config, config_path);
  ChatTemplateFiles found{.where = {},
                          .text = {},
                          .tool_text = {},
                          .special_tokens = special_tokens_of(directory, config)};
  const auto chosen = named.find(choice.empty() ? kDefault : choice);
  if (chosen != named.end()) {
    found.text = chosen->second.text;
    found.where = chosen->second.where;
    const auto tools = named.find(kToolUse);
    if (choice.empty() && tools != named.end()) found.tool_text = tools->second.text;
    return found;
  }
  if (choice.empty()) return std::nullopt;
  if (!file_system().exists(choice) || file_system().is_directory(choice))
    throw_no_choice(choice, directory_or_file, named);
  found.text = read_file(choice);
  found.where = choice;
  return found;
}

}  // namespace treepo
