#include "config/save.h"

#include <fmt/format.h>

#include "config/declare.h"

namespace treepo {

namespace {

// "|" would end a table's cell.
std::string cell(std::string_view text) {
  std::string out;
  for (const char c : text) out += c == '|' ? std::string("\\|") : std::string(1, c);
  return out;
}

template <typename OnSection, typename OnOption>
void for_each_option(const OptionTable& table, OnSection on_section, OnOption on_option) {
  for (const OptionSection& section : table.sections()) {
    on_section(section);
    for (const Option& option : table.options())
      if (option.section() == section.name) on_option(option);
  }
}

}  // namespace

std::string options_as_toml(const RunOptions& options) {
  RunOptions copy = options;
  std::string out = "# All options of a run; `treepo options` says which values each may have.\n";
  for_each_option(
      declare_options(copy),
      [&](const OptionSection& section) {
        out += fmt::format("\n[{}]  # {}\n", section.name, section.help);
      },
      [&](const Option& option) {
        out += fmt::format("# {}\n{} = {}\n", option.help, option.field(), option.value_text());
      });
  return out;
}

std::string options_as_text(std::string_view filter) {
  RunOptions defaults;
  std::string out, heading;
  for_each_option(
      declare_options(defaults),
      [&](const OptionSection& section) {
        heading = fmt::format("{}[{}] {}\n", out.empty() ? "" : "\n", section.name, section.help);
      },
      [&](const Option& option) {
        if (option.key.find(filter) == std::string::npos) return;
        out += heading;
        heading.clear();
        out += fmt::format("  {} = {}   ({})\n      {}\n", option.key, option.value_text(),
                           option.range, option.help);
      });
  return out;
}

std::string options_as_markdown() {
  RunOptions defaults;
  std::string out =
      "<!-- Generated: treepo options --markdown > docs/options.md -->\n"
      "# Options\n\n"
      "Given in a TOML file, `treepo train FILE`, or one by one, `--set rollout.width=8`; the "
      "latter win. The resolved configuration is saved with the run as `config.toml`. Options "
      "marked ↻ may change when a run is resumed.\n";
  for_each_option(
      declare_options(defaults),
      [&](const OptionSection& section) {
        out +=
            fmt::format("\n## {}\n{}\n\n| key | default | range | meaning |\n|---|---|---|---|\n",
                        section.name, cell(section.help));
      },
      [&](const Option& option) {
        out += fmt::format("| `{}`{} | `{}` | {} | {} |\n", option.key,
                           option.on_resume == OnResume::may_change ? " ↻" : "",
                           option.value_text(), cell(option.range), cell(option.help));
      });
  return out;
}

}  // namespace treepo
