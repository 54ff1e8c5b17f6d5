#include <algorithm>
#include <memory>
#include <string>

#include "app/commands.h"
#include "base/error.h"
#include "config/declare.h"
#include "config/save.h"

namespace treepo {

namespace {

[[noreturn]] void throw_no_match(const std::string& filter) {
  constexpr int kFarthestGuess = 3;  // wrong letters
  RunOptions defaults;
  const std::string nearest = declare_options(defaults).nearest_key(filter);
  const std::string field = nearest.substr(nearest.find('.') + 1);
  const bool guess =
      std::min(edit_distance(filter, nearest), edit_distance(filter, field)) <= kFarthestGuess;
  throw Error(fmt::format("no option contains \"{}\"", filter),
              fmt::format("{}`treepo options` lists all",
                          guess ? fmt::format("did you mean {}? ", nearest) : ""));
}

}  // namespace

void add_options_command(CLI::App& program) {
  struct Flags {
    std::string filter;
    bool markdown = false;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command =
      add_command(program, "options", "List every option of a run with default and range");
  command->add_option("filter", flags->filter, "only keys that contain this");
  command->add_flag("--markdown", flags->markdown, "as docs/options.md");
  command->footer(
      "  treepo options rollout\n"
      "  treepo options --markdown > docs/options.md");
  command->callback([flags] {
    const std::string text =
        flags->markdown ? options_as_markdown() : options_as_text(flags->filter);
    if (text.empty()) throw_no_match(flags->filter);
    fmt::print("{}", text);
  });
}

}  // namespace treepo
