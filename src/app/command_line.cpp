#include "app/command_line.h"

#include <exception>

#include "app/commands.h"
#include "base/error.h"
#include "base/log.h"

namespace treepo {

int run_command_line(int argc, char** argv) {
  CLI::App program{"treepo: tree-structured reinforcement learning for language models"};
  program.set_version_flag("--version", TREEPO_VERSION);
  program.require_subcommand(1);
  program.footer(
      "Start with ./quickstart, or: treepo train configs/quickstart.toml\n"
      "treepo COMMAND --help explains a command, treepo options lists every option of a run.");
  int exit_code = kExitSuccess;
  add_train_command(program, exit_code);
  add_sample_command(program);
  add_tokenize_command(program);
  add_bench_command(program);
  add_options_command(program);
  add_selfcheck_command(program, exit_code);

  try {
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
