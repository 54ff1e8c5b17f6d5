#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "app/commands.h"
#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "base/log.h"
#include "report/logged_tree.h"
#include "report/tree_text.h"

namespace treepo {

namespace {

struct ShowFlags {
  std::string file, query;
  std::optional<int64_t> step;
  int width = 0;
};

int output_width() {
  winsize size = {};
  const bool known = ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : 120;
}

// Parsed trees in order, until `visit` returns false. A last line that is still being written is
// left out.
void for_each_tree(const std::string& path, const std::function<void(const LoggedTree&)>& visit) {
  JsonLineReader reader(path);
  Json line;
  while (true) {
    try {
      if (!reader.next(line)) return;
    } catch (const Error&) {
      Json rest;
      bool more = true;
      try {
        more = reader.next(rest);
      } catch (const Error&) {
      }
      if (more) throw;
      log_warning("{}: the last line is cut off and left out", path);
      return;
    }
    visit(read_logged_tree(line, reader.where()));
  }
}

bool matches(const LoggedTree& tree, const ShowFlags& flags) {
  return (flags.query.empty() || tree.query_id == flags.query) &&
         (!flags.step || tree.step == *flags.step);
}

[[noreturn]] void throw_nothing_found(const std::string& path, const ShowFlags& flags,
                                      int64_t trees, int64_t last_step) {
  if (trees == 0)
    throw Error(path + " holds no tree yet", "treepo sample and treepo train write them");
  throw Error(fmt::format("{}: none of the {} trees is of{}{}", path, trees,
                          flags.step ? fmt::format(" step {}", *flags.step) : "",
                          flags.query.empty() ? "" : fmt::format(" query \"{}\"", flags.query)),
              last_step >= 0 ? fmt::format("the last step with trees is {}", last_step) : "");
}

void run_show(const ShowFlags& flags) {
  std::string path = flags.file == "-" ? "/dev/stdin" : flags.file;
  if (file_system().is_directory(path)) path = join_path(path, "samples.jsonl");
  const int width = flags.width > 0 ? flags.width : output_width();
  int64_t trees = 0, shown = 0, last_step = -1;
  std::string last;  // of the last step, where no step was asked for
  const bool last_only = !flags.step && flags.query.empty();
  for_each_tree(path, [&](const LoggedTree& tree) {
    ++trees;
    if (!matches(tree, flags)) {
      last_step = std::max(last_step, tree.step);
      return;
    }
    ++shown;
    const std::string text = tree_text(tree, width) + "\n";
    if (!last_only || tree.step < 0) {
      fmt::print("{}", text);
    } else {
      if (tree.step != last_step) last.clear();
      last += text;
    }
    last_step = std::max(last_step, tree.step);
  });
  if (shown == 0) throw_nothing_found(path, flags, trees, last_step);
  fmt::print("{}", last);
  if (!last.empty() && ::isatty(STDERR_FILENO))
    log_info("these are the trees of the last step; --step and --query show others");
}

}  // namespace

void add_show_command(CLI::App& program) {
  auto flags = std::make_shared<ShowFlags>();
  CLI::App* command = add_command(program, "show", "Draw sampled trees as text");
  command
      ->add_option("file", flags->file,
                   "trees.jsonl or samples.jsonl, the folder of a run, or - for standard input")
      ->required();
  command->add_option("--query", flags->query, "only trees of the query with this id");
  command->add_option("--step", flags->step, "only trees of this step");
  command->add_option("--width", flags->width, "columns; the terminal's unless given, else 120")
      ->check(CLI::Range(40, 10000));
  command->footer(
      "A line is a segment: its tokens, mean log-prob, beginning of its text; where a path ends "
      "why,\n"
      "reward and advantage. A dashed branch is a fallback. Of a run the last step is shown.\n\n"
      "  treepo show trees.jsonl --query 17\n"
      "  treepo show runs/quickstart --step 40 --width 160");
  command->callback([flags] { run_show(*flags); });
}

}  // namespace treepo
