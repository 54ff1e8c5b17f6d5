#include <fstream>
#include <iostream>
#include <memory>
#include <string>

#include "app/commands.h"
#include "base/error.h"
#include "base/files.h"
#include "base/hub_cache.h"  // find_model
#include "text/prompt_command.h"

namespace treepo {

namespace {

struct PromptFlags {
  std::string model, chat_template, input = "-";
};

void run_prompt(const PromptFlags& flags) {
  if (!file_system().exists(flags.model))
    throw Error(flags.model + " does not exist",
                "--model takes a model's directory, or a tokenizer_config.json");
  std::optional<ChatTemplate> found = ChatTemplate::find(flags.model, flags.chat_template);
  if (!found)
    throw Error(flags.model + " brings no chat template",
                "it would lie in tokenizer_config.json or chat_template.jinja; --template FILE "
                "names another");
  std::ifstream file;
  const bool standard = flags.input == "-";
  if (!standard) file.open(flags.input, std::ios::binary);
  if (!standard && !file)
    throw Error(flags.input + ": cannot be read", "name a file of JSON lines");
  render_chat_lines(*found, standard ? std::cin : file, standard ? "standard input" : flags.input,
                    std::cout);
  std::cout.flush();
  if (!std::cout) throw Error("standard output can't be written", "is the disk or pipe full?");
}

}  // namespace

void add_prompt_command(CLI::App& program) {
  auto flags = std::make_shared<PromptFlags>();
  CLI::App* command =
      add_command(program, "prompt",
                  "Turn chats, JSON lines {\"messages\"}, into {\"prompt\"} by a chat template");
  command
      ->add_option("--model", flags->model,
                   "model directory that brings the template, or a tokenizer_config.json")
      ->required();
  command->add_option("--template", flags->chat_template,
                      "file with another Jinja template, or the name of one of the model's");
  command->add_option("--input", flags->input, "file of JSON lines; - is standard input");
  command->footer(
      "  echo '{\"messages\": [{\"role\": \"user\", \"content\": \"2 + 2?\"}],\n"
      "         \"add_generation_prompt\": true}' | treepo prompt --model DIR\n"
      "Each line may hold add_generation_prompt, continue_final_message, tools, documents and\n"
      "any variable of the template, such as enable_thinking.");
  command->callback([flags] {
    flags->model = find_model(flags->model);
    run_prompt(*flags);
  });
}

}  // namespace treepo
