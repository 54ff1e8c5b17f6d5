#include <fmt/ranges.h>  // fmt::join

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "app/command_line.h"
#include "app/commands.h"
#include "app/run_flags.h"
#include "app/run_start.h"  // interrupted
#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "config/load.h"
#include "config/resume.h"
#include "config/save.h"
#include "data/load_sources.h"
#include "evaluate/evaluation_report.h"
#include "model/make_step_model.h"
#include "train/evaluation.h"
#include "train/evaluation_run.h"
#include "train/model_setup.h"
#include "train/threads.h"
#include "tree/growth.h"  // needs_leaf_scores, trees_share_budget

namespace treepo {

namespace {

struct EvalFlags {
  RunFlags run;
  std::string config, out = "runs/eval";
  std::vector<std::string> data, reward;
  int64_t samples = 0;  // 0: evaluate.samples
  bool trees = false;
};

std::string list_override(const std::string& key, const std::vector<std::string>& texts) {
  return key + "=" + dump_json(Json(texts));  // a JSON list of strings is a TOML one
}

RunOptions eval_options(const EvalFlags& flags) {
  std::vector<std::string> overrides = flags.run.overrides();
  if (!flags.data.empty()) overrides.push_back(list_override("data.test", flags.data));
  if (!flags.reward.empty()) {
    overrides.push_back("reward.kind=parts");
    overrides.push_back(list_override("reward.parts", flags.reward));
  }
  if (flags.samples > 0) overrides.push_back(fmt::format("evaluate.samples={}", flags.samples));
  RunOptions options = load_options(flags.config, overrides);
  options.rollout.sequential = !flags.trees;
  if (options.model.path.empty()) throw CLI::RequiredError("--model DIR");
  if (options.data.test.empty()) throw CLI::RequiredError("--data SOURCE");
  if (options.evaluate.samples == 0 && !options.evaluate.greedy)
    throw Error("evaluate.samples = 0 and evaluate.greedy = false: nothing is asked");
  if (flags.trees && needs_leaf_scores(options.rollout))
    throw Error(
        "rollout.divergence or rollout.prune goes by the value of paths, which a verifier tells: "
        "an evaluation that looks at the answers while it samples says nothing",
        "choose another divergence, or leave --trees out");
  return options;
}

// What answers depend on; the rest (threads, memory) may change when an evaluation goes on. Rows
// decide how many trees are grown together, which matters where these share a budget.
bool decides_answers(const std::string& key, const GrowthOptions& growth) {
  if (key == "engine.max_rows") return trees_share_budget(growth);
  constexpr std::array kSections = {"model.", "data.",     "prompt.", "rollout.",
                                    "stop.",  "evaluate.", "reward.", "train.seed"};
  for (const std::string_view section : kSections)
    if (key.starts_with(section)) return true;
  return false;
}

// A new folder, or one with an evaluation of the same options that goes on.
void prepare_folder(const std::string& folder, const RunOptions& options) {
  const std::string config = join_path(folder, "config.toml");
  if (!file_system().exists(config)) {
    file_system().make_directories(folder);
    write_file_atomically(config, options_as_toml(options));
    return;
  }
  std::vector<std::string> changes;
  for (const OptionChange& change : option_changes(load_options(config, {}), options))
    if (decides_answers(change.key, options.rollout))
      changes.push_back(fmt::format("{} was {}, now {}", change.key, change.saved, change.now));
  if (changes.empty()) return;
  throw Error(fmt::format("{} holds another evaluation: {}", folder, fmt::join(changes, "; ")),
              "name another folder with --out, or remove that one");
}

LoadedModel load_model(const RunOptions& options, const Verifier& verifier,
                       std::vector<TrainingQuery>& queries) {
  return load_model_directory(options.model, [&](const ModelConfig& config,
                                                 const Tokenizer& tokenizer,
                                                 const std::string& tokenizer_dir) {
    check_context(config, options);
    const DataContext context = data_context(options, verifier, config, tokenizer, tokenizer_dir);
    PromptWriter prompts(options.prompt, tokenizer_dir);
    std::vector<Problem> problems;
    for (LoadedSource& source : load_sources(options.data.test, options.data, prompts, context)) {
      if (source.report.left_out() > 0)
        log_warning("{}: {}", source.report.path, source.report.left_out_text());
      std::move(source.problems.begin(), source.problems.end(), std::back_inserter(problems));
    }
    queries = make_training_queries(std::move(problems), tokenizer);
  });
}

void write_results(const std::string& folder, const std::vector<EvaluationRow>& rows) {
  OutputFile out(join_path(folder, "results.jsonl"), OutputFile::Mode::atomic);
  for (const EvaluationRow& row : rows) out.write(dump_json(evaluation_json(row)) + "\n");
  out.finish();
}

void run_eval(const EvalFlags& flags, int& exit_code) {
  flags.run.apply_quiet();
  const RunOptions options = eval_options(flags);
  use_threads(options.train.threads);
  const std::unique_ptr<Verifier> verifier = make_verifier(options.reward);
  std::vector<TrainingQuery> queries;
  LoadedModel model = load_model(options, *verifier, queries);
  prepare_folder(flags.out, options);
  catch_interrupts();
  const TokenText text{model.tokenizer, model.decoder.config().eos_token_ids};
  const auto step_model = make_step_model(model.decoder, options.model.device, options.engine);
  const auto problems = run_evaluation(*step_model, options, flags.trees, queries, text, *verifier,
                                       join_path(flags.out, "answers.jsonl"), interrupted);
  if (!problems) {
    fmt::print("Interrupted: what has been answered lies in {}. The same command goes on.\n",
               flags.out);
    exit_code = kExitInterrupted;
    return;
  }
  const std::vector<EvaluationRow> rows = evaluation_rows(
      *problems, equivalence_of(*verifier), static_cast<uint64_t>(options.train.seed));
  write_results(flags.out, rows);
  fmt::print("{}\nanswers and results lie in {}\n", evaluation_table(rows), flags.out);
}

}  // namespace

void add_eval_command(CLI::App& program, int& exit_code) {
  auto flags = std::make_shared<EvalFlags>();
  CLI::App* command = add_command(
      program, "eval", "Answer test problems and judge: avg@k, pass@k, maj@k with intervals");
  command->add_option("config", flags->config, "TOML file with options, as for `treepo train`");
  command->add_option("--model", flags->run.model, "Hugging Face directory");
  command
      ->add_option("--data", flags->data, "problems, [NAME=][PRESET:]FILE as data.test; repeatable")
      ->take_all();
  command->add_option("--reward", flags->reward, "verifier, as reward.parts; repeatable")
      ->take_all();
  command->add_option("--samples", flags->samples, "answers to each problem")
      ->check(CLI::Range(1, 65536));
  command->add_flag("--trees", flags->trees,
                    "the answers to a problem as one tree, grown as rollout.* says");
  command
      ->add_option("--out", flags->out,
                   "folder for answers and results; an evaluation that is "
                   "in it already goes on")
      ->capture_default_str();
  flags->run.add_to(*command);
  command->footer(
      "  treepo eval --model DIR --data math500=math:math500.jsonl --data aime:aime24.jsonl \\\n"
      "    --reward math --samples 16 --set evaluate.temperature=0.6 --out runs/eval-math\n\n"
      "avg@k: share of right answers; pass@k: unbiased, of at least one right among k; maj@k: of\n"
      "right majority answers, 1,000 resamples; \"all\" weighs data sets by their problems.");
  command->callback([flags, &exit_code] { run_eval(*flags, exit_code); });
}

}  // namespace treepo
