#include "rollout/engine.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <string_view>
#include <utility>

#include "base/arithmetic.h"
#include "base/error.h"
#include "kv/tree_cache.h"
#include "rollout/cache_plan.h"
#include "rollout/live_tree.h"
#include "rollout/scheduler.h"
#include "tree/growth.h"

namespace treepo {

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

void check_range(std::string_view key, double value, bool in_range, std::string_view range) {
  if (!in_range) {
    throw Error(fmt::format("{} is {}", key, value), fmt::format("it must be {}", range));
  }
}

void check_settings(const RolloutSettings& settings) {
  check_growth_options(settings.growth);
  const SamplingOptions& s = settings.sampling;
  check_range("sampling.temperature", s.temperature,
              s.temperature >= 0 && std::isfinite(s.temperature), "at least 0 (0: greedy)");
  check_range("sampling.top_k", static_cast<double>(s.top_k), s.top_k >= 0 && s.top_k <= INT32_MAX,
              "at least 0 (0: off)");
  check_range("sampling.top_p", s.top_p, s.top_p > 0 && s.top_p <= 1, "above 0 and at most 1");
  check_range("sampling.min_p", s.min_p, s.min_p >= 0 && s.min_p <= 1, "between 0 and 1");
  check_range("the share of training done", settings.training_share,
              settings.training_share >= 0 && settings.training_share <= 1, "between 0 and 1");
  constexpr int64_t kMost = int64_t{1} << 24;
  const auto check_count = [](std::string_view key, int64_t value) {
    check_range(key, static_cast<double>(value), value >= 1 && value <= kMost,
                "between 1 and 16777216");
  };
  check_count("engine.max_rows", settings.engine.max_rows);
  check_count("engine.max_step_tokens", settings.engine.max_step_tokens);
  check_count("engine.page_tokens", settings.engine.page_tokens);
  check_count("engine.cache_mib", settings.engine.cache_mib);
}

void check_query(const Query& query, const StopRules& rules, const StepModel& model) {
  if (query.prompt.empty()) {
    throw Error(fmt::format("query {} has an empty prompt", query.id),
                "a model predicts from at least one token");
  }
  for (const int32_t token : query.prompt) {
    if (token < 0 || token >= model.vocab_size()) {
      throw Error(fmt::format("query {}: token {} of its prompt is outside the model's vocabulary "
                              "of {}",
                              query.id, token, model.vocab_size()),
                  "the tokenizer does not fit the model");
    }
  }
  const int64_t longest = static_cast<int64_t>(query.prompt.size()) + rules.response_tokens;
  if (longest > model.max_positions()) {
    throw Error(
        fmt::format("query {}: a prompt of {} tokens and a response of up to {} exceed the "
                    "model's context of {}",
                    query.id, query.prompt.size(), rules.response_tokens, model.max_positions()),
        "shorten the prompt, or lower stop.response_tokens, rollout.depth or "
        "rollout.segment_tokens");
  }
}

// Also what is waited for.
decltype(RolloutCallbacks::score_leaves) with_timed_wait(
    decltype(RolloutCallbacks::score_leaves) score, double& seconds) {
  if (!score) return nullptr;
  return
      [score = std::move(score), &seconds](size_t index, const Query& query, const SearchTree& tree,
                                           std::span<const int32_t> leaves) {
        const LeafScores scores = score(index, query, tree, leaves);
        if (scores.known()) return scores;
        return LeafScores([scores, &seconds] {
          const Clock::time_point begin = Clock::now();
          std::vector<double> numbers = scores.wait();
          seconds += seconds_since(begin);
          return numbers;
        });
      };
}

// The same callbacks; `seconds` grows by the time they take.
RolloutCallbacks with_timing(const RolloutCallbacks& callbacks, double& seconds) {
  const auto timed = [&seconds]<typename R, typename... Args>(
                         const std::function<R(Args...)>& call) -> std::function<R(Args...)> {
    if (!call) return nullptr;
    return [&call, &seconds](Args... args) -> R {
      struct Timer {
        double& sum;
        Clock::time_point begin = Clock::now();
        ~Timer() { sum += seconds_since(begin); }
      } timer{seconds};
      return call(args...);
    };
  };
  return {.judge_segment = timed(callbacks.judge_segment),
          .ends_with_stop_string = timed(callbacks.ends_with_stop_string),
          .trajectory_done = timed(callbacks.trajectory_done),
          .score_leaves = with_timed_wait(timed(callbacks.score_leaves), seconds),
          .split_budget = timed(callbacks.split_budget),
          .tree_done = timed(callbacks.tree_done),
          .progress = timed(callbacks.progress)};
}

// Pages of a whole segment.
int32_t segment_pages(const RolloutSettings& settings) {
  return static_cast<int32_t>(
      divide_up(settings.growth.segment_tokens, settings.engine.page_tokens));
}

// One call of RolloutEngine::run().
class Run {
 public:
  Run(StepModel& model, const RolloutSettings& settings, const StopRules& rules,
      std::span<const Query> queries, const RolloutCallbacks& callbacks, int32_t num_pages,
      RolloutStats& stats)
      : model_(model),
        settings_(settings),
        rules_(rules),
        queries_(queries),
        stats_(stats),
        callbacks_(with_timing(callbacks, stats.callback_seconds)),
        facts_{.training_share = settings.training_share,
               .trees = static_cast<int64_t>(queries.size())},
        cache_(num_pages, static_cast<int32_t>(settings.engine.page_tokens),
               segment_pages(settings)),
        scheduler_(settings, facts_, cache_),
        results_(queries.size()) {
    batch_.sampling = {.temperature = settings.sampling.temperature,
                       .top_k = static_cast<int32_t>(settings.sampling.top_k),
                       .top_p = settings.sampling.top_p,
                       .min_p = settings.sampling.min_p};
  }

