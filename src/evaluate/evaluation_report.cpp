#include "evaluate/evaluation_report.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"

namespace treepo {

namespace {

// The problems of one row: drawn[i] and greedy[i] answer the same problem.
struct RowProblems {
  std::vector<const LoggedProblem*> drawn, greedy;  // either may be empty
};

RowProblems problems_of(std::span<const LoggedProblem> all, const std::string* source) {
  RowProblems problems;
  for (const LoggedProblem& problem : all)
    if (!source || problem.source == *source)
      (problem.greedy ? problems.greedy : problems.drawn).push_back(&problem);
  return problems;
}

Samples samples_of(const LoggedProblem& problem) {
  Samples samples;
  for (const LoggedAnswer& answer : problem.answers) samples.push_back(answer.sample);
  return samples;
}

void check_counts(const std::string& name, const RowProblems& problems) {
  for (const auto* list : {&problems.drawn, &problems.greedy})
    for (const LoggedProblem* problem : *list)
      if (problem->answers.empty() || problem->answers.size() != list->front()->answers.size())
        throw Error(
            fmt::format("{}: problem \"{}\" has {} answers, \"{}\" has {}", name, problem->id,
                        problem->answers.size(), list->front()->id, list->front()->answers.size()),
            "all problems of an evaluation are answered equally often; remove its folder "
            "to begin anew");
  if (!problems.drawn.empty() && !problems.greedy.empty() &&
      problems.drawn.size() != problems.greedy.size())
    throw Error(fmt::format("{}: {} problems have drawn answers, {} a greedy one", name,
                            problems.drawn.size(), problems.greedy.size()));
}

void add_costs(const RowProblems& problems, EvaluationRow& row) {
  const auto& counted = problems.drawn.empty() ? problems.greedy : problems.drawn;
  double answers = 0;
  for (const auto* list : {&problems.drawn, &problems.greedy}) {
    for (const LoggedProblem* problem : *list) {
      row.unique_tokens += problem->unique_tokens;
      row.seconds += problem->seconds;
      for (const LoggedAnswer& answer : problem->answers) {
        row.trajectory_tokens += answer.tokens;
        if (list != &counted) continue;
        answers += 1;
        row.mean_tokens += static_cast<double>(answer.tokens);
        row.finished += answer.finished ? 1 : 0;
      }
    }
  }
  row.mean_tokens /= answers;
  row.finished /= answers;
}

EvaluationRow row_of(const std::string& name, const RowProblems& problems,
                     const AnswerEquivalence& equivalent, uint64_t seed) {
  check_counts(name, problems);
  std::vector<Samples> samples;
  for (const LoggedProblem* problem : problems.drawn.empty() ? problems.greedy : problems.drawn)
    samples.push_back(samples_of(*problem));
  unify_answers(samples, equivalent);
  Samples greedy;
  for (const LoggedProblem* problem : problems.greedy)
    greedy.push_back(problem->answers.front().sample);
  EvaluationRow row;
  row.name = name;
  row.summary = summarize(samples, greedy, {.seed = seed});
  add_costs(problems, row);
  return row;
}

std::string cell(const Interval& interval) {
  return fmt::format("{:.1f} ({:.1f}–{:.1f})", 100 * interval.mean, 100 * interval.low,
                     100 * interval.high);
}

OrderedJson interval_json(const Interval& interval) {
  return {{"mean", interval.mean}, {"low", interval.low}, {"high", interval.high}};
}

}  // namespace

std::vector<EvaluationRow> evaluation_rows(std::span<const LoggedProblem> problems,
                                           const AnswerEquivalence& equivalent, uint64_t seed) {
  std::vector<std::string> sources;
  for (const LoggedProblem& problem : problems)
    if (std::ranges::find(sources, problem.source) == sources.end())
      sources.push_back(problem.source);
  std::vector<EvaluationRow> rows;
  for (const std::string& source : sources)
    rows.push_back(row_of(source, problems_of(problems, &source), equivalent, seed));
  if (sources.size() > 1)
    rows.push_back(row_of("all", problems_of(problems, nullptr), equivalent, seed));
  return rows;
}

std::string evaluation_table(std::span<const EvaluationRow> rows) {
  if (rows.empty()) return "";
  const int64_t k = rows[0].summary.num_samples;
  const bool greedy = rows[0].summary.greedy.has_value();
  std::string text =
      fmt::format("{:<16} {:>8} {:>18} {:>18} {:>18}", "% (95 % interval)", "problems",
                  fmt::format("avg@{}", k), fmt::format("pass@{}", k), fmt::format("maj@{}", k));
  if (greedy) text += fmt::format(" {:>18}", "greedy");
  text += fmt::format(" {:>8} {:>9} {:>12} {:>12} {:>9}\n", "tokens", "finished", "traj. tokens",
                      "decoded", "seconds");
  for (const EvaluationRow& row : rows) {
    const AtK& last = row.summary.at_k.back();
    text += fmt::format("{:<16} {:>9} {:>18} {:>18} {:>18}", row.name, row.summary.num_problems,
                        cell(row.summary.average), cell(last.pass), cell(last.majority));
    if (greedy) text += fmt::format(" {:>18}", cell(*row.summary.greedy));
    text += fmt::format(" {:>8.0f} {:>7.1f} % {:>12} {:>12} {:>9.1f}\n", row.mean_tokens,
                        100 * row.finished, row.trajectory_tokens, row.unique_tokens, row.seconds);
  }
  return text;
}

OrderedJson evaluation_json(const EvaluationRow& row) {
  OrderedJson pass = OrderedJson::object(), majority = OrderedJson::object();
  for (const AtK& at : row.summary.at_k) {
    pass[fmt::format("{}", at.k)] = interval_json(at.pass);
    majority[fmt::format("{}", at.k)] = interval_json(at.majority);
  }
  OrderedJson json = {{"name", row.name},
                      {"problems", row.summary.num_problems},
                      {"samples", row.summary.num_samples},
                      {"score", interval_json(row.summary.score)},
                      {"avg", interval_json(row.summary.average)},
                      {"pass@k", pass},
                      {"maj@k", majority}};
  if (row.summary.greedy) json["greedy"] = interval_json(*row.summary.greedy);
  json["tokens"] = row.mean_tokens;
  json["finished"] = row.finished;
  json["trajectory_tokens"] = row.trajectory_tokens;
  json["unique_tokens"] = row.unique_tokens;
  json["seconds"] = row.seconds;
  return json;
}

}  // namespace treepo
