#include <memory>
#include <string>
#include <vector>

#include "app/commands.h"
#include "base/files.h"
#include "report/page.h"

namespace treepo {

namespace {

struct ReportFlags {
  std::vector<std::string> runs;
  std::string out;
};

void run_report(const ReportFlags& flags) {
  const std::string page = report_page(flags.runs);
  const std::string out =
      flags.out.empty() ? join_path(flags.runs.front(), "report.html") : flags.out;
  if (out == "-") {
    fmt::print("{}", page);
    return;
  }
  write_file_atomically(out, page);
  fmt::print("{}  ({:.1f} MB)\n", out, static_cast<double>(page.size()) / 1e6);
}

}  // namespace

void add_report_command(CLI::App& program) {
  auto flags = std::make_shared<ReportFlags>();
  CLI::App* command = add_command(program, "report",
                                  "Write one HTML page with the curves, trees and health of runs");
  command->add_option("runs", flags->runs, "folders of runs, as train.run_dir named them")
      ->required();
  command->add_option(
      "--out", flags->out,
      "the page's file; - is standard output; report.html in the first run's folder "
      "unless given");
  command->footer(
      "Reads config.toml, run.json, metrics.jsonl and samples.jsonl, also while a run goes on. "
      "The\n"
      "page needs no network and no other file. docs/report.md explains it.\n\n"
      "  treepo report runs/quickstart\n"
      "  treepo report runs/seed-1 runs/seed-2 runs/seed-3 --out seeds.html");
  command->callback([flags] { run_report(*flags); });
}

}  // namespace treepo
