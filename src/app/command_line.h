#pragma once

namespace treepo {

// Exit codes of the program.
enum ExitCode : int {
  kExitSuccess = 0,
  kExitError = 1,        // bad input, a full disk, …: the message says what to do
  kExitUsage = 2,        // the command line itself
  kExitCheckFailed = 3,  // selfcheck found a difference
  kExitBug = 70,         // an internal check failed
  kExitInterrupted = 130,
};

// Parses the arguments, runs one command, prints errors on stderr.
int run_command_line(int argc, char** argv);

}  // namespace treepo
