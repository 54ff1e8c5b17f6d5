#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "app/commands.h"
#include "app/model_source.h"
#include "app/run_flags.h"
#include "base/format.h"
#include "base/json.h"
#include "config/load.h"
#include "evaluate/machine_roof.h"
#include "model/device.h"
#include "train/run_plan.h"

namespace treepo {

namespace {

struct PlanFlags {
  RunFlags run;
  ModelSource source;
  std::string config;
  double memory_gib = 0;  // 0: this machine's
  bool json = false;
};

// Where tensors would live; no device is opened, so that a plan for a GPU needs none.
c10::Device planned_device(const std::string& name) {
  return name.find("cuda") == std::string::npos ? c10::Device(c10::kCPU)
                                                : c10::Device(c10::kCUDA, 0);
}

// Bytes there are; 0: unknown.
int64_t available_memory(const PlanFlags& flags, const c10::Device& device) {
  constexpr double kGib = 1 << 30;
  if (flags.memory_gib > 0) return static_cast<int64_t>(flags.memory_gib * kGib);
  return device.is_cpu() ? machine_memory_bytes() : 0;
}

std::string mib(int64_t bytes) {
  return with_thousands((bytes + (1 << 19)) >> 20) + " MiB";
}

void print_line(const char* label, int64_t bytes, const std::string& why) {
  fmt::print("  {:<26} {:>14}   {}\n", label, mib(bytes), why);
}

// What engine.cache_mib means for sampling.
std::string cache_verdict(const RunPlan& p, const RunOptions& options) {
  if (!p.can_sample())
    return fmt::format(
        "too small for one path of {} pages: sampling would refuse to start; engine.cache_mib = {} "
        "would do, {} hold a whole tree",
        p.path_pages, p.path_mib, p.tree_mib);
  if (p.affordable_pages < p.tree_pages)
    return fmt::format(
        "holds one path, but not a whole tree of up to {} pages: sampling gives the same trees, "
        "but paths wait for pages and what was given up is prefilled again; engine.cache_mib = {} "
        "holds a tree",
        p.tree_pages, p.tree_mib);
  if (p.affordable_pages < p.all_pages)
    return fmt::format("engine.cache_mib = {}: {} whole trees; {} MiB would hold all {}",
                       options.engine.cache_mib, p.trees_by_pages, with_thousands(p.all_mib),
                       p.num_queries);
  return fmt::format("all trees; of engine.cache_mib = {} no more is taken",
                     options.engine.cache_mib);
}

void print_sampling(const RunPlan& p, const RunOptions& options) {
  fmt::print("sampling: {} queries, prompts of up to {} tokens, responses of up to {}, width {}\n",
             p.num_queries, p.prompt_tokens, p.response_tokens, p.width);
  print_line("weights", p.weights, fmt::format("{} parameters", with_thousands(p.parameters)));
  print_line("keys and values", p.pool, cache_verdict(p, options));
  print_line("activations of a step", p.step_activations,
             fmt::format("engine.max_step_tokens = {}", options.engine.max_step_tokens));
  print_line("logits of a step", p.step_logits,
             fmt::format("engine.max_rows = {}", options.engine.max_rows));
  print_line("together", p.sampling_total(), "activations and logits are not there at once");
  fmt::print(
      "  keys and values: {} bytes a token, {} a page of {}; pages: a path at most {}, a tree {}, "
      "all trees {}, affordable {}\n",
      with_thousands(p.token_bytes), with_thousands(p.page_bytes), p.page_tokens, p.path_pages,
      p.tree_pages, p.all_pages, p.affordable_pages);
  const std::string limit = p.trees_limit.empty()
                                ? "all of them"
                                : fmt::format("{} decides (rows: {}, pages: {})", p.trees_limit,
                                              p.trees_by_rows, p.trees_by_pages);
  fmt::print("  trees at once: {}; {}\n", p.trees_at_once, limit);
}

void print_training(const RunPlan& p, const RunOptions& options) {
  fmt::print("training: what the update adds\n");
  print_line("gradients", p.gradients, "");
  print_line("optimiser", p.optimizer, "AdamW");
  if (p.reference > 0)
    print_line("reference model", p.reference,
               fmt::format("objective.kl_beta = {}", options.objective.kl_beta));
  print_line("activations", p.saved,
             fmt::format("{} bytes a token × {} packed tokens; update.max_tokens = {}",
                         with_thousands(p.saved_per_token), with_thousands(p.packed_tokens),
                         options.update.max_tokens));
  print_line("logits of a chunk", p.logit_chunk,
             fmt::format("update.logit_chunk_tokens = {}", options.update.logit_chunk_tokens));
  print_line("backward of a layer", p.layer_backward, "not there with the logits");
  print_line("together", p.training_total(), "with weights and pages");
}

// The option whose part of the sum is largest, of those that can be lowered.
std::string advice(const RunPlan& p, bool training) {
  struct Part {
    const char* key;
    int64_t bytes;
  };
  std::vector<Part> parts = {{"engine.cache_mib", p.pool},
                             {"engine.max_step_tokens", p.step_activations},
                             {"engine.max_rows", p.step_logits}};
  if (training) {
    parts.push_back({"update.max_tokens", p.saved});
    parts.push_back({"update.logit_chunk_tokens", p.logit_chunk});
  }
  const int64_t fixed =
      p.weights + (training ? p.gradients + p.optimizer + p.reference : int64_t{0});
  const Part& most = *std::ranges::max_element(parts, {}, &Part::bytes);
  if (fixed > most.bytes)
    return training ? "weights, gradients and optimiser take most: a smaller model or a narrower "
                      "model.dtype"
                    : "the weights take most: a smaller model or a narrower model.dtype";
  return fmt::format("{} takes most ({})", most.key, mib(most.bytes));
}

void print_verdict(const char* what, int64_t needed, int64_t available, const std::string& advice) {
  if (available == 0) return;
  fmt::print("{} {} of {}{}\n", what,
             needed <= available ? fmt::format("fits: {}", mib(needed))
                                 : fmt::format("does not fit: {}", mib(needed)),
             mib(available), needed <= available ? "" : "; " + advice);
}

OrderedJson plan_json(const RunPlan& p, int64_t available) {
  return {{"num_queries", p.num_queries},
          {"prompt_tokens", p.prompt_tokens},
          {"response_tokens", p.response_tokens},
          {"width", p.width},
          {"parameters", p.parameters},
          {"weight_bytes", p.weights},
          {"key_value_bytes_per_token", p.token_bytes},
          {"page_tokens", p.page_tokens},
          {"page_bytes", p.page_bytes},
          {"path_pages", p.path_pages},
          {"tree_pages", p.tree_pages},
          {"all_pages", p.all_pages},
          {"affordable_pages", p.affordable_pages},
          {"pool_pages", p.pool_pages},
          {"pool_bytes", p.pool},
          {"cache_mib_for_path", p.path_mib},
          {"cache_mib_for_tree", p.tree_mib},
          {"cache_mib_for_all", p.all_mib},
          {"can_sample", p.can_sample()},
          {"max_rows", p.max_rows},
          {"trees_by_rows", p.trees_by_rows},
          {"trees_by_pages", p.trees_by_pages},
          {"trees_at_once", p.trees_at_once},
          {"trees_limit", p.trees_limit},
          {"step_activation_bytes", p.step_activations},
          {"step_logit_bytes", p.step_logits},
          {"gradient_bytes", p.gradients},
          {"optimizer_bytes", p.optimizer},
          {"reference_bytes", p.reference},
          {"saved_bytes_per_token", p.saved_per_token},
          {"packed_tokens", p.packed_tokens},
          {"saved_bytes", p.saved},
          {"logit_chunk_bytes", p.logit_chunk},
          {"layer_backward_bytes", p.layer_backward},
          {"sampling_bytes", p.sampling_total()},
          {"training_bytes", p.training_total()},
          {"available_bytes", available}};
}

void run_plan(const PlanFlags& flags) {
  const RunOptions options = load_options(flags.config, flags.run.overrides());
  flags.source.check(options);
  const ModelConfig config = flags.source.config(options);
  const std::vector<TrainingQuery> queries = flags.source.queries(options, config);
  size_t longest = 0;
  for (const TrainingQuery& query : queries) longest = std::max(longest, query.prompt.size());
  const MemoryModel model{.config = config,
                          .device = planned_device(options.model.device),
                          .dtype = parse_dtype(options.model.dtype)};
  const RunPlan plan =
      plan_run(model, options, static_cast<int64_t>(queries.size()), static_cast<int64_t>(longest));
  const int64_t available = available_memory(flags, model.device);
  if (flags.json) {
    fmt::print("{}\n", dump_json(plan_json(plan, available)));
    return;
  }
  print_sampling(plan, options);
  print_training(plan, options);
  print_verdict("sampling", plan.sampling_total(), available, advice(plan, false));
  print_verdict("training", plan.training_total(), available, advice(plan, true));
  if (available == 0) fmt::print("--memory-gib says how much the device has\n");
}

}  // namespace

void add_plan_command(CLI::App& program) {
  auto flags = std::make_shared<PlanFlags>();
  CLI::App* command = add_command(
      program, "plan", "Say how much memory a run takes, what for, and which option limits it");
  command->add_option("--model", flags->run.model, "Hugging Face directory");
  flags->source.add_to(*command);
  command->add_option("--config", flags->config, "TOML file with options, as for `treepo train`");
  command
      ->add_option("--memory-gib", flags->memory_gib,
                   "memory of the device; without it this machine's")
      ->check(CLI::PositiveNumber);
  command->add_flag("--json", flags->json, "one line of JSON");
  flags->run.add_to(*command);
  command->footer(
      "Tensors are counted, the program and its libraries (some 400 MiB) are not; nor is what the\n"
      "CPU's products in half types convert on the way.\n\n"
      "  treepo plan --random-model 0.5b --queries 16 --prompt-tokens 512 --dtype bfloat16");
  command->callback([flags] { run_plan(*flags); });
}

}  // namespace treepo
