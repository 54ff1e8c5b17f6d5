#include "app/command_line.h"
#include "app/environment.h"
#include "base/large_blocks.h"
#include "model/reused_memory.h"

int main(int argc, char** argv) {
  treepo::settle_environment(argv);
  treepo::give_back_large_blocks();
  treepo::reuse_tensor_memory();
  return treepo::run_command_line(argc, argv);
}
