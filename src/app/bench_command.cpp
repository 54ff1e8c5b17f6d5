#include <fmt/ranges.h>  // fmt::join

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "app/commands.h"
#include "app/run_flags.h"
#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/random.h"
#include "base/threads.h"
#include "config/load.h"
#include "data/jsonl.h"
#include "evaluate/machine_roof.h"
#include "evaluate/sampling_benchmark.h"
#include "model/device.h"
#include "model/named_shapes.h"
#include "model/tree_step_model.h"
#include "text/tokenizer.h"
#include "train/threads.h"
#include "train/training_query.h"

namespace treepo {

namespace {

struct BenchFlags {
  RunFlags run;
  std::string config, random_model, prompts, json;
  int64_t queries = 64, prompt_tokens = 128, rounds = 5;
  bool ignore_eos = false, lock_step = false;
  std::vector<int64_t> widths, depths;
};

Decoder bench_decoder(const BenchFlags& flags, const ModelOptions& options) {
  if (flags.random_model.empty() == options.path.empty())
    throw CLI::RequiredError("one of --model and --random-model");
  const c10::Device device = parse_device(options.device);
  const c10::ScalarType dtype = parse_dtype(options.dtype);
  if (flags.random_model.empty()) return Decoder::load(options.path, device, dtype);
  return Decoder::random(named_model_config(flags.random_model), 1, device, dtype);
}

std::vector<Query> random_queries(const BenchFlags& flags, int64_t vocab_size) {
  std::vector<Query> queries(static_cast<size_t>(flags.queries));
  for (size_t i = 0; i < queries.size(); ++i) {
    queries[i].id = i;
    const RandomStream random(1, Purpose::generate, i);
    for (int64_t at = 0; at < flags.prompt_tokens; ++at)
      queries[i].prompt.push_back(
          static_cast<int32_t>(random.integer(0, vocab_size - 1, static_cast<uint32_t>(at), 0)));
  }
  return queries;
}

std::vector<Query> bench_queries(const BenchFlags& flags, const RunOptions& options,
                                 const Decoder& decoder) {
  if (flags.prompts.empty()) return random_queries(flags, decoder.config().vocab_size);
  if (options.model.path.empty())
    throw Error("--prompts needs the tokenizer of a model", "give --model DIR");
  const Tokenizer tokenizer = Tokenizer::load(options.model.path);
  std::vector<Query> queries;
  for (TrainingQuery& query : make_training_queries(read_problems(flags.prompts), tokenizer))
    queries.push_back({query.id, query.visit, std::move(query.prompt)});
  return queries;
}

// Sequential sampling and trees of the options' shape, then trees of other shapes with the same
// longest response, or of other widths, each beside sequential sampling of that width.
std::vector<SamplingCase> bench_cases(const BenchFlags& flags, const RunOptions& options,
                                      const std::vector<int32_t>& eos_ids, size_t num_queries) {
  const RolloutSettings trees = {.growth = options.rollout,
                                 .stop = options.stop,
                                 .sampling = options.sampling,
                                 .engine = options.engine,
                                 .eos_ids = flags.ignore_eos ? std::vector<int32_t>{} : eos_ids,
                                 .seed = static_cast<uint64_t>(options.train.seed),
                                 .purpose = Purpose::evaluate};
  std::vector<SamplingCase> cases;
  const auto add_width = [&](int64_t width) {
    SamplingCase sequential = {fmt::format("sequential, w {}", width), trees};
    sequential.settings.growth.width = width;
    sequential.settings.growth.sequential = true;
    cases.push_back(std::move(sequential));
    SamplingCase tree = {
        fmt::format("tree {} x {}, w {}", trees.growth.depth, trees.growth.segment_tokens, width),
        trees};
    tree.settings.growth.width = width;
    cases.push_back(std::move(tree));
  };
  if (flags.widths.empty()) {
    add_width(options.rollout.width);
  } else {
    for (const int64_t width : flags.widths) add_width(width);
  }
  const int64_t response = options.rollout.depth * options.rollout.segment_tokens;
  for (const int64_t depth : flags.depths) {
    if (depth < 1 || response % depth != 0)
      throw Error(
          fmt::format("--depths {}: {} tokens are not so many equal segments", depth, response),
          "give divisors of rollout.depth * rollout.segment_tokens");
    SamplingCase tree = {
        fmt::format("tree {} x {}, w {}", depth, response / depth, options.rollout.width), trees};
    tree.settings.growth.depth = depth;
    tree.settings.growth.segment_tokens = response / depth;
    cases.push_back(std::move(tree));
  }
  if (flags.lock_step) {
    for (size_t i = 0; i < 2; ++i) {
      SamplingCase all_at_once = cases[i];
      all_at_once.name += ", lock step";
      EngineOptions& engine = all_at_once.settings.engine;
      engine.max_rows = static_cast<int64_t>(num_queries) * all_at_once.settings.growth.width;
      engine.max_step_tokens = std::max(engine.max_step_tokens, engine.max_rows);
      cases.push_back(std::move(all_at_once));
    }
  }
  return cases;
}

// Share of the time, in percent.
double percent(double part, double whole) {
  return whole > 0 ? 100 * part / whole : 0;
}

OrderedJson as_json(const SamplingMeasurement& m, double bandwidth) {
  double total = 0;
  for (const double seconds : m.seconds) total += seconds;
  OrderedJson depths = OrderedJson::array();
  for (const DepthTokens& tokens : m.by_depth)
    depths.push_back({{"unique", tokens.unique}, {"trajectory", tokens.trajectory}});
  const double bytes =
      static_cast<double>(m.profile.weight_bytes + m.profile.key_value_bytes) / total;
  return {{"case", m.name},
          {"width", m.width},
          {"seconds", m.seconds},
          {"trajectories", m.stats.trajectories / static_cast<int64_t>(m.rounds())},
          {"trajectories_per_s", m.trajectories_per_second()},
          {"unique_tokens_per_s", m.unique_tokens_per_second()},
          {"trajectory_tokens_per_s", m.trajectory_tokens_per_second()},
          {"processed_tokens_per_s", m.processed_tokens_per_second()},
          {"sharing", m.sharing()},
          {"steps", m.stats.steps / static_cast<int64_t>(m.rounds())},
          {"rows_per_step", static_cast<double>(m.stats.rows) / static_cast<double>(m.stats.steps)},
          {"linear_seconds", m.profile.linear_seconds / m.rounds()},
          {"attention_seconds", m.profile.attention_seconds / m.rounds()},
          {"draw_seconds", m.profile.draw_seconds / m.rounds()},
          {"scheduling_seconds", m.stats.scheduling_seconds / m.rounds()},
          {"bytes_per_s", bytes},
          {"bandwidth_share", bytes / bandwidth},
          {"by_depth", depths}};
}

void print_table(const std::vector<SamplingMeasurement>& measured, double bandwidth) {
  fmt::print("{:<32} {:>9} {:>9} {:>9} {:>9} {:>8} {:>6} {:>7} {:>7} {:>7} {:>7} {:>7}\n", "",
             "traj/s", "unique/s", "traj.t/s", "+prefill", "sharing", "rows", "linear", "attent.",
             "draw", "sched.", "bytes");
  for (const SamplingMeasurement& m : measured) {
    double total = 0;
    for (const double seconds : m.seconds) total += seconds;
    const double bytes =
        static_cast<double>(m.profile.weight_bytes + m.profile.key_value_bytes) / total;
    fmt::print(
        "{:<32} {:>9.1f} {:>9.0f} {:>9.0f} {:>9.0f} {:>8.2f} {:>6.0f} {:>6.1f}% {:>6.1f}% "
        "{:>6.1f}% {:>6.1f}% {:>6.1f}%\n",
        m.name, m.trajectories_per_second(), m.unique_tokens_per_second(),
        m.trajectory_tokens_per_second(), m.processed_tokens_per_second(), m.sharing(),
        static_cast<double>(m.stats.rows) / static_cast<double>(m.stats.steps),
        percent(m.profile.linear_seconds, total), percent(m.profile.attention_seconds, total),
        percent(m.profile.draw_seconds, total), percent(m.stats.scheduling_seconds, total),
        percent(bytes, bandwidth));
  }
}

// Each tree case against sequential sampling of the same width.
void print_ratios(const std::vector<SamplingMeasurement>& measured) {
  for (const SamplingMeasurement& tree : measured) {
    if (tree.sharing() <= 1 || !tree.name.starts_with("tree")) continue;
    const bool lock_step = tree.name.ends_with("lock step");
    for (const SamplingMeasurement& sequential : measured) {
      if (!sequential.name.starts_with("sequential") || sequential.width != tree.width ||
          sequential.name.ends_with("lock step") != lock_step)
        continue;
      const double faster = tree.trajectories_per_second() / sequential.trajectories_per_second();
      fmt::print("{}: {:.2f} x the trajectories/s of {}, {:.2f} of the token ratio {:.2f}\n",
                 tree.name, faster, sequential.name, faster / tree.sharing(), tree.sharing());
      break;
    }
  }
}

void print_depths(const SamplingMeasurement& tree) {
  fmt::print("unique share by depth, {}:", tree.name);
  for (size_t i = 0; i < tree.by_depth.size(); ++i)
    fmt::print(" {}: {:.0f} %", i + 1,
               percent(static_cast<double>(tree.by_depth[i].unique),
                       static_cast<double>(tree.by_depth[i].trajectory)));
  fmt::print("\n");
}

void run_bench_sample(const BenchFlags& flags) {
  flags.run.apply_quiet();
  const RunOptions options = load_options(flags.config, flags.run.overrides());
  const int64_t threads = use_threads(options.train.threads);
  const Decoder decoder = bench_decoder(flags, options.model);
  const std::vector<Query> queries = bench_queries(flags, options, decoder);
  const auto cases = bench_cases(flags, options, decoder.config().eos_token_ids, queries.size());
  const double bandwidth = measure_read_bandwidth(static_cast<int>(threads));

  fmt::print(
      "{} parameters, {}, {} threads, {} queries, at most {} rows, {} rounds; memory read at "
      "{:.1f} GB/s\n",
      decoder.parameters().count(), options.model.dtype, threads, queries.size(),
      options.engine.max_rows, flags.rounds, bandwidth / 1e9);
  std::fflush(stdout);
  std::vector<SamplingMeasurement> measured;
  {
    const auto runs = static_cast<int64_t>(cases.size()) * (flags.rounds + 1);
    Progress progress("bench", runs);
    TreeStepModel model(decoder);
    measured = measure_sampling(model, cases, queries, flags.rounds,
                                [&](int64_t done) { progress.update(done); });
  }
  print_table(measured, bandwidth);
  print_ratios(measured);
  print_depths(measured[1]);
  fmt::print("peak memory {} MiB\n", peak_memory_bytes() >> 20);
  if (flags.json.empty()) return;
  OutputFile out(flags.json, OutputFile::Mode::atomic);
  for (const SamplingMeasurement& m : measured) {
    out.write(dump_json(as_json(m, bandwidth)));
    out.write("\n");
  }
  out.finish();
}

}  // namespace

void add_bench_command(CLI::App& program) {
  auto flags = std::make_shared<BenchFlags>();
  CLI::App* bench = program.add_subcommand("bench", "Measure this program on this machine");
  bench->require_subcommand(1);
  CLI::App* command = bench->add_subcommand(
      "sample", "Trees against sequential sampling, alternately on the same queries");
  command->add_option("--model", flags->run.model, "Hugging Face directory");
  command->add_option(
      "--random-model", flags->random_model,
      fmt::format("a shape with random weights: {}", fmt::join(model_shape_names(), ", ")));
  command->add_option("--prompts", flags->prompts,
                      "JSON lines {\"prompt\" or \"ids\"}; without it prompts are drawn");
  command->add_option("--queries", flags->queries, "how many prompts to draw")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command->add_option("--prompt-tokens", flags->prompt_tokens, "length of a drawn prompt")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command->add_option("--rounds", flags->rounds, "timed runs of each case")
      ->check(CLI::Range(1, 10000))
      ->capture_default_str();
  command->add_option("--widths", flags->widths, "also these widths")->delimiter(',');
  command
      ->add_option("--depths", flags->depths,
                   "also trees of these depths with responses of the same length")
      ->delimiter(',');
  command->add_flag("--ignore-eos", flags->ignore_eos, "every response has its full length");
  command->add_flag("--lock-step", flags->lock_step,
                    "also with rows for all queries, so that all trees begin at once");
  command->add_option("--json", flags->json, "write one JSON line for each case");
  command->add_option("--config", flags->config, "TOML file with options, as for `treepo train`");
  flags->run.add_to(*command);
  command->footer(
      "traj/s: trajectories; unique/s: decoded tokens; traj.t/s: decoded tokens, once for each\n"
      "trajectory; +prefill: decoded and prefilled tokens (TokenPS of arXiv 2508.17445); bytes: "
      "of\n"
      "weights, keys and values read, against the bandwidth of memory.\n\n"
      "  treepo bench sample --random-model 89m --queries 32 --ignore-eos \\\n"
      "    --set rollout.depth=4 --set rollout.segment_tokens=32 --set engine.max_rows=64");
  command->callback([flags] { run_bench_sample(*flags); });
}

}  // namespace treepo
