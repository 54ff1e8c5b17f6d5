#include "app/commands.h"

namespace treepo {

CLI::App* add_command(CLI::App& program, const std::string& name, const std::string& description) {
  return program.add_subcommand(name, description);
}

}  // namespace treepo
