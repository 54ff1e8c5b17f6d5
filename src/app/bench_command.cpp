#include <fmt/ranges.h>  // fmt::join

#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "app/bench_charts.h"
#include "app/commands.h"
#include "app/model_source.h"
#include "app/run_flags.h"
#include "base/error.h"
#include "base/files.h"
#include "base/progress.h"
#include "config/load.h"
#include "config/validate.h"
#include "config/validate_rollout.h"
#include "evaluate/machine_roof.h"
#include "evaluate/sampling_report.h"
#include "model/device_memory.h"
#include "model/make_step_model.h"
#include "model/named_shapes.h"
#include "reward/verifier.h"
#include "train/batch_collector.h"
#include "train/evaluation.h"  // tree_accuracy
#include "train/threads.h"
#include "train/trajectory_text.h"
#include "tree/growth.h"  // needs_leaf_scores

namespace treepo {

namespace {

struct BenchFlags {
  RunFlags run;
  ModelSource source;
  std::string config, reward, json, plot;
  int64_t rounds = 5;
  bool ignore_eos = false;
  SamplingSweeps sweeps;
  std::vector<std::string> shapes, first_splits;
};

RunOptions bench_options(const BenchFlags& flags) {
  std::vector<std::string> overrides = flags.run.overrides();
  if (!flags.reward.empty()) overrides.push_back(text_override("reward.kind", flags.reward));
  RunOptions options = load_options(flags.config, overrides);
  flags.source.check(options);
  if (!flags.reward.empty() && flags.source.prompts.empty())
    throw Error("--reward judges answers, and drawn prompts have none",
                "give --prompts FILE with an \"answer\" on each line");
  if (!flags.reward.empty() && options.model.path.empty())
    throw Error("--reward judges texts, and a model with random weights has no tokenizer",
                "give a model that has one: --model DIR");
  if (flags.reward.empty() && needs_leaf_scores(options.rollout))
    throw Error(
        "rollout.divergence or rollout.prune goes by the value of paths, which a verifier tells, "
        "and there is none",
        "name one with --reward, and give each prompt its \"answer\"");
  const bool looks_at_text = options.stop.answer != "none" || options.stop.repetition ||
                             !options.stop.stop_strings.empty();
  if (looks_at_text && !flags.source.random_model.empty())
    throw Error(
        "stop.answer, stop.repetition and stop.stop_strings look at text, and --random-model has "
        "no tokenizer",
        "leave them out, or give --model DIR");
  return options;
}

// Each case's own options must hold together: a width below the first split does not, nor a budget
// of tokens below one segment for each query.
void check_cases(const std::vector<SamplingCase>& cases, const RunOptions& options,
                 int64_t num_queries) {
  for (const SamplingCase& one : cases) {
    RunOptions own = options;
    own.rollout = one.settings.growth;
    own.engine = one.settings.engine;
    try {
      validate(own);
      validate_tokens_per_step(own.rollout, num_queries);
    } catch (const Error& error) {
      throw Error(fmt::format("{}: {}", one.name, error.what()), error.hint());
    }
  }
}

std::vector<SamplingCase> bench_cases(const BenchFlags& flags, const RunOptions& options,
                                      const ModelConfig& config, int64_t num_queries) {
  const RolloutSettings trees = {
      .growth = options.rollout,
      .stop = options.stop,
      .sampling = options.sampling,
      .engine = options.engine,
      .eos_ids = flags.ignore_eos ? std::vector<int32_t>{} : config.eos_token_ids,
      .seed = static_cast<uint64_t>(options.train.seed),
      .purpose = Purpose::evaluate};
  SamplingSweeps sweeps = flags.sweeps;
  for (const std::string& shape : flags.shapes) sweeps.shapes.push_back(parse_tree_shape(shape));
  for (const std::string& split : flags.first_splits)
    sweeps.first_splits.push_back(parse_split_range(split));
  std::vector<SamplingCase> cases = sampling_cases(trees, sweeps, num_queries);
  check_cases(cases, options, num_queries);
  return cases;
}

// What the benchmark asks of text: stop rules and, with --reward, how right each trajectory is.
class TextSide {
 public:
  TextSide(const BenchFlags& flags, const RunOptions& options, const ModelConfig& config,
           const std::vector<TrainingQuery>& queries)
      : options_(options), queries_(queries) {
    tokenizer_ = flags.source.tokenizer(options);
    if (!tokenizer_) return;
    text_.emplace(TokenText{*tokenizer_, config.eos_token_ids});
    if (flags.reward.empty()) return;
    verifier_ = make_verifier(options.reward);
    for (const TrainingQuery& query : queries) verifier_->check(query.problem);
  }
  TextSide(const TextSide&) = delete;
  TextSide& operator=(const TextSide&) = delete;

