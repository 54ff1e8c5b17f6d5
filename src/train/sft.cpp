#include "train/sft.h"

#include <fmt/ranges.h>  // fmt::join

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/activity.h"
#include "base/files.h"
#include "base/format.h"
#include "base/log.h"
#include "base/timer.h"
#include "config/save.h"
#include "config/sft_options.h"
#include "learn/update.h"  // make_optimizer
#include "train/run_record.h"
#include "train/sft_examples.h"
#include "train/threads.h"

namespace treepo {

namespace {

int64_t total_steps(const RunOptions& options, size_t num_examples) {
  if (options.train.epochs == 0) return options.train.max_steps;
  const double examples = options.train.epochs * static_cast<double>(num_examples);
  const double steps = std::ceil(examples / static_cast<double>(options.sft.batch));
  return std::min(options.train.max_steps, static_cast<int64_t>(steps));
}

}  // namespace

SftTrainer::SftTrainer(RunOptions options, RunStart start)
    : options_(std::move(options)),
      paths_(run_paths(options_.train.run_dir, start, "sft")),
      checkpoints_(paths_.root, options_.train.keep_checkpoints),
      checkpoint_(start == RunStart::resume ? checkpoints_.latest() : std::nullopt),
      state_(checkpoint_ ? CheckpointStore::load_state(*checkpoint_) : TrainState{}),
      model_(load_run_model(options_, paths_.tokenizer, checkpoint_)),
      train_(load_sft_examples(options_.sft.train, options_, model_)),
      test_(options_.sft.test.empty() ? std::vector<Example>()
                                      : load_sft_examples(options_.sft.test, options_, model_)),
      order_(std::ssize(train_), static_cast<uint64_t>(options_.train.seed)),
      run_{.optimizer = options_.optimizer,
           .steps = total_steps(options_, train_.size()),
           .pack = supervised_pack_options(options_),
           .batch = [this](int64_t step) { return batch(step); }},
      optimizer_(make_optimizer(model_.decoder, options_.optimizer)) {
  state_.threads = use_threads(resumed_threads(options_.train.threads, state_.threads));
  file_system().make_directories(paths_.root);
  keep_tokenizer(model_, paths_.tokenizer);
  checkpoints_.remove_incomplete();
  if (checkpoint_) {
    optimizer_.restore(CheckpointStore::load_optimizer(*checkpoint_));
    checkpoints_.finish_save(state_);
  }
  const std::vector<std::string> unread = set_but_unread_by_sft(options_);
  if (!unread.empty()) log_warning("supervised training does not read {}", fmt::join(unread, ", "));
  logs_.emplace(paths_);
  logs_->open_sinks(paths_, options_, checkpoint_ ? state_.step : -1);
  logs_->metrics.file().cut_to_size(static_cast<uint64_t>(state_.metrics_bytes));
  record_session(paths_, options_, state_.step, state_.threads);
  write_file_atomically(paths_.config, options_as_toml(options_));
}

SftSummary SftTrainer::run(const RunWatch& watch) {
  const Timer timer;
  watch_ = watch;
  logs_->observer = watch.metrics;
  if (!checkpoint_) {
    evaluate_and_log();
    save_checkpoint();
  }
  Progress progress("sft", run_.steps, state_.step);
  bool interrupted = false;
  while (state_.step < run_.steps && !interrupted) {
    train_step(progress);
    if (state_.skipped.in_a_row >= options_.train.max_skipped_updates) stop_for_skipped_updates();
    const bool last = state_.step >= run_.steps;
    interrupted = !last && watch_.stop_requested && watch_.stop_requested();
    const bool evaluate_now =
        last || (options_.evaluate.every > 0 && state_.step % options_.evaluate.every == 0);
    const bool improved = evaluate_now && evaluate_and_log();
    const bool checkpoint_due =
        options_.train.checkpoint_every > 0 && state_.step % options_.train.checkpoint_every == 0;
    if (last || interrupted || improved || checkpoint_due) save_checkpoint();
  }
  return {.state = state_,
          .last = last_,
          .run_dir = paths_.root,
          .checkpoint = checkpoints_.latest().value_or(""),
          .seconds = timer.seconds(),
          .interrupted = interrupted};
}

// As Trainer's.
void SftTrainer::stop_for_skipped_updates() {
  const int64_t in_a_row = std::exchange(state_.skipped.in_a_row, 0);
  save_checkpoint();
  throw_too_many_skipped({.where = fmt::format("step {}", state_.step),
                          .in_a_row = in_a_row,
                          .weights = checkpoints_.folder(state_.step),
                          .remedies = "a lower optimizer.learning_rate",
                          .dtype = options_.model.dtype,
                          .items = "examples",
                          .with_resume = "goes on with the next examples"});
}

std::vector<Example> SftTrainer::batch(int64_t step) {
  std::vector<Example> examples;
  for (int64_t i = step * options_.sft.batch; i < (step + 1) * options_.sft.batch; ++i)
    examples.push_back(train_[static_cast<size_t>(order_.at(i).query)]);
  return examples;
}

void SftTrainer::train_step(Progress& progress) {
  const Timer timer;
  const double learning_rate = run_.learning_rate(state_.step);
  const SupervisedReport report =
      supervised_step(model_.decoder, optimizer_, run_, state_.step,
                      fmt::format("step {}", state_.step + 1), state_.skipped);
  state_.step += 1;
  state_.next_position = state_.step * options_.sft.batch;
  state_.trajectory_tokens += report.tokens;
  const double speed = static_cast<double>(report.tokens) / timer.seconds();
  Metrics metrics;
  if (!report.step.skipped) {
    metrics.set("loss", report.loss);
    metrics.set("grad_norm", report.step.gradient_norm);
  }
  metrics.set("learning_rate", learning_rate);
  metrics.set("epoch", static_cast<double>(state_.next_position) /
                           static_cast<double>(order_.num_queries()));
  metrics.set("update/skipped", report.step.skipped);
  metrics.set("update/response_tokens", report.tokens);
  metrics.set("update/packed_tokens", report.packed_tokens);
  metrics.set("time/step", timer.seconds());
  metrics.set("speed/response_tokens_per_s", speed);
  logs_->write(state_.step, metrics);
  log_info("step {}/{}  loss {:.4f}  grad norm {:.3f}  {} tok/s  {}", state_.step, run_.steps,
           report.loss, report.step.gradient_norm, with_thousands(std::llround(speed)),
           format_duration(timer.seconds()));
  progress.update(state_.step, fmt::format("loss {:.3f}  {:.0f} tok/s", report.loss, speed));
}

bool SftTrainer::evaluate_and_log() {
  if (test_.empty()) return false;
  const Timer timer;
  const Activity activity("evaluate");
  last_ = score_examples(model_.decoder, test_, run_.pack);
  const bool finite = std::isfinite(last_->loss);
  if (state_.step == 0 && finite) {
    state_.first_loss = last_->loss;
    state_.first_token_accuracy = last_->token_accuracy;
  }
  const bool improved = finite && (state_.best_step < 0 || -last_->loss > state_.best_score);
  if (improved) {
    state_.best_step = state_.step;
    state_.best_score = -last_->loss;
  }
  Metrics metrics;
  metrics.set("eval/loss", last_->loss);
  metrics.set("eval/token_accuracy", last_->token_accuracy);
  metrics.set("eval/response_tokens", last_->tokens);
  metrics.set("time/evaluate", timer.seconds());
  logs_->write(state_.step, metrics);
  log_info("step {}: test loss {:.4f}  token accuracy {:.1f} %  ({} examples)", state_.step,
           last_->loss, 100 * last_->token_accuracy, test_.size());
  return improved;
}

void SftTrainer::save_checkpoint() {
  const Activity activity("save checkpoint");
  logs_->metrics.file().sync();
  state_.metrics_bytes = static_cast<int64_t>(logs_->metrics.file().size());
  checkpoints_.save(state_, model_.decoder, optimizer_, model_.tokenizer_dir,
                    watch_.add_to_checkpoint);
}

}  // namespace treepo
