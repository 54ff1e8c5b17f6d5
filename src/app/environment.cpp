#include "app/environment.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>

namespace treepo {

namespace {

// Whether it was not there.
bool set_if_absent(const char* name, const char* value) {
  if (std::getenv(name) != nullptr) return false;
  return setenv(name, value, 0) == 0;
}

}  // namespace

void settle_environment(char** argv) {
  // OMP_WAIT_POLICY decides the same thing.
  if (std::getenv("OMP_WAIT_POLICY") != nullptr || !set_if_absent("GOMP_SPINCOUNT", "5000")) return;
  std::error_code error;  // by its own path, or `ps` would call it "exe"
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error);
  if (!error) execv(program.c_str(), argv);
}

}  // namespace treepo
