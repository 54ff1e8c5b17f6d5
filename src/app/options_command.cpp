#include <memory>
#include <string>

#include "app/commands.h"
#include "config/save.h"

namespace treepo {

void add_options_command(CLI::App& program) {
  struct Flags {
    std::string filter;
    bool markdown = false;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command =
      program.add_subcommand("options", "List every option of a run with default and range");
  command->add_option("filter", flags->filter, "only keys that contain this");
  command->add_flag("--markdown", flags->markdown, "as docs/options.md");
  command->callback([flags] {
    fmt::print("{}", flags->markdown ? options_as_markdown() : options_as_text(flags->filter));
  });
}

}  // namespace treepo