  void add_to(SamplingHooks& hooks) {
    if (!text_) return;
    add_text_rules(hooks.rollout, options_.stop, *text_);
    if (!verifier_) return;
    if (needs_leaf_scores(options_.rollout)) {
      scorer_.emplace(problems_of(queries_), *text_, *verifier_);
      hooks.rollout.score_leaves = scorer_->callback();
      // Forgotten with each tree: a case has other trees with the same leaves.
      hooks.rollout.tree_done = [this](size_t index, const Query&, const SearchTree&) {
        scorer_->take(index);
      };
    }
    hooks.judge = [this](std::vector<SearchTree> trees) {
      return tree_accuracy(queries_, std::move(trees), options_, *text_, *verifier_);
    };
  }

 private:
  const RunOptions& options_;
  const std::vector<TrainingQuery>& queries_;
  std::optional<Tokenizer> tokenizer_;
  std::optional<TokenText> text_;
  std::unique_ptr<Verifier> verifier_;
  std::optional<LeafScorer> scorer_;
};

// Opened before anything is measured, so that a wrong path costs nothing.
class BenchFiles {
 public:
  explicit BenchFiles(const BenchFlags& flags) {
    if (!flags.json.empty()) json_.emplace(flags.json, OutputFile::Mode::atomic);
    if (!flags.plot.empty()) plot_.emplace(flags.plot, OutputFile::Mode::atomic);
  }

  void write(const std::vector<SamplingMeasurement>& measured, const SamplingMachine& machine) {
    if (json_) {
      for (const SamplingMeasurement& m : measured)
        json_->write(dump_json(sampling_json(measured, m, machine)) + "\n");
      json_->finish();
    }
    if (plot_) {
      plot_->write(sampling_plot(measured));
      plot_->finish();
    }
  }