  std::vector<SearchTree> all_trees();

 private:
  void step();
  void admit_queries();
  void build_batch();
  void run_model();
  void take_tokens();
  void cross_barriers();
  void wait_for_scores();
  void remove_finished();
  void report_progress();

  StepModel& model_;
  const RolloutSettings& settings_;
  const StopRules& rules_;
  std::span<const Query> queries_;
  RolloutStats& stats_;
  RolloutCallbacks callbacks_;
  GrowthFacts facts_;
  TreeCache cache_;
  Scheduler scheduler_;
  LiveTrees trees_;  // below cache_, which they leave when they end
  std::vector<std::unique_ptr<SearchTree>> results_;
  StepBatch batch_;
  std::vector<DrawnToken> drawn_;
  size_t next_query_ = 0;
  RolloutProgress progress_;
  Clock::time_point begin_ = Clock::now();
};

std::vector<SearchTree> Run::all_trees() {
  while (next_query_ < queries_.size() || !trees_.empty()) step();
  TREEPO_CHECK(cache_.pool().num_free() == cache_.pool().num_pages() && cache_.num_entries() == 0,
               "{} pages are left over", cache_.pool().num_pages() - cache_.pool().num_free());
  stats_.prefilled_tokens += scheduler_.prefilled_tokens();
  stats_.suspensions += scheduler_.suspensions();
  stats_.evicted_entries += scheduler_.evicted_entries();
  std::vector<SearchTree> trees;
  trees.reserve(results_.size());
  for (auto& tree : results_) trees.push_back(std::move(*tree));
  return trees;
}

void Run::step() {
  scheduler_.choose(trees_);  // which paths decode or prefill in this step
  admit_queries();            // new trees while rows and pages are free
  if (scheduler_.scheduled().empty()) return wait_for_scores();
  build_batch();      // their tokens, places, attention work and random numbers
  run_model();        // forward and draw
  take_tokens();      // append; paths end their segments
  cross_barriers();   // trees whose paths have all ended: judge, branch or fall back
  remove_finished();  // hand out complete trees
  report_progress();
}

void Run::admit_queries() {
  while (next_query_ < queries_.size() &&
         scheduler_.may_admit(trees_, queries_[next_query_].prompt.size())) {
    trees_.push_back(std::make_unique<LiveTree>(next_query_, queries_[next_query_], settings_,
                                                rules_, facts_, cache_));
    scheduler_.admit(*trees_.back());
    ++next_query_;
  }
}

void Run::build_batch() {
  batch_.clear();
  scheduler_.fill(batch_);
#ifndef NDEBUG
  cache_.check_invariants();
  batch_.attention.check_invariants(batch_.num_rows());
#endif
}

void Run::run_model() {
  const Clock::time_point begin = Clock::now();
  model_.step(batch_, drawn_);
  stats_.model_seconds += seconds_since(begin);
  TREEPO_CHECK(drawn_.size() == batch_.draws.size(), "{} tokens for {} draws", drawn_.size(),
               batch_.draws.size());
  ++stats_.steps;
  stats_.rows += batch_.num_rows();
}

void Run::take_tokens() {
  for (const Scheduler::Scheduled& scheduled : scheduler_.scheduled()) {
    if (scheduled.first_draw < 0) continue;
    const DrawnToken* drawn = &drawn_[static_cast<size_t>(scheduled.first_draw)];
    const int32_t taken = scheduled.tree->take(scheduled.front_index, drawn, callbacks_);
    progress_.drawn_tokens += taken;
    stats_.drawn_tokens += taken;
    for (int32_t i = 0; i < taken; ++i) stats_.cut_mass += drawn[i].cut_mass;
  }
  for (const auto& tree : trees_) tree->settle();
}

void Run::cross_barriers() {
  for (const auto& tree : trees_) {
    if (tree->at_barrier()) tree->cross_barrier(callbacks_, /*wait_now=*/false);
  }
}

// Nothing can be decoded: every tree's leaves are being judged.
void Run::wait_for_scores() {
  trees_.front()->cross_barrier(callbacks_);
  remove_finished();
  report_progress();
}

void Run::remove_finished() {
  std::erase_if(trees_, [this](const std::unique_ptr<LiveTree>& live) {
    if (!live->finished()) return false;
    auto& result = results_[live->query_index()];
    result = std::make_unique<SearchTree>(live->release_tree());
    ++stats_.trees;
    ++progress_.finished_queries;
    stats_.trajectories += static_cast<int64_t>(result->leaves().size());
    stats_.trajectory_tokens += result->trajectory_tokens();
    stats_.discarded_paths += live->discarded_paths();
    stats_.pruned_paths += live->pruned_paths();
    if (callbacks_.tree_done) callbacks_.tree_done(live->query_index(), live->query(), *result);
    return true;
  });
}

void Run::report_progress() {
  if (!callbacks_.progress) return;
  progress_.queries = static_cast<int64_t>(queries_.size());
  progress_.growing_trees = static_cast<int64_t>(trees_.size());
  progress_.active_paths = 0;
  for (const auto& tree : trees_) progress_.active_paths += tree->active_paths();
  progress_.prefilled_tokens = scheduler_.prefilled_tokens();
  progress_.seconds = seconds_since(begin_);
  callbacks_.progress(progress_);
}

}  // namespace

