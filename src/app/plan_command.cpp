#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "app/commands.h"
#include "app/model_source.h"
#include "app/run_flags.h"
#include "base/error.h"
#include "base/format.h"
#include "base/json.h"
#include "config/load.h"
#include "data/carry_task.h"
#include "data/load_sources.h"
#include "evaluate/machine_roof.h"
#include "model/device.h"
#include "train/model_setup.h"
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
  fmt::print("  trees at once where all have {} paths: {}; {}\n", p.width, p.trees_at_once, limit);
  fmt::print("  trees that begin together: {}\n", p.trees_at_first);
}

void print_training(const RunPlan& p, const RunOptions& options) {
  fmt::print("training: what the update adds\n");
  print_line("gradients", p.gradients, "");
  print_line("optimiser", p.optimizer, "AdamW");
  if (p.reference > 0)
    print_line("reference model", p.reference,
               fmt::format("objective.kl_beta = {}, objective.reference_dtype = {}",
                           options.objective.kl_beta, options.objective.reference_dtype));
  print_line(
      "activations", p.saved,
      fmt::format("{} bytes a token × {} packed tokens; update.max_tokens = {}{}",
                  with_thousands(p.saved_per_token), with_thousands(p.packed_tokens),
                  options.update.max_tokens,
                  p.packed_tokens > options.update.max_tokens ? ", but no path is cut" : ""));
  print_line("logits of a chunk", p.logit_chunk,
             fmt::format("update.logit_chunk_tokens = {}", options.update.logit_chunk_tokens));
  print_line("backward of a layer", p.layer_backward, "not there with the logits");
  print_line("together", p.training_total(), "with weights and pages");
}

// The option whose part of the sum is largest, of those that can be changed.
std::string advice(const RunPlan& p, const RunOptions& options, bool training) {
  struct Part {
    const char* key;
    int64_t bytes;
  };
  std::vector<Part> parts = {{"engine.cache_mib", p.pool},
                             {"engine.max_step_tokens", p.step_activations},
                             {"engine.max_rows", p.step_logits}};
  if (training) {
    parts.push_back({options.update.checkpoint_layers
                         ? "update.max_tokens"
                         : "update.max_tokens, without update.checkpoint_layers,",
                     p.saved});
    parts.push_back({"update.logit_chunk_tokens", p.logit_chunk});
    if (options.objective.reference_dtype == "model")
      parts.push_back({"objective.reference_dtype", p.reference});
  }
  const int64_t fixed = p.weights + (training ? p.gradients + p.optimizer : int64_t{0});
  const Part& most = *std::ranges::max_element(parts, {}, &Part::bytes);
  if (fixed > most.bytes)
    return training ? "weights, gradients and optimiser take most: a smaller model, a narrower "
                      "model.dtype, or adapters (lora.rank)"
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
          {"trees_at_first", p.trees_at_first},
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

// What is sampled together.
struct Workload {
  int64_t queries = 0, prompt_tokens = 0;  // of the longest
};

Workload workload_of(const std::vector<TrainingQuery>& queries) {
  Workload work{.queries = std::ssize(queries)};
  for (const TrainingQuery& query : queries)
    work.prompt_tokens = std::max<int64_t>(work.prompt_tokens, std::ssize(query.prompt));
  return work;
}

int64_t longest_carry_prompt(const RunOptions& options) {
  constexpr int64_t kProblems = 10'000;  // there is no end of them
  const CarryTask task(static_cast<uint64_t>(options.data.seed));
  int64_t longest = 0;
  for (int64_t i = 0; i < kProblems; ++i)  // a token for each character
    longest = std::max<int64_t>(longest, std::ssize(task.training_problem(i).prompt));
  return longest;
}

// Of the configuration's training data.
int64_t longest_training_prompt(const PlanFlags& flags, const RunOptions& options) {
  if (options.data.max_prompt_tokens > 0) return options.data.max_prompt_tokens;
  if (options.data.kind == "carry") return longest_carry_prompt(options);
  if (options.data.train.empty()) return ModelSource::kPromptTokens;
  const std::optional<Tokenizer> tokenizer = flags.source.tokenizer(options);
  if (!tokenizer)
    throw Error("the lengths of the prompts in data.train are unknown without a tokenizer",
                "--prompt-tokens N says how long the longest is; --model DIR has a tokenizer");
  PromptWriter prompts(options.prompt, model_folders(options.model.path).tokenizer);
  int64_t longest = 0;
  for (const LoadedSource& source :
       load_sources(options.data.train, options.data, prompts,
                    {.tokenizer = &*tokenizer,
                    .model_directory = model_folders(options.model.path).tokenizer,
                    .check = {}}))
    longest = std::max<int64_t>(longest, std::ranges::max(source.prompt_lengths));
  return longest;
}

// Of the prompts, or of the configuration's training; flags go before what it says.
Workload planned_workload(const PlanFlags& flags, const RunOptions& options,
                          const ModelConfig& config) {
  if (flags.config.empty() || !flags.source.prompts.empty())
    return workload_of(flags.source.queries(options, config));
  const Workload work = {
      .queries = flags.source.num_queries.value_or(options.train.queries_per_step),
      .prompt_tokens = flags.source.prompt_tokens ? *flags.source.prompt_tokens
                                                  : longest_training_prompt(flags, options)};
  const int64_t response = longest_response(options.rollout, options.stop);
  if (work.prompt_tokens + response > config.max_positions)
    throw Error(
        fmt::format("a prompt of {} tokens and a response of up to {} exceed the model's "
                    "context of {}",
                    work.prompt_tokens, response, config.max_positions),
        "lower --prompt-tokens, data.max_prompt_tokens, stop.response_tokens, rollout.depth or "
        "rollout.segment_tokens");
  return work;
}

void run_plan(const PlanFlags& flags) {
  const RunOptions options = load_options(flags.config, flags.run.overrides());
  const bool fresh = flags.source.random_model.empty() && options.model.path.empty() &&
                     options.data.kind == "carry" && !flags.config.empty();
  if (!fresh) flags.source.check(options);
  const ModelConfig config = flags.source.config(options);
  const Workload work = planned_workload(flags, options, config);
  const MemoryModel model{.config = config,
                          .device = planned_device(options.model.device),
                          .dtype = parse_dtype(options.model.dtype)};
  const RunPlan plan = plan_run(model, options, work.queries, work.prompt_tokens);
  const int64_t available = available_memory(flags, model.device);
  if (flags.json) {
    fmt::print("{}\n", dump_json(plan_json(plan, available)));
    return;
  }
  print_sampling(plan, options);
  print_training(plan, options);
  print_verdict("sampling", plan.sampling_total(), available, advice(plan, options, false));
  print_verdict("training", plan.training_total(), available, advice(plan, options, true));
  if (available == 0) fmt::print("--memory-gib says how much the device has\n");
}

}  // namespace

void add_plan_command(CLI::App& program) {
  auto flags = std::make_shared<PlanFlags>();
  CLI::App* command = add_command(
      program, "plan", "Say how much memory a run takes, what for, and which option limits it");
  command->add_option("--model", flags->run.model, "Hugging Face directory");
  flags->source.add_to(*command);
  command->add_option(
      "--config", flags->config,
      "TOML file with options, as for `treepo train`; queries and prompts are then those "
      "of its training");
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
