#include <fmt/ranges.h>  // fmt::join
#include <torch/version.h>

#include <array>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "app/commands.h"
#include "base/error.h"
#include "base/format.h"  // shell_quoted
#include "base/json.h"
#include "base/machine.h"
#include "base/python_interpreter.h"
#include "evaluate/machine_roof.h"
#include "kernels/isa.h"
#include "model/device.h"

namespace treepo {

namespace {

enum class State { good, limited };

struct Finding {
  std::string what, found, meaning;  // meaning: what it lets the commands do
  State state = State::good;
};

constexpr int64_t kGib = int64_t{1} << 30;

std::string gib(int64_t bytes) {
  return fmt::format("{:.1f} GiB", static_cast<double>(bytes) / static_cast<double>(kGib));
}

Finding cpu_finding() {
  const Isa isa = cpu_isa();
  const char* names[] = {"portable", "AVX2", "AVX-512", "AVX-512 (bfloat16 products too)"};
  const std::string name = cpu_name();
  return {
      "CPU",
      fmt::format("{}, {} cores for this process", name.empty() ? "unknown" : name, cpu_cores()),
      fmt::format("kernels run with {} vectors{}", names[static_cast<size_t>(isa)],
                  isa == Isa::portable ? "; decoding is several times slower than with AVX2" : ""),
      isa == Isa::portable ? State::limited : State::good};
}

Finding bfloat16_finding() {
  const bool fast = cpu_multiplies_bfloat16();
  return {"bfloat16 on the CPU", fast ? "multiplied by instructions" : "no instructions for it",
          fast ? "model.dtype = \"bfloat16\" halves memory and is fast"
               : "model.dtype = \"float32\" is faster here; bfloat16 still halves memory",
          fast ? State::good : State::limited};
}

Finding memory_finding() {
  const int64_t bytes = machine_memory_bytes();
  return {"memory", bytes > 0 ? gib(bytes) : "unknown",
          "treepo plan --model DIR says what a run needs",
          bytes > 0 && bytes < 2 * kGib ? State::limited : State::good};
}

Finding disk_finding() {
  const int64_t bytes = free_disk_bytes(".");
  return {
      "disk", fmt::format("{} free in this folder", gib(bytes)),
      bytes < kGib
          ? "checkpoints of a run may not fit: train.run_dir chooses another disk"
          : "checkpoints: weights and twice their float32 size, train.keep_checkpoints + 1 of them",
      bytes < kGib ? State::limited : State::good};
}

Finding torch_finding() {
  return {"PyTorch", TORCH_VERSION, "loaded: every command works on the CPU"};
}

Finding gpu_finding() {
  const std::vector<std::string> gpus = nvidia_gpus();
  const std::string names =
      gpus.empty() ? "no NVIDIA driver here" : fmt::format("{}", fmt::join(gpus, ", "));
  try {
    parse_device("cuda");
    return {"GPU", names, "--device cuda works with train, sft, sample, bench and selfcheck"};
  } catch (const Error& error) {
    return {"GPU", names, fmt::format("--device cuda does not work: {}", error.what()),
            State::limited};
  }
}

// The first line that a command of the shell prints; empty where it fails.
std::string first_line_of(const std::string& command) {
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(::popen(command.c_str(), "r"),
                                                   [](FILE* file) { return ::pclose(file); });
  std::array<char, 256> line{};
  if (!pipe || !std::fgets(line.data(), line.size(), pipe.get())) return "";
  std::string text = line.data();
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

Finding python_finding() {
  const std::string python = python_interpreter("");
  const std::string version =
      first_line_of(fmt::format("timeout 10 {} --version 2>/dev/null", shell_quoted(python)));
  if (version.empty())
    return {"Python", fmt::format("{} does not run", python),
            "rewards in Python, math-verify, chat templates and Parquet files do not work; the "
            "environment variable TREEPO_PYTHON names another interpreter",
            State::limited};
  const std::string missing = first_line_of(fmt::format(
      "timeout 20 {} -c 'import importlib.util as u; print(\", \".join(name for name, module in "
      "((\"math-verify\", \"math_verify\"), (\"Jinja2\", \"jinja2\"), (\"pyarrow\", "
      "\"pyarrow\")) if u.find_spec(module) is None))' 2>/dev/null",
      shell_quoted(python)));
  if (missing.empty())
    return {"Python", fmt::format("{}, {}", version, python),
            "rewards in Python, math-verify, chat templates and Parquet files work"};
  return {"Python", fmt::format("{}, {}, without {}", version, python, missing),
          "rewards in Python work; what is missing comes with scripts/bootstrap --workers",
          State::limited};
}

std::vector<Finding> examine() {
  return {cpu_finding(),   bfloat16_finding(), memory_finding(), disk_finding(),
          torch_finding(), gpu_finding(),      python_finding()};
}

void print_findings(const std::vector<Finding>& findings) {
  constexpr const char* kMarks[] = {"ok", "note"};
  fmt::print("treepo {} on {}\n\n", program_version(), system_name());
  for (const Finding& one : findings)
    fmt::print("  {:<5} {:<20} {}\n  {:<5} {:<20} {}\n", kMarks[static_cast<size_t>(one.state)],
               one.what, one.found, "", "", one.meaning);
}

void print_json(const std::vector<Finding>& findings) {
  constexpr const char* kNames[] = {"good", "limited"};
  OrderedJson all = OrderedJson::array();
  for (const Finding& one : findings)
    all.push_back({{"what", one.what},
                   {"state", kNames[static_cast<size_t>(one.state)]},
                   {"found", one.found},
                   {"meaning", one.meaning}});
  fmt::print("{}\n", dump_json(all));
}

}  // namespace

void add_doctor_command(CLI::App& program) {
  auto json = std::make_shared<bool>(false);
  CLI::App* command =
      add_command(program, "doctor", "Look at this machine and say what each command can use");
  command->add_flag("--json", *json, "one line of JSON");
  command->footer(
      "note: something is missing, and what works without it is said beside it. treepo selfcheck\n"
      "compares numbers, treepo plan --model DIR tells whether a model fits.\n\n"
      "  treepo doctor");
  command->callback([json] {
    const std::vector<Finding> findings = examine();
    *json ? print_json(findings) : print_findings(findings);
  });
}

}  // namespace treepo
