#include <memory>
#include <string>

#include "app/command_line.h"
#include "app/commands.h"
#include "base/check_report.h"
#include "base/hub_cache.h"  // find_model
#include "learn/advantage_check.h"
#include "learn/policy_gradient_check.h"
#include "model/device.h"
#include "model/oracle_check.h"
#include "model/side_by_side.h"  // DifferenceFound

namespace treepo {

namespace {

struct SelfcheckFlags {
  std::string model, oracle, write, policy_gradient, advantages;
  std::string dtype = "float64", device = "cpu";
};

bool print_report(const std::string& title, const CheckReport& report) {
  fmt::print("{}\n  {:<52} {:>10} {:>10} {:>10}\n", title, "what", "error", "tolerance", "numbers");
  for (const CheckReport::Row& row : report.rows) {
    fmt::print("  {:<52} {:>10.2e} {:>10.1e} {:>10}{}\n", row.name, row.error, row.tolerance,
               row.count, row.passed ? "" : "  FAILED");
  }
  fmt::print("  {} compared, {} skipped: {}\n", report.rows.size(), report.skipped,
             report.passed() ? "passed" : "FAILED");
  return report.passed();
}

// Whether all comparisons passed.
bool run_checks(const SelfcheckFlags& flags) {
  const bool need_model = !flags.oracle.empty() || !flags.write.empty();
  if (need_model && flags.model.empty()) throw CLI::RequiredError("--model");
  if (!need_model && flags.policy_gradient.empty() && flags.advantages.empty()) {
    throw CLI::RequiredError("one of --oracle, --write, --policy-gradient, --advantages");
  }
  const c10::Device device = parse_device(flags.device);
  const c10::ScalarType dtype = parse_dtype(flags.dtype);
  bool passed = true;
  if (!flags.write.empty()) {
    write_model_oracle(flags.model, flags.write, flags.device, dtype);
    fmt::print("{} written\n", flags.write);
  }
  if (!flags.oracle.empty()) {
    passed &= print_report(flags.oracle,
                           check_model_oracle(flags.model, flags.oracle, flags.device, dtype));
  }
  if (!flags.policy_gradient.empty()) {
    passed &= print_report(flags.policy_gradient,
                           check_policy_gradient(flags.policy_gradient, device, dtype,
                                                 is_checked_device(flags.device)));
  }
  if (!flags.advantages.empty()) {
    passed &= print_report(flags.advantages, check_advantages(flags.advantages));
  }
  return passed;
}

void run_selfcheck(const SelfcheckFlags& flags, int& exit_code) {
  try {
    if (!run_checks(flags)) exit_code = kExitCheckFailed;
  } catch (const DifferenceFound& difference) {
    fmt::print("{}\n  {}\n  FAILED\n", difference.what(), difference.hint());
    exit_code = kExitCheckFailed;
  }
}

}  // namespace

void add_selfcheck_command(CLI::App& program, int& exit_code) {
  auto flags = std::make_shared<SelfcheckFlags>();
  CLI::App* command = add_command(
      program, "selfcheck", "Hold this build, device and dtype against numbers computed elsewhere");
  command->add_option("--model", flags->model, "Hugging Face directory");
  command->add_option("--oracle", flags->oracle,
                      "safetensors file with input_ids, logits, loss, grad.*, greedy");
  command->add_option("--write", flags->write, "write such a file from --model");
  command->add_option("--policy-gradient", flags->policy_gradient,
                      "folder with a model, case.json and oracle.safetensors");
  command->add_option("--advantages", flags->advantages, "JSON file of trees with advantages");
  command->add_option("--dtype", flags->dtype, "float64 (default), float32, bfloat16 or float16");
  command->add_option("--device", flags->device,
                      "cpu, cuda, cuda:N; checked: two implementations side by side");
  command->footer("  treepo selfcheck --model DIR --oracle DIR/oracle.safetensors --dtype float32");
  command->callback([flags, &exit_code] {
    flags->model = find_model(flags->model);
    run_selfcheck(*flags, exit_code);
  });
}

}  // namespace treepo
