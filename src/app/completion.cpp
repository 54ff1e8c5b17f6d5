#include "app/completion.h"

#include <fmt/format.h>

#include <vector>

#include "config/declare.h"

namespace treepo {

namespace {

struct Flag {
  std::string name, help;
  bool takes_value = false;
};

struct Command {
  std::string path;  // "bench sample"; empty: the program itself
  std::string help;
  std::vector<std::string> words;  // commands below it, with `word_helps`
  std::vector<std::string> word_helps;
  std::vector<Flag> flags;
};

void collect(const CLI::App& app, const std::string& path, std::vector<Command>& commands) {
  Command command{
      .path = path, .help = app.get_description(), .words = {}, .word_helps = {}, .flags = {}};
  for (const CLI::App* below : app.get_subcommands([](const CLI::App*) { return true; })) {
    command.words.push_back(below->get_name());
    command.word_helps.push_back(below->get_description());
  }
  for (const CLI::Option* option : app.get_options())
    for (const std::string& name : option->get_lnames())
      command.flags.push_back(
          {"--" + name, option->get_description(), option->get_items_expected_max() > 0});
  commands.push_back(std::move(command));
  for (const CLI::App* below : app.get_subcommands([](const CLI::App*) { return true; }))
    collect(*below, path.empty() ? below->get_name() : path + " " + below->get_name(), commands);
}

std::vector<Command> commands_of(const CLI::App& program) {
  std::vector<Command> commands;
  collect(program, "", commands);
  return commands;
}

std::string option_keys() {
  RunOptions defaults;
  const OptionTable table = declare_options(defaults);
  std::string keys;
  for (const Option& option : table.options()) keys += (keys.empty() ? "" : " ") + option.key + "=";
  return keys;
}

std::string joined_words(const Command& command) {
  std::string text;
  for (const std::string& word : command.words) text += word + " ";
  for (const Flag& flag : command.flags) text += flag.name + " ";
  if (!text.empty()) text.pop_back();
  return text;
}

// For zsh's _describe and _arguments: single quotes, colons and brackets mean something there.
std::string zsh_text(const std::string& help) {
  std::string text;
  for (const char c : help) {
    if (c == '\n') break;
    if (c == '\'') {
      text += "'\\''";
    } else {
      if (c == ':' || c == '[' || c == ']') text += '\\';
      text += c;
    }
  }
  return text;
}

std::string zsh_function(const std::string& path) {
  std::string name = "_treepo";
  for (const char c : path.empty() ? path : " " + path) name += c == ' ' ? '_' : c;
  return name;
}

std::string zsh_command(const Command& command) {
  std::string text =
      fmt::format("{}() {{\n  local state line\n  local -a commands\n", zsh_function(command.path));
  text += command.words.empty() ? "" : "  commands=(\n";
  for (size_t i = 0; i < command.words.size(); ++i)
    text += fmt::format("    '{}:{}'\n", command.words[i], zsh_text(command.word_helps[i]));
  text += command.words.empty() ? "" : "  )\n";
  text += "  _arguments -C";
  for (const Flag& flag : command.flags) {
    const char* action = flag.name == "--set" ? ":KEY=VALUE:_treepo_keys" : ":value:_files";
    text += fmt::format(" \\\n    '*{}[{}]{}'", flag.name, zsh_text(flag.help),
                        flag.takes_value ? action : "");
  }
  if (command.words.empty()) return text + " \\\n    '*:file:_files'\n}\n";
  text += " \\\n    '1:command:->command' \\\n    '*::argument:->rest'\n";
  text += "  [[ $state == command ]] && _describe command commands\n";
  text += "  [[ $state == rest ]] || return\n  case $words[1] in\n";
  for (const std::string& word : command.words)
    text += fmt::format("    {}) {} ;;\n", word,
                        zsh_function(command.path.empty() ? word : command.path + " " + word));
  return text + "  esac\n}\n";
}

}  // namespace

std::string bash_completion(const CLI::App& program) {
  std::string cases;
  for (const Command& command : commands_of(program))
    cases += fmt::format("    \"{}\") words=\"{}\" ;;\n", command.path, joined_words(command));
  return fmt::format(R"(# bash completion for treepo
_treepo() {{
  local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} path="" words="" i
  COMPREPLY=()
  # COMP_WORDBREAKS cuts KEY=VALUE at "=": what follows it is a file or a number.
  if [[ $word == "=" || $before == "=" ]]; then
    COMPREPLY=($(compgen -f -- "${{word#=}}"))
    return
  fi
  if [[ $before == --set ]]; then
    compopt -o nospace 2>/dev/null
    COMPREPLY=($(compgen -W "{}" -- "$word"))
    return
  fi
  for ((i = 1; i < COMP_CWORD; ++i)); do
    case "${{path:+$path }}${{COMP_WORDS[i]}}" in
{}    esac
  done
  case "$path" in
{}  esac
  if [[ $word == -* || -z $path || $path == bench ]]; then
    COMPREPLY=($(compgen -W "$words" -- "$word"))
  else
    compopt -o filenames 2>/dev/null
    COMPREPLY=($(compgen -f -- "$word"))
  fi
}}
complete -F _treepo treepo
)",
                     option_keys(),
                     [&] {
                       std::string paths;
                       for (const Command& command : commands_of(program))
                         if (!command.path.empty())
                           paths += fmt::format("      \"{0}\") path=\"{0}\" ;;\n", command.path);
                       return paths;
                     }(),
                     cases);
}

std::string zsh_completion(const CLI::App& program) {
  std::string text =
      "#compdef treepo\n# zsh completion for treepo\n_treepo_keys() {\n  compadd -S '' -- ";
  text += option_keys() + "\n}\n";
  for (const Command& command : commands_of(program)) text += zsh_command(command);
  return text + "_treepo \"$@\"\n";
}

}  // namespace treepo
