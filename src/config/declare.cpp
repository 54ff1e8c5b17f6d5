#include "config/declare.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "config/declare_parts.h"

namespace treepo {

namespace {

using enum OnResume;

bool is_plain_device(const std::string& text) {
  if (text == "cpu" || text == "cuda") return true;
  constexpr std::string_view prefix = "cuda:";
  const std::string_view number =
      std::string_view(text).substr(std::min(text.size(), prefix.size()));
  return text.starts_with(prefix) && !number.empty() && number.size() <= 3 &&
         std::all_of(number.begin(), number.end(), [](unsigned char c) { return std::isdigit(c); });
}

bool is_device(const std::string& text) {
  constexpr std::string_view checked = "checked:";
  return text == "checked" || is_plain_device(text) ||
         (text.starts_with(checked) && is_plain_device(text.substr(checked.size())));
}

// reward/make_verifier.cpp makes them; it finds out what is wrong with an argument.
bool is_reward_kind(const std::string& text) {
  constexpr std::array names = {
      "parts", "math",   "python", "exact", "numeric", "multiple_choice", "countdown",
      "carry", "digits", "format", "tags",  "length",  "repetition"};
  return std::ranges::find(names, text.substr(0, text.find(':'))) != names.end();
}

void declare_model(OptionTable& table, ModelOptions& o) {
  table.begin_section("model", "The model that is trained, and where it runs.");
  table.add("path", o.path,
            "Hugging Face directory to start from; empty: a fresh model with the tokenizer of "
            "data.kind = \"carry\"");
  table.add_pattern("device", o.device, "cpu, cuda, cuda:N, checked, checked:cuda, checked:cuda:N",
                    is_device,
                    "where tensors live; checked: runs two implementations side by side and ends "
                    "at the first difference (kernels and plain tensor operations; GPU and CPU)");
  table.add_choice("dtype", o.dtype, {"float32", "float64", "bfloat16", "float16"},
                   "type of weights and activations");
  table.add("random_weights", o.random_weights,
            "take only config.json and tokenizer from model.path, and fresh weights");
  table.add_choice("architecture", o.architecture, {"llama", "qwen2", "qwen3", "mistral"},
                   "family of the fresh model (this and what follows: only without model.path)");
  table.add("hidden_size", o.hidden_size, kPositive, "width of the residual stream");
  table.add("num_layers", o.num_layers, {1, 10000}, "decoder layers");
  table.add("num_heads", o.num_heads, kPositive, "query heads; divides model.hidden_size");
  table.add("num_kv_heads", o.num_kv_heads, kPositive, "key/value heads; divides model.num_heads");
  table.add("intermediate_size", o.intermediate_size, kPositive, "width inside the SwiGLU layer");
  table.add("max_positions", o.max_positions, kPositive,
            "longest sequence, prompt and response together (tokens)");
  table.add("rope_theta", o.rope_theta, kAboveZero, "base of the rotary position embedding");
  table.add("initializer_range", o.initializer_range, kAboveZero,
            "standard deviation of the fresh weights");
  table.add("tie_embeddings", o.tie_embeddings, "one matrix for input and output embedding");
}

void declare_lora(OptionTable& table, LoraOptions& o) {
  table.begin_section("lora", "Low-rank adapters: trained in place of the weights.");
  table.add("rank", o.rank, {0, 65536}, "rank of the adapters; 0: none, all weights are trained");
  table.add("alpha", o.alpha, kAboveZero, "what an adapter adds is scaled by this / rank");
  table.add("targets", o.targets,
            "matrices that get an adapter: q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, "
            "down_proj");
}

void declare_data(OptionTable& table, DataOptions& o) {
  table.begin_section("data", "The problems.");
  table.add_choice("kind", o.kind, {"files", "carry"},
                   "files: read from files; carry: the quickstart's task, made by treepo");
  table.add_texts("train", o.train,
                  "files of training problems, each [NAME=][WEIGHT*][PRESET:]FILE[?FIELD=VALUE&…] "
                  "(JSON lines, a JSON array or Parquet); docs/data.md");
  table.add_texts("test", o.test,
                  "files of held-out problems, written likewise; empty: no evaluation");
  table.add("prompt", o.prompt,
            "field that holds the question, or a chat, in files without a preset; dots lead into "
            "objects (this and the next two)");
  table.add("answer", o.answer, "field that holds the reference answer; a row may lack it");
  table.add("id", o.id, "field that holds the row's name; a row may lack it");
  table.add_choice("bad_rows", o.bad_rows, {"error", "skip"},
                   "what a row that cannot be used does: end the run, or be left out and counted");
  table.add("drop_unanswered", o.drop_unanswered,
            "leave out rows without an answer, and count them");
  table.add("max_prompt_tokens", o.max_prompt_tokens, kCount,
            "leave out rows whose prompt has more tokens, and count them; 0: none");
  table.add("held_out", o.held_out, {1, 100000}, "problems held out for evaluation (carry)");
  table.add("seed", o.seed, kSeed,
            "seed of the order of problems, and of the problems that are made (carry)");
}

void declare_prompt(OptionTable& table, PromptOptions& o) {
  table.begin_section("prompt", "How a question becomes what the model reads.");
  table.add_choice("form", o.form, {"auto", "chat", "plain"},
                   "chat: by the model's chat template; plain: as text; auto: rows that are chats "
                   "by the template, others as text");
  table.add("system", o.system,
            "system message of a chat that has none, or first paragraph of a plain prompt");
  table.add("instruction", o.instruction,
            "what is said with the question: {question} stands for it; without that place it "
            "follows the question on a line of its own");
  table.add("few_shot", o.few_shot,
            "file of solved examples {\"prompt\", \"response\"} that go before the question, "
            "written as data.train; empty: none");
  table.add("few_shot_count", o.few_shot_count, kPositive, "how many of them, from the first on");
  table.add(
      "chat_template", o.chat_template,
      "file with a Jinja template, or the name of one of the model's; empty: the model's own");
  table.add("template_arguments", o.template_arguments,
            "what else the chat template is given, a JSON object: '{\"enable_thinking\": false}'");
}

void declare_warm_start(OptionTable& table, WarmStartOptions& o) {
  table.begin_section("warm_start",
                      "Supervised training on demonstrations, before reinforcement learning.");
  table.add("steps", o.steps, kCount, "optimiser steps; 0: no warm start");
  table.add("batch", o.batch, kPositive, "demonstrations in each step");
  table.add("learning_rate", o.learning_rate, kAboveZero,
            "highest learning rate; falls to 0 along a cosine");
  table.add("warmup_steps", o.warmup_steps, kCount,
            "steps in which the learning rate rises from 0");
  table.add("carry_bug", o.carry_bug, kShare,
            "probability that a demonstration forgets a carry or borrow that is due");
}

void declare_reward(OptionTable& table, RewardOptions& o) {
  table.begin_section("reward", "What a response is worth.");
  table.add_pattern("kind", o.kind,
                    "math, exact, numeric, multiple_choice, countdown, carry, digits, format, "
                    "tags, length, repetition (NAME or NAME:ARGUMENT), python:FILE:FUNCTION, parts",
                    is_reward_kind,
                    "verifier, or parts: the sum of reward.parts; carry and digits are the two "
                    "example tasks; docs/rewards.md");
  table.add("parts", o.parts,
            "for reward.kind = \"parts\", summed: \"WEIGHT*VERIFIER\" or \"VERIFIER\"; \"gate "
            "VERIFIER\" must be passed for more than reward.failure");
  table.add("failure", o.failure, {.min = -1000, .max = 1000},
            "reward of a wrong answer, and of a response whose verification failed or took too "
            "long");
  table.add("workers", o.workers, {1, 1024}, "Python processes that verify", may_change);
  table.add("timeout_s", o.timeout_s, kAboveZero,
            "seconds that a Python worker may take for one response; then it is killed");
  table.add("worker_memory_mib", o.worker_memory_mib, {0, int64_t{1} << 30},
            "address space of each Python worker; 0: any", may_change);
  table.add("overlong_tokens", o.overlong_tokens, kCount,
            "the reward falls linearly over this many last tokens of the longest response; 0: off");
  table.add("overlong_penalty", o.overlong_penalty, {},
            "what a response of full length loses by that");
}

}  // namespace

OptionTable declare_options(RunOptions& options) {
  OptionTable table;
  declare_model(table, options.model);
  declare_lora(table, options.lora);
  declare_data(table, options.data);
  declare_prompt(table, options.prompt);
  declare_warm_start(table, options.warm_start);
  declare_growth_options(table, options);
  declare_reward(table, options.reward);
  declare_training_options(table, options);
  return table;
}

}  // namespace treepo
