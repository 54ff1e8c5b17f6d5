#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "config/growth_options.h"

namespace treepo {

// Every option of a run as plain structs (a tree's growth: growth_options.h); config/declare*.cpp
// give each its key, default, range and help. Parts take the one struct that concerns them, never
// the whole.

struct ModelOptions {
  std::string path;               // Hugging Face directory; empty: a fresh random model
  std::string device = "cpu";     // cpu, cuda, cuda:N
  std::string dtype = "float32";  // float32, float64, bfloat16, float16
  bool random_weights = false;    // take config.json and tokenizer of path, but fresh weights
  // A fresh model with the quickstart's tokenizer (path empty):
  std::string architecture = "llama";
  int64_t hidden_size = 96, num_layers = 3, num_heads = 4, num_kv_heads = 2,
          intermediate_size = 256;
  int64_t max_positions = 512;
  double rope_theta = 10000.0;
  double initializer_range = 0.02;
  bool tie_embeddings = true;
};

// Low-rank adapters (arXiv 2106.09685): W + alpha / rank · B A, of which only A and B are trained.
struct LoraOptions {
  int64_t rank = 0;  // 0: none, all weights are trained
  double alpha = 16;
  std::vector<std::string> targets = {"q_proj",    "k_proj",  "v_proj",   "o_proj",
                                      "gate_proj", "up_proj", "down_proj"};
};

inline bool is_lora_target(const std::string& name) {
  const std::vector<std::string> all = LoraOptions().targets;
  return std::find(all.begin(), all.end(), name) != all.end();
}

struct StopOptions {
  int64_t response_tokens = 0;      // longest response; 0: depth * segment_tokens
  int64_t min_response_tokens = 0;  // stopped paths shorter than this are discarded
  std::string answer = "none";      // none, boxed (a box ends the path), boxed_with_eos
  bool repetition = false;          // stop when a segment's text repeats itself
  bool repetition_first = true;     // judged before the other rules
  int64_t repetition_length = 32;   // characters of the repeated substring
  int64_t repetition_count = 8;     // occurrences
  std::vector<std::string> stop_strings;
};

// Tokens that a response may have at most: the length rule or the depth, whichever ends it first.
inline int64_t longest_response(const GrowthOptions& growth, const StopOptions& stop) {
  const int64_t by_depth = growth.depth * growth.segment_tokens;
  return stop.response_tokens > 0 ? std::min(stop.response_tokens, by_depth) : by_depth;
}

struct SamplingOptions {
  double temperature = 1.0;
  int64_t top_k = 0;
  double top_p = 1.0;
  double min_p = 0.0;
};

struct EngineOptions {
  int64_t max_rows = 256;          // active paths decoded in one step
  int64_t max_step_tokens = 2048;  // rows and prefilled tokens of one step together
  int64_t page_tokens = 16;
  int64_t cache_mib = 1024;  // memory for keys and values
  bool cuda_graphs = true;   // steps of few rows are recorded and replayed
};

enum class AdvantageKind {
  tree,
  tree_size_weighted,
  tree_reject_degenerate,
  tree_reject_degenerate_size_weighted,
  tree_no_root,
  grpo,
  leave_one_out,
  segment,
  sibling_normalized,
  expected_reward
};

struct AdvantageOptions {
  AdvantageKind kind = AdvantageKind::tree;
  bool query_std = false;  // divide by the query's standard deviation of rewards
  bool whiten = true;      // subtract the batch's token mean, divide by its token std
  double epsilon = 1e-6;   // added to a standard deviation
};

enum class Objective { dapo, grpo, dr_grpo, bnpo, gspo, cispo, reinforce_plus_plus };
// What the ratio of new to old policy is of; automatic: sequence for gspo, token for the others.
enum class RatioLevel { automatic, token, sequence };
enum class KlEstimator { k1, k2, k3 };
// Ratio of trainer to sampler that decides what is left out: of a token, of a trajectory (the
// product over its tokens), or the geometric mean over its tokens.
enum class ImportanceMask { none, token, sequence, geometric };

struct ObjectiveOptions {
  Objective kind = Objective::dapo;
  RatioLevel ratio = RatioLevel::automatic;
  double clip_low = 0.2, clip_high = 0.28;
  double dual_clip = 10.0;  // 0: off
  double kl_beta = 0.0;     // KL to the reference model, 0: no reference is kept
  KlEstimator kl_estimator = KlEstimator::k3;
  bool kl_in_reward = false;  // taken from rewards, in front of advantages, instead of the loss
  std::string reference_dtype = "model";  // model (that of model.dtype), bfloat16
  int64_t reference_every = 0;  // steps after which the policy becomes the reference; 0: never
  double entropy_beta = 0.0;    // entropy bonus
  std::string beta_schedule = "constant";  // of both betas: constant, linear, cosine, exponential
  double beta_end = 0.01;                  // share of them at the end, unless constant
  int64_t beta_steps = 0;  // steps after which that end is reached; 0: those of training
  // Largest truncated importance weight for the mismatch between sampler and trainer; 0: off.
  double importance_cap = 0.0;
  ImportanceMask importance_mask = ImportanceMask::none;
  double importance_mask_low = 0.5, importance_mask_high = 2.0;  // ratios that are kept
  bool mask_truncated = false;  // no loss for trajectories that the longest response has cut off
};

struct OptimizerOptions {
  double learning_rate = 1e-6;
  int64_t warmup_steps = 10;
  std::string schedule = "constant";  // constant, cosine, linear
  double min_lr_ratio = 0.0;          // share of the rate at which cosine and linear end
  int64_t decay_steps = 0;            // steps after which they have ended; 0: those of training
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
  double weight_decay = 0.1;
  double max_grad_norm = 1.0;  // 0: no clipping
};

struct UpdateOptions {
  int64_t updates_per_batch = 4;
  int64_t max_tokens = 8192;  // packed tokens run at once; gradients accumulate over packs
  int64_t logit_chunk_tokens = 1024;
  bool packed = true;              // false: every trajectory apart
  bool checkpoint_layers = false;  // backward runs each layer again
  bool recompute_old_logprobs = false;
};

struct RewardOptions {
  // A verifier, NAME or NAME:ARGUMENT (reward/reward_spec.h), or "parts".
  std::string kind = "exact";
  std::vector<std::string> parts;  // of kind "parts": [WEIGHT*]VERIFIER, or "gate VERIFIER"
  double failure = 0.0;   // worth of a wrong answer, and of a response that could not be judged
  int64_t workers = 2;    // Python processes
  double timeout_s = 10;  // for each response that a worker judges
  int64_t worker_memory_mib = 4096;  // address space of each; 0: any
  int64_t overlong_tokens = 0;       // the last tokens of the longest response, over which…
  double overlong_penalty = 1.0;     // …the reward falls linearly by this
};

struct DataOptions {
  std::string kind = "files";            // files, carry
  std::vector<std::string> train, test;  // sources of rows (data/source_spec.h)
  // Fields of the rows of sources without a preset; dots lead into objects.
  std::string prompt = "prompt", answer = "answer", id = "id";
  std::string bad_rows = "error";  // error, skip
  bool drop_unanswered = false;    // leave out rows without an answer
  int64_t max_prompt_tokens = 0;   // leave out longer prompts; 0: none is
  int64_t held_out = 1000;         // problems held out (carry)
  int64_t seed = 0;                // of the order, and of problems that are made
};

// How a question becomes what the model reads.
struct PromptOptions {
  std::string form = "auto";  // auto, chat, plain
  std::string system;         // first message of a chat, or first paragraph of a plain prompt
  std::string instruction;    // with {question} where the question goes; without: appended
  std::string few_shot;       // source of solved examples
  int64_t few_shot_count = 4;
  std::string chat_template;       // Jinja file, or name of one of the model's; empty: its own
  std::string template_arguments;  // JSON object
};

struct WarmStartOptions {
  int64_t steps = 0;  // 0: none
  int64_t batch = 32;
  double learning_rate = 4e-3;
  int64_t warmup_steps = 50;
  double carry_bug = 0.6;  // probability that a demonstration forgets a carry or borrow
};

struct TrainOptions {
  int64_t seed = 1;
  int64_t max_steps = 100;
  double epochs = 0;  // 0: max_steps decides
  int64_t queries_per_step = 16;
  bool dynamic_sampling = true;  // replace queries whose scores are all equal
  int64_t max_sampling_rounds = 10;
  int64_t max_skipped_updates = 10;  // in a row, for gradients that are not finite
  std::string run_dir = "runs/run";
  int64_t checkpoint_every = 50;
  int64_t keep_checkpoints = 2;
  int64_t threads = 0;          // 0: all cores
  int64_t sample_queries = 4;   // trees written to samples.jsonl each step
  bool tensorboard = false;     // event files in the run's folder too
  std::string wandb_project{};  // of Weights & Biases; empty: not sent there
};

struct EvaluateOptions {
  int64_t every = 25;     // steps; 0: only before and after
  int64_t queries = 400;  // 0: all
  int64_t samples = 4;
  double temperature = 1.0;
  double top_p = 1.0;
  bool greedy = true;  // also one greedy answer for each query
};

// Supervised training. Steps, epochs, seed, folder and checkpoints are TrainOptions', evaluation's
// rhythm is EvaluateOptions'.
struct SftOptions {
  std::vector<std::string> train, test;  // sources of chats, or of prompts and responses
  int64_t batch = 16;                    // examples in each optimiser step
  int64_t max_tokens = 0;                // longer examples are left out; 0: none is
};

struct RunOptions {
  ModelOptions model;
  LoraOptions lora;
  DataOptions data;
  PromptOptions prompt;
  WarmStartOptions warm_start;
  GrowthOptions rollout;
  StopOptions stop;
  SamplingOptions sampling;
  EngineOptions engine;
  RewardOptions reward;
  AdvantageOptions advantage;
  ObjectiveOptions objective;
  OptimizerOptions optimizer;
  UpdateOptions update;
  TrainOptions train;
  EvaluateOptions evaluate;
  SftOptions sft;
};

}  // namespace treepo
