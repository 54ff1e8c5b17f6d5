#include "train/evaluation_run.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "base/metrics.h"  // JsonLinesFile
#include "base/progress.h"
#include "base/timer.h"
#include "config/validate_rollout.h"
#include "rollout/engine.h"
#include "train/evaluation.h"
#include "train/tree_verifier.h"
#include "tree/growth.h"       // trees_share_budget
#include "tree/search_tree.h"  // is_finished

namespace treepo {

namespace {

using Key = std::tuple<bool, std::string, std::string>;  // greedy, source, id
using Log = std::map<Key, LoggedProblem>;

Key key_of(bool greedy, const Problem& problem) {
  return {greedy, problem.source, problem.id};
}

Log read_log(const std::string& path) {
  Log log;
  JsonLineReader reader(path);
  for (Json line; reader.next(line);) {
    LoggedProblem problem = parse_logged(line, reader.where());
    Key key{problem.greedy, problem.source, problem.id};
    if (!log.emplace(std::move(key), std::move(problem)).second)
      throw Error(reader.where() + ": this problem has been answered above",
                  "the file was changed by hand; remove the line");
  }
  return log;
}

LoggedProblem logged_problem(const ScoredTree& scored, bool greedy, double seconds) {
  LoggedProblem problem{.source = scored.query.problem.source,
                        .id = scored.query.problem.id,
                        .greedy = greedy,
                        .answers = {},
                        .prompt_tokens = std::ssize(scored.query.prompt),
                        .unique_tokens = scored.tree.unique_tokens(),
                        .seconds = seconds};
  const Samples samples = samples_of(scored);
  for (size_t i = 0; i < samples.size(); ++i) {
    const int32_t leaf = scored.tree.leaves()[i];
    const StopReason stop = scored.tree.node(leaf).stop;
    problem.answers.push_back({.text = scored.responses[i],
                               .tokens = scored.tree.path_tokens(leaf),
                               .stop = std::string(stop_reason_name(stop)),
                               .finished = is_finished(stop),
                               .sample = samples[i],
                               .reason = scored.verdicts[i].reason});
  }
  return problem;
}

// One pass over the queries, in chunks that do not depend on what the log holds. Asked are the
// queries that it lacks; where trees share a budget, all of a chunk that is not complete: those
// that the log has give the others their share, and stay as they are in it.
class Pass {
 public:
  Pass(StepModel& model, const RunOptions& options, const TokenText& text, Verifier& verifier,
       RolloutSettings settings, bool greedy)
      : options_(options),
        text_(text),
        verifier_(verifier),
        greedy_(greedy),
        engine_(model, std::move(settings)) {}

  // false: stopped before all were done.
  bool run(const std::vector<TrainingQuery>& queries, Log& log, JsonLinesFile& file,
           const std::function<bool()>& stop_requested) {
    const GrowthOptions& growth = engine_.settings().growth;
    validate_tokens_per_step(growth, static_cast<int64_t>(std::min(queries.size(), chunk_size())));
    std::vector<std::vector<const TrainingQuery*>> chunks;
    int64_t done = std::ssize(queries);
    for (size_t begin = 0; begin < queries.size(); begin += chunk_size()) {
      const size_t count = std::min(queries.size() - begin, chunk_size());
      chunks.push_back(asked_of(std::span(queries).subspan(begin, count), log));
      done -= std::ssize(chunks.back());
    }
    Progress progress(greedy_ ? "evaluate greedy" : "evaluate", std::ssize(queries), done);
    for (const std::vector<const TrainingQuery*>& asked : chunks) {
      if (asked.empty()) continue;
      if (stop_requested()) return false;
      run_chunk(asked, done, progress, log, file);
      done += std::ssize(asked);
    }
    return true;
  }

