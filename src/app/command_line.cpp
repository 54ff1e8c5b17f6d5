#include "app/command_line.h"

#include <exception>
#include <limits>
#include <string>
#include <string_view>

#include "app/commands.h"
#include "base/error.h"
#include "base/log.h"
#include "base/machine.h"         // program_version
#include "config/option_table.h"  // edit_distance

namespace treepo {

namespace {

struct NearestCommand {
  const CLI::App* command = nullptr;
  int distance = std::numeric_limits<int>::max();  // 0: this is its name
};

NearestCommand nearest_command(const CLI::App& app, std::string_view name) {
  NearestCommand nearest;
  for (const CLI::App* command : app.get_subcommands(nullptr)) {
    const int distance = edit_distance(name, command->get_name());
    if (distance < nearest.distance) nearest = {command, distance};
  }
  return nearest;
}

// What is wrong with the words that name the command; empty: nothing.
std::string wrong_command(const CLI::App& program, int argc, char** argv) {
  constexpr int kFarthestGuess = 2;  // wrong letters
  const CLI::App* app = &program;
  for (int i = 1; app->get_require_subcommand_min() > 0; ++i) {
    if (i >= argc) return app->help();
    const std::string word = argv[i];
    if (word.starts_with('-')) return "";  // an option: left to the parser
    const NearestCommand nearest = nearest_command(*app, word);
    if (nearest.distance > 0) {
      const bool guess = nearest.distance <= kFarthestGuess;
      return fmt::format(
          "There is no command \"{}\"{}\nRun with --help for more information.\n", word,
          guess ? fmt::format("; did you mean {}?", nearest.command->get_name()) : ".");
    }
    app = nearest.command;
  }
  return "";
}

}  // namespace

int run_command_line(int argc, char** argv) {
  CLI::App program{"treepo: tree-structured reinforcement learning for language models", "treepo"};
  program.set_version_flag("--version", program_version());
  program.require_subcommand(1);
  program.footer(
      "Start with ./quickstart, or: treepo train configs/quickstart.toml\n"
      "treepo COMMAND --help explains a command, treepo options lists every option of a run.\n"
      "Exit codes: 0 success, 1 error, 2 command line, 3 selfcheck found a difference, 70 a bug "
      "of\n"
      "treepo, 130 interrupted (a checkpoint was taken).");
  int exit_code = kExitSuccess;
  add_train_command(program, exit_code);
  add_sft_command(program, exit_code);
  add_eval_command(program, exit_code);
  add_study_command(program, exit_code);
  add_sample_command(program);
  add_merge_command(program);
  add_score_command(program);
  add_report_command(program);
  add_show_command(program);
  add_tokenize_command(program);
  add_prompt_command(program);
  add_data_command(program);
  add_bench_command(program);
  add_plan_command(program);
  add_options_command(program);
  add_doctor_command(program);
  add_completion_command(program);
  add_selfcheck_command(program, exit_code);

  try {
    const std::string wrong = wrong_command(program, argc, argv);
    if (!wrong.empty()) {
      fmt::print(stderr, "{}", wrong);
      return kExitUsage;
    }
    program.parse(argc, argv);
    return exit_code;
  } catch (const CLI::ParseError& error) {
    return program.exit(error) == 0 ? kExitSuccess : kExitUsage;
  } catch (const Error& error) {
    log_error("{}", error.what());
    if (!error.hint().empty()) log_error("  {}", error.hint());
    return kExitError;
  } catch (const CheckFailure& error) {
    log_error("{}", error.what());
    log_error("  this is a bug in treepo; please report it with the command and its configuration");
    return kExitBug;
  } catch (const std::bad_alloc&) {
    log_error("out of memory");
    log_error("  lower update.max_tokens, engine.cache_mib or engine.max_rows");
    return kExitError;
  } catch (const std::exception& error) {
    log_error("{}", error.what());
    return kExitError;
  }
}

}  // namespace treepo