RolloutEngine::RolloutEngine(StepModel& model, RolloutSettings settings)
    : model_(model), settings_(std::move(settings)) {
  check_settings(settings_);
  make_stop_rules(settings_.growth, settings_.stop);
}

void RolloutEngine::set_training_share(double share) {
  settings_.training_share = share;
  check_settings(settings_);
}

std::vector<SearchTree> RolloutEngine::run(std::span<const Query> queries,
                                           const RolloutCallbacks& callbacks) {
  const Clock::time_point begin = Clock::now();
  const StopRules rules = make_stop_rules(settings_.growth, settings_.stop);
  TREEPO_CHECK(!rules.need_segment_facts() || callbacks.judge_segment,
               "the stop rules need judge_segment");
  TREEPO_CHECK(settings_.stop.stop_strings.empty() || callbacks.ends_with_stop_string,
               "stop strings need ends_with_stop_string");
  TREEPO_CHECK(!needs_leaf_scores(settings_.growth) || callbacks.score_leaves,
               "policies that go by value need score_leaves");
  for (const Query& query : queries) check_query(query, rules, model_);
  if (queries.empty()) return {};
  const int32_t num_pages = plan_pages(queries, settings_, rules, model_);
  model_.allocate_pages(num_pages, static_cast<int32_t>(settings_.engine.page_tokens));
  const double elsewhere = stats_.model_seconds + stats_.callback_seconds;
  auto trees = Run(model_, settings_, rules, queries, callbacks, num_pages, stats_).all_trees();
  stats_.scheduling_seconds +=
      seconds_since(begin) - (stats_.model_seconds + stats_.callback_seconds - elsewhere);
  return trees;
}

}  // namespace treepo