 private:
  std::vector<const TrainingQuery*> asked_of(std::span<const TrainingQuery> chunk,
                                             const Log& log) const {
    const auto is_known = [&](const TrainingQuery& query) {
      return log.contains(key_of(greedy_, query.problem));
    };
    std::vector<const TrainingQuery*> asked;
    if (std::ranges::all_of(chunk, is_known)) return asked;
    const bool all = trees_share_budget(engine_.settings().growth);
    for (const TrainingQuery& query : chunk)
      if (all || !is_known(query)) asked.push_back(&query);
    return asked;
  }

  // Enough trees to keep all rows busy but for a chunk's end.
  size_t chunk_size() const {
    const RolloutSettings& settings = engine_.settings();
    const int64_t trees_in_rows = settings.engine.max_rows / settings.growth.width + 1;
    return static_cast<size_t>(std::max<int64_t>(16, 8 * trees_in_rows));
  }

  // `done`: queries when it begins.
  void run_chunk(const std::vector<const TrainingQuery*>& queries, int64_t done, Progress& progress,
                 Log& log, JsonLinesFile& file) {
    std::vector<Query> prompts;
    for (const TrainingQuery* query : queries)
      prompts.push_back({query->id, query->visit, query->prompt});
    RolloutCallbacks callbacks;
    add_text_rules(callbacks, options_.stop, text_);
    callbacks.progress = [&](const RolloutProgress& p) {
      progress.update(done + p.finished_queries);
    };
    Timer timer;
    TreeVerifier trees(options_, text_, verifier_, [&](size_t index, const ScoredTree& scored) {
      check_width(scored);
      LoggedProblem problem = logged_problem(scored, greedy_, timer.seconds());
      timer = Timer();
      const auto [at, is_new] =
          log.emplace(key_of(greedy_, queries[index]->problem), std::move(problem));
      if (is_new) file.append(logged_json(at->second));
    });
    callbacks.tree_done = [&](size_t index, const Query&, const SearchTree& tree) {
      trees.begin(index, *queries[index], tree);
    };
    engine_.run(prompts, callbacks);
    trees.finish();
  }

  void check_width(const ScoredTree& scored) const {
    const auto wanted = static_cast<size_t>(engine_.settings().growth.width);
    if (scored.verdicts.size() == wanted) return;
    throw Error(fmt::format("problem \"{}\" has {} answers, not {}", scored.query.problem.id,
                            scored.verdicts.size(), wanted),
                "let trees that have too few restart: rollout.fallback = \"random\", with "
                "rollout.fallback_max_rounds = 0");
  }

  const RunOptions& options_;
  const TokenText& text_;
  Verifier& verifier_;
  bool greedy_;
  RolloutEngine engine_;
};

void check_log(const Log& log, const std::string& path, size_t wanted_keys) {
  if (log.size() == wanted_keys) return;
  throw Error(fmt::format("{} holds answers to problems that are not asked", path),
              "give the same data as when it was begun, or another folder");
}

}  // namespace

std::optional<std::vector<LoggedProblem>> run_evaluation(
    StepModel& model, const RunOptions& options, bool trees,
    const std::vector<TrainingQuery>& queries, const TokenText& text, Verifier& verifier,
    const std::string& log_path, const std::function<bool()>& stop_requested) {
  JsonLinesFile file(log_path);  // cuts off a line that a kill has left half written
  Log log = read_log(log_path);
  std::vector<bool> passes;  // greedy?
  if (options.evaluate.samples > 0) passes.push_back(false);
  if (options.evaluate.greedy) passes.push_back(true);
  for (const bool greedy : passes) {
    Pass pass(model, options, text, verifier,
              evaluation_settings(options, text,
                                  greedy  ? EvaluationWay::greedy
                                  : trees ? EvaluationWay::trees
                                          : EvaluationWay::sequential),
              greedy);
    if (!pass.run(queries, log, file, stop_requested)) return std::nullopt;
  }
  check_log(log, log_path, passes.size() * queries.size());
  std::vector<LoggedProblem> problems;
  for (const bool greedy : passes)
    for (const TrainingQuery& query : queries)
      problems.push_back(log.at(key_of(greedy, query.problem)));
  return problems;
}

}  // namespace treepo
