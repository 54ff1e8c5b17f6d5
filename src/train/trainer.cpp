#include "train/trainer.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/activity.h"
#include "base/files.h"
#include "base/log.h"
#include "config/save.h"
#include "learn/importance_mask.h"
#include "learn/schedule.h"
#include "train/credit.h"
#include "train/run_record.h"
#include "train/skipped_updates.h"
#include "train/step_events.h"
#include "train/supervised_run.h"
#include "train/threads.h"
#include "train/tree_record.h"
#include "train/warm_start.h"

namespace treepo {

namespace {

PackRunOptions pack_run_options(const RunOptions& options) {
  PackRunOptions run = supervised_pack_options(options);
  run.temperature = options.sampling.temperature;
  run.packed = options.update.packed;
  return run;
}

std::vector<TrainingQuery> test_queries(const DataSet& data, const RunOptions& options,
                                        const Tokenizer& tokenizer) {
  const auto limit = static_cast<size_t>(options.evaluate.queries);
  std::vector<TrainingQuery> all = make_training_queries(data.test, tokenizer), queries;
  for (const size_t i : first_of_each_source(data.test, limit > 0 ? limit : data.test.size())) {
    all[i].seen_in_training = data.test_seen[i];
    queries.push_back(std::move(all[i]));
  }
  return queries;
}

// The problems, with all that can be wrong with them found before weights are read.
DataSet load_problems(const RunOptions& options, const Verifier& verifier,
                      const ModelConfig& config, const Tokenizer& tokenizer,
                      const std::string& tokenizer_dir) {
  check_context(config, options);
  DataSet data = load_data_set(options.data, options.prompt,
                               data_context(options, verifier, config, tokenizer, tokenizer_dir));
  for (const auto* reports : {&data.train_reports, &data.test_reports})
    for (const SourceReport& report : *reports)
      if (report.left_out() > 0) log_warning("{}: {}", report.path, report.left_out_text());
  return data;
}

// Trees [first, last) of `count`, cut into `parts` of nearly equal size.
std::pair<size_t, size_t> part_of(size_t count, int64_t part, int64_t parts) {
  const auto p = static_cast<size_t>(part), n = static_cast<size_t>(parts);
  return {count * p / n, count * (p + 1) / n};
}

std::string query_names(std::span<const ScoredTree> trees) {
  std::string names;
  for (const ScoredTree& scored : trees)
    names += (names.empty() ? "queries " : ", ") + scored.query.problem.id;
  return names;
}

}  // namespace

Trainer::Trainer(RunOptions options, Start start, TrainerParts parts)
    : options_(std::move(options)),
      callbacks_(std::move(parts.callbacks)),
      paths_(run_paths(options_.train.run_dir, start, "train")),
      checkpoints_(paths_.root, options_.train.keep_checkpoints),
      checkpoint_(start == Start::resume ? checkpoints_.latest() : std::nullopt),
      state_(checkpoint_ ? CheckpointStore::load_state(*checkpoint_) : TrainState{}),
      verifier_(parts.verifier ? std::move(parts.verifier) : make_verifier(options_.reward)),
      model_(load_run_model(options_, paths_.tokenizer, checkpoint_,
                            [this](const ModelConfig& config, const Tokenizer& tokenizer,
                                   const std::string& tokenizer_dir) {
                              data_ = load_problems(options_, *verifier_, config, tokenizer,
                                                    tokenizer_dir);
                            })),
      optimizer_(make_optimizer(model_.decoder, options_.optimizer)),
      sampler_(model_, options_, Purpose::train),
      text_(sampler_.text()),
      test_queries_(test_queries(data_, options_, model_.tokenizer)),
      collector_(options_, *data_.train, text_, *verifier_, sampler_.engine()),
      reference_(options_, paths_.reference) {
  state_.threads = use_threads(resumed_threads(options_.train.threads, state_.threads));
  file_system().make_directories(paths_.root);
  keep_tokenizer(model_, paths_.tokenizer);
  checkpoints_.remove_incomplete();
  if (checkpoint_) {
    optimizer_.restore(CheckpointStore::load_optimizer(*checkpoint_));
    checkpoints_.finish_save(state_);
  }
  logs_.emplace(paths_);
  logs_->metrics.file().cut_to_size(static_cast<uint64_t>(state_.metrics_bytes));
  logs_->samples.cut_to_size(static_cast<uint64_t>(state_.samples_bytes));
  logs_->open_sinks(paths_, options_, checkpoint_ ? state_.step : -1);
  record_session(paths_, options_, state_.step, state_.threads);
  write_file_atomically(paths_.config, options_as_toml(options_));
}

TrainSummary Trainer::run(const RunWatch& watch) {
  const Timer timer;
  watch_ = watch;
  logs_->observer = watch.metrics;
  if (!checkpoint_) {
    run_warm_start();
    reference_.begin(model_.decoder);
    evaluate_and_log();
    save_checkpoint();
  }
  reference_.load(model_.decoder, state_.step);

  Progress progress("train", total_steps(), state_.step);
  bool interrupted = false;
  while (!finished() && !interrupted) {
    train_step(progress);
    if (state_.skipped.in_a_row >= options_.train.max_skipped_updates) stop_for_skipped_updates();
    const bool last = finished();
    interrupted = !last && watch_.stop_requested && watch_.stop_requested();
    const bool evaluate_now =
        last || (options_.evaluate.every > 0 && state_.step % options_.evaluate.every == 0);
    const bool improved = evaluate_now && evaluate_and_log();
    const bool checkpoint_due =
        options_.train.checkpoint_every > 0 && state_.step % options_.train.checkpoint_every == 0;
    if (last || interrupted || improved || checkpoint_due) save_checkpoint();
  }
  return {.state = state_,
          .last_evaluation = last_evaluation_,
          .run_dir = paths_.root,
          .checkpoint = checkpoints_.latest().value_or(""),
          .seconds = timer.seconds(),
          .interrupted = interrupted};
}

// The weights are those before the updates that were skipped. A run that resumes gets another try.
void Trainer::stop_for_skipped_updates() {
  const int64_t in_a_row = std::exchange(state_.skipped.in_a_row, 0);
  save_checkpoint();
  throw_too_many_skipped(
      {.where = fmt::format("step {}", state_.step),
       .in_a_row = in_a_row,
       .weights = checkpoints_.folder(state_.step),
       .remedies = "a lower optimizer.learning_rate, a smaller objective.clip_high",
       .dtype = options_.model.dtype,
       .items = "queries",
       .with_resume = "goes on with the next queries"});
}

int64_t Trainer::total_steps() const {
  const TrainOptions& train = options_.train;
  const auto epoch = static_cast<double>(data_.train->epoch_size());
  if (train.epochs == 0 || epoch == 0) return train.max_steps;
  const double queries = train.epochs * epoch - static_cast<double>(state_.next_position);
  const double steps = std::ceil(queries / static_cast<double>(train.queries_per_step));
  const double most = static_cast<double>(train.max_steps - state_.step);
  return state_.step + static_cast<int64_t>(std::clamp(steps, 0.0, std::max(most, 0.0)));
}

bool Trainer::finished() const {
  return state_.step >= total_steps();
}

void Trainer::count_tokens(const SearchTree& tree) {
  state_.unique_tokens += tree.unique_tokens();
  state_.trajectory_tokens += tree.trajectory_tokens();
}

void Trainer::log_samples(const CollectedBatch& batch) {
  int64_t left = options_.train.sample_queries;
  for (const std::vector<ScoredTree>* trees : {&batch.kept, &batch.dropped}) {
    for (const ScoredTree& scored : *trees) {
      if (left-- <= 0) return;
      OrderedJson line;
      line["step"] = state_.step;
      line.update(scored_record(scored, text_));
      logs_->samples.append(line);
    }
  }
}

void Trainer::run_warm_start() {
  if (options_.warm_start.steps == 0) return;
  if (text_.eos_ids.empty()) {
    throw Error("the model has no end-of-sequence token, with which demonstrations end",
                "name it as eos_token_id in config.json, or set warm_start.steps = 0");
  }
  Progress progress("warm start", options_.warm_start.steps);
  const WarmStartProgress end =
      warm_start(model_.decoder, model_.tokenizer, options_, text_.eos_ids[0],
                 [&](const WarmStartProgress& p) {
                   const double speed = static_cast<double>(p.tokens) / p.seconds;
                   progress.update(p.step, fmt::format("loss {:.3f}  {:.0f} tok/s", p.loss, speed));
                   if (p.step % 50 != 0 && p.step != options_.warm_start.steps && !p.given_up)
                     return;
                   Metrics metrics;
                   metrics.set("warm_start/step", p.step);
                   if (p.skipped.in_a_row == 0) metrics.set("warm_start/loss", p.loss);
                   metrics.set("warm_start/skipped", p.skipped.total);
                   metrics.set("time/warm_start", p.seconds);
                   metrics.set("speed/warm_start_tokens_per_s", speed);
                   logs_->write(0, metrics);
                 });
  if (!end.given_up) return;
  throw_too_many_skipped(
      {.where = warm_start_step(end.step),
       .in_a_row = end.skipped.in_a_row,
       .weights = checkpoints_.save_unfinished_warm_start(model_.decoder, model_.tokenizer_dir),
       .remedies = "a lower warm_start.learning_rate, fewer warm_start.steps",
       .dtype = options_.model.dtype,
       .items = "demonstrations (another data.seed)",
       .with_resume = "begins the warm start anew"});
}

void Trainer::train_step(Progress& progress) {
  const Timer timer;
  PhaseTimes times;
  RolloutEngine& engine = sampler_.engine();
  const RolloutStats sampling_before = engine.stats();
  const int64_t steps = total_steps();
  const double learning_rate = scheduled_learning_rate(options_.optimizer, state_.step, steps);

  // 1. Sample trees and verify them, until enough of them teach something.
  engine.set_training_share(static_cast<double>(state_.step) / static_cast<double>(steps));
  CollectedBatch batch =
      collector_.collect(state_.next_position, rollout_callbacks(progress), times);

  // 2. Credit each trajectory against its siblings at every depth.
  const ObjectiveOptions objective = scheduled_objective(options_.objective, state_.step, steps);
  const std::vector<TrainingTree> training = credited_trees(batch.kept, objective, times);

  // 3. Update on the trees, in several optimiser steps.
  const BatchUpdate updated =
      update(batch.kept, training, objective, learning_rate, times, progress);

  // 4. Go on to the next queries, and write down what happened.
  state_.step += 1;
  state_.next_position = batch.next_position;
  for (const ScoredTree& scored : batch.kept) count_tokens(scored.tree);
  for (const ScoredTree& scored : batch.dropped) count_tokens(scored.tree);
  const Metrics metrics = step_metrics(batch, updated, sampling_before, engine.stats(),
                                       learning_rate, times, timer.seconds());
  logs_->write(state_.step, metrics);
  log_samples(batch);
  if (logs_->events) write_step_events(*logs_->events, state_.step, batch, text_);
  log_info("{}", step_line(state_.step, steps, metrics));
  last_success_ = success_rate(batch);
  reference_.step_done(model_.decoder, state_.step);
}

// Where rewards need log-probs, those of all trajectories come first; else only what has a loss is
// run. Nothing where the KL in the rewards is not finite: no gradient would be.
std::vector<TrainingTree> Trainer::credited_trees(std::vector<ScoredTree>& trees,
                                                  const ObjectiveOptions& objective,
                                                  PhaseTimes& times) {
  std::vector<TrainingTree> training;
  for (const ScoredTree& scored : trees) training.push_back(uncredited_tree(scored.tree));
  if (objective.kl_in_reward) {
    add_logprobs(training, times);
    const std::string bad = assign_kl_penalties(trees, training, objective);
    if (!bad.empty()) {
      log_warning("step {}: an update was skipped: objective.kl_in_reward takes {}",
                  state_.step + 1, bad);
      return {};
    }
  }
  {
    PhaseTimes::Scope scope = times.measure("advantage");
    assign_advantages(trees, options_.advantage);
  }
  for (size_t i = 0; i < trees.size(); ++i)
    take_advantages(trees[i], objective.mask_truncated, training[i]);
  if (!objective.kl_in_reward) add_logprobs(training, times);
  if (options_.update.recompute_old_logprobs) mask_trajectories(training, objective);
  return training;
}

void Trainer::add_logprobs(std::vector<TrainingTree>& training, PhaseTimes& times) {
  PhaseTimes::Scope scope = times.measure("update");
  const PackRunOptions run = pack_run_options(options_);
  if (options_.update.recompute_old_logprobs) {
    std::vector<std::vector<double>> old = compute_logprobs(model_.decoder, training, run);
    for (size_t i = 0; i < old.size(); ++i) training[i].old_logprobs = std::move(old[i]);
  }
  if (options_.objective.kl_beta != 0) {
    const AdaptersOff adapters_off(model_.decoder);
    const Decoder& policy_reference = reference_.decoder() ? *reference_.decoder() : model_.decoder;
    std::vector<std::vector<double>> reference = compute_logprobs(policy_reference, training, run);
    for (size_t i = 0; i < reference.size(); ++i)
      training[i].reference_logprobs = std::move(reference[i]);
  }
}

BatchUpdate Trainer::update(const std::vector<ScoredTree>& trees,
                            const std::vector<TrainingTree>& training,
                            const ObjectiveOptions& objective, double learning_rate,
                            PhaseTimes& times, Progress& progress) {
  PhaseTimes::Scope scope = times.measure("update");
  BatchUpdate batch;
  if (trees.empty()) {
    log_warning(
        "step {}: no update: there is nothing to learn from queries whose answers all have "
        "the same score",
        state_.step + 1);
    return batch;
  }
  if (training.empty()) {  // there are no rewards to learn from
    UpdateReport skipped;
    skipped.step.skipped = true;
    batch.add(skipped, /*weights_as_sampled=*/false);
    state_.skipped.count(true);
    return batch;
  }
  const int64_t updates = options_.update.updates_per_batch;
  bool weights_as_sampled = true;
  for (int64_t part = 0; part < updates; ++part) {
    const auto [first, last] = part_of(training.size(), part, updates);
    if (first == last) continue;  // fewer trees than updates
    progress.update(state_.step, fmt::format("updating {}/{}", part + 1, updates));
    const UpdateReport report =
        treepo::update(model_.decoder, optimizer_, std::span(training).subspan(first, last - first),
                       objective, longest_response(options_.rollout, options_.stop), learning_rate,
                       pack_run_options(options_));
    if (report.trajectories == 0) continue;  // all were cut off
    batch.add(report, weights_as_sampled || options_.update.recompute_old_logprobs);
    state_.skipped.count(report.step.skipped);
    if (!report.step.skipped) {
      weights_as_sampled = false;
      continue;
    }
    warn_of_skipped_update(fmt::format("step {}", state_.step + 1), report.step.gradient_norm,
                           query_names(std::span(trees).subspan(first, last - first)));
    if (state_.skipped.in_a_row >= options_.train.max_skipped_updates) break;
  }
  if (batch.steps == 0) {
    log_warning("step {}: no update: objective.mask_truncated leaves none of its trajectories",
                state_.step + 1);
  }
  return batch;
}

RolloutCallbacks Trainer::rollout_callbacks(Progress& progress) {
  RolloutCallbacks callbacks = callbacks_;
  add_text_rules(callbacks, options_.stop, text_);
  callbacks.progress = [this, &progress](const RolloutProgress& p) {
    progress.update(
        state_.step,
        fmt::format("sampling  {} paths  {:.0f} unique tok/s  success {:.0f} %", p.active_paths,
                    static_cast<double>(p.drawn_tokens) / p.seconds, 100 * last_success_));
  };
  return callbacks;
}

bool Trainer::evaluate_and_log() {
  if (test_queries_.empty()) return false;
  last_evaluation_ = evaluate(sampler_.step_model(), options_, test_queries_, text_, *verifier_);
  const EvaluationSummary& summary = last_evaluation_->summary;
  const double greedy = summary.greedy ? summary.greedy->mean : -1;
  if (state_.step == 0) {
    state_.first_pass_at_1 = summary.average.mean;
    state_.first_greedy = greedy;
    if (last_evaluation_->unseen) {
      const EvaluationSummary& unseen = *last_evaluation_->unseen;
      state_.first_unseen_pass_at_1 = unseen.average.mean;
      if (unseen.greedy) state_.first_unseen_greedy = unseen.greedy->mean;
    }
  }
  const bool improved = state_.best_step < 0 || last_evaluation_->headline() > state_.best_score;
  if (improved) {
    state_.best_step = state_.step;
    state_.best_score = last_evaluation_->headline();
  }
  Metrics metrics;
  last_evaluation_->add_to(metrics);
  logs_->write(state_.step, metrics);
  log_info("step {}: score {:.3f}  pass@1 {:.1f} %{}  ({} held-out problems × {})", state_.step,
           summary.score.mean, 100 * summary.average.mean,
           greedy < 0 ? "" : fmt::format("  greedy {:.1f} %", 100 * greedy), summary.num_problems,
           summary.num_samples);
  return improved;
}

void Trainer::save_checkpoint() {
  const Activity activity("save checkpoint");
  logs_->metrics.file().sync();
  logs_->samples.sync();
  state_.metrics_bytes = static_cast<int64_t>(logs_->metrics.file().size());
  state_.samples_bytes = static_cast<int64_t>(logs_->samples.size());
  checkpoints_.save(state_, model_.decoder, optimizer_, model_.tokenizer_dir,
                    watch_.add_to_checkpoint);
  reference_.checkpoint_saved(state_.step);
}

}  // namespace treepo
