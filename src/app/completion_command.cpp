#include <fmt/format.h>

#include <memory>
#include <string>

#include "app/commands.h"
#include "app/completion.h"

namespace treepo {

void add_completion_command(CLI::App& program) {
  auto shell = std::make_shared<std::string>();
  CLI::App* command =
      add_command(program, "completion", "Print a script that completes commands in a shell");
  command->add_option("shell", *shell, "bash or zsh")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh"}));
  command->footer(
      "  treepo completion bash > ~/.local/share/bash-completion/completions/treepo\n"
      "  treepo completion zsh > ~/.zsh/completions/_treepo     (a folder of $fpath)");
  command->callback([shell, &program] {
    fmt::print("{}", *shell == "bash" ? bash_completion(program) : zsh_completion(program));
  });
}

}  // namespace treepo