 private:
  std::optional<OutputFile> json_, plot_;
};

// Of what holds weights and keys. [bytes/s]
double memory_bandwidth(c10::Device device, int64_t threads) {
  return device.is_cpu() ? measure_read_bandwidth(static_cast<int>(threads))
                         : measure_copy_bandwidth(device);
}

void run_bench_sample(const BenchFlags& flags) {
  flags.run.apply_quiet();
  const RunOptions options = bench_options(flags);
  const int64_t threads = use_threads(options.train.threads);
  // All that can be wrong comes to light before the weights are read.
  const ModelConfig config = flags.source.config(options);
  const std::vector<TrainingQuery> queries = flags.source.queries(options, config);
  const auto cases = bench_cases(flags, options, config, std::ssize(queries));
  TextSide text(flags, options, config, queries);
  BenchFiles files(flags);
  const Decoder decoder = flags.source.load(options, config);

  SamplingMachine machine = {
      .device = options.model.device, .dtype = options.model.dtype, .threads = threads};
  fmt::print("{} parameters, {}, {}, {} threads, {} queries, at most {} rows, {} rounds\n",
             decoder.parameters().count(), machine.dtype, machine.device, threads, queries.size(),
             options.engine.max_rows, flags.rounds);
  std::fflush(stdout);

  std::vector<Query> prompts;
  for (const TrainingQuery& query : queries)
    prompts.push_back({query.id, query.visit, query.prompt});
  std::vector<SamplingMeasurement> measured;
  {
    Progress progress("bench", static_cast<int64_t>(cases.size()) * (flags.rounds + 1));
    SamplingHooks hooks{.progress = [&](int64_t done) { progress.update(done); }};
    text.add_to(hooks);
    const auto model = make_step_model(decoder, options.model.device, options.engine);
    measured = measure_sampling(*model, cases, prompts, flags.rounds, hooks);
  }
  // The peak first: the other measurement takes memory of its own.
  machine.peak_memory_bytes =
      decoder.device().is_cpu() ? peak_memory_bytes() : peak_device_bytes(decoder.device());
  machine.read_bandwidth = memory_bandwidth(decoder.device(), threads);
  fmt::print("{}{}{}{}peak memory {} MiB, memory read at {:.1f} GB/s\n",
             speed_table(measured, machine), ratio_lines(measured), depth_lines(measured),
             accuracy_table(measured), machine.peak_memory_bytes >> 20,
             machine.read_bandwidth / 1e9);
  files.write(measured, machine);
}

void add_sweeps(CLI::App& command, BenchFlags& flags) {
  command.add_option("--shapes", flags.shapes, "also trees of these shapes, as 4x32,8x16")
      ->delimiter(',');
  command.add_option("--widths", flags.sweeps.widths, "also these widths, as 4,8,16,32,64")
      ->delimiter(',')
      ->check(CLI::PositiveNumber);
  command
      .add_option("--branching", flags.sweeps.branching,
                  "also these branching factors, of fallback too where rollout.fallback_copies = 0")
      ->delimiter(',')
      ->check(CLI::PositiveNumber);
  command
      .add_option("--first-splits", flags.first_splits,
                  "also these first splits: 2, or drawn for each query from a range: 2-8")
      ->delimiter(',');
  command.add_flag("--lock-step", flags.sweeps.lock_step,
                   "also with rows for all queries, so that all trees begin at once");
}

}  // namespace

void add_bench_command(CLI::App& program) {
  auto flags = std::make_shared<BenchFlags>();
  CLI::App* bench = add_command(program, "bench", "Measure this program on this machine");
  bench->require_subcommand(1);
  CLI::App* command = add_command(
      *bench, "sample", "Trees against sequential sampling, alternately on the same queries");
  command->add_option("--model", flags->run.model, "Hugging Face directory");
  flags->source.add_to(*command);
  command->add_option("--rounds", flags->rounds, "timed runs of each case")
      ->check(CLI::Range(1, 10000))
      ->capture_default_str();
  add_sweeps(*command, *flags);
  command->add_flag("--ignore-eos", flags->ignore_eos, "every response has its full length");
  command->add_option("--reward", flags->reward,
                      "judge each trajectory with this verifier: accuracy against compute");
  command->add_option("--json", flags->json, "write one JSON line for each case");
  command->add_option("--plot", flags->plot, "write charts as one SVG file");
  command->add_option("--config", flags->config, "TOML file with options, as for `treepo train`");
  flags->run.add_to(*command);
  command->footer(
      "traj/s: trajectories; unique/s: decoded tokens; traj.t/s: decoded tokens, once for each\n"
      "trajectory; TokenPS: decoded and prefilled tokens, as arXiv 2508.17445 counts them;\n"
      "linear, attent., sampling, sched., other: shares of the time. linear is matrix products\n"
      "and all between them: embedding, norms, rotation, activation; other is text rules,\n"
      "verdicts that growth waits for, and copies. On a GPU the shares are the host's: handing\n"
      "work over (all of a replayed graph under linear) and, under sampling, the wait for it.\n"
      "roof: computed bytes, each weight once for each step and the keys and values that its rows\n"
      "see once, against what the memory that holds them gives. peak memory: of all cases\n"
      "together.\n\n"
      "  treepo bench sample --random-model 89m --queries 32 --ignore-eos --widths 4,8,16,32 \\\n"
      "    --plot widths.svg --set rollout.depth=4 --set rollout.segment_tokens=32");
  command->callback([flags] { run_bench_sample(*flags); });
}

}  // namespace treepo
