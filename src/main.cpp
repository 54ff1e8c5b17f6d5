#include "app/command_line.h"
#include "app/environment.h"

int main(int argc, char** argv) {
  treepo::settle_environment(argv);
  return treepo::run_command_line(argc, argv);
}
