#include "reward/function_verifier.h"

#include <cmath>

#include "base/error.h"
#include "base/json.h"

namespace treepo {

namespace {

Json row_of(const Problem& problem) {
  Json row = Json::object();
  if (!problem.row.empty()) row = parse_json(problem.row, problem.where);
  if (!row.contains("prompt")) row["prompt"] = problem.prompt;
  if (!row.contains("answer")) row["answer"] = problem.answer ? Json(*problem.answer) : Json();
  return row;
}

std::optional<double> number_in(const Json& value) {
  if (value.is_boolean()) return value.get<bool>() ? 1 : 0;
  return value.is_number() ? std::optional(value.get<double>()) : std::nullopt;
}

std::string text_of(const Json& value) {
  return value.is_string() ? value.get<std::string>() : dump_json(value);
}

// What the function has returned; an error where that is no reward.
PythonReply wrong_return(const Json& value) {
  std::string shown = dump_json(value);
  if (shown.size() > 80) shown = shown.substr(0, 77) + "...";
  return {.status = PythonReply::Status::error,
          .message = "returned " + shown + ", which is neither a number nor a dict with \"score\""};
}

std::optional<Verdict> read_return(const Json& value) {
  const Json& score = value.is_object() && value.contains("score") ? value["score"] : value;
  const std::optional<double> number = number_in(score);
  if (!number) return std::nullopt;
  Verdict verdict{.score = *number, .correct = *number > 0, .reason = "returned"};
  if (!value.is_object()) return verdict;
  if (has_key(value, "correct")) verdict.correct = number_in(value["correct"]).value_or(0) != 0;
  if (has_key(value, "answer")) verdict.answer = text_of(value["answer"]);
  if (has_key(value, "reason")) verdict.reason = text_of(value["reason"]);
  return verdict;
}

class FunctionVerifier : public Verifier {
 public:
  FunctionVerifier(const std::string& function, SharedWorkers workers)
      : handler_("function:" + function), workers_(std::move(workers)), log_(function) {
    workers_->require(handler_);
  }

  void check(const Problem&) const override {}

 private:
  Pending begin(std::span<const Response> responses) override {
    auto replies = std::make_shared<std::vector<std::future<PythonReply>>>();
    std::vector<const Problem*> problems;
    for (const Response& response : responses) {
      const Problem& problem = *response.problem;
      problems.push_back(&problem);
      replies->push_back(workers_->submit(
          handler_, Json::array({problem.prompt, std::string(response.text), row_of(problem)})));
    }
    const auto wait = [this, replies, problems] {
      std::vector<Verdict> verdicts;
      for (size_t i = 0; i < problems.size(); ++i)
        verdicts.push_back(verdict_of(*problems[i], (*replies)[i].get()));
      return verdicts;
    };
    return {wait, replies->empty()};
  }

  Verdict verdict_of(const Problem& problem, PythonReply reply) {
    if (reply.status == PythonReply::Status::ok) {
      if (std::optional<Verdict> verdict = read_return(reply.value)) {
        log_.add_success();
        return *verdict;
      }
      reply = wrong_return(reply.value);
    }
    log_.add_failure(problem, reply);
    return failed_verdict(reply);
  }

  std::string handler_;
  SharedWorkers workers_;
  FailureLog log_;
};

}  // namespace

std::unique_ptr<Verifier> make_function_verifier(const std::string& function,
                                                 SharedWorkers workers) {
  const size_t colon = function.rfind(':');
  if (colon == std::string::npos || colon == 0 || colon + 1 == function.size())
    throw Error(fmt::format("python:{} names no function", function),
                "write python:FILE:FUNCTION, for example python:rewards.py:score");
  return std::make_unique<FunctionVerifier>(function, std::move(workers));
}

}  // namespace treepo
