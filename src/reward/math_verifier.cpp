#include "reward/math_verifier.h"

#include "base/error.h"
#include "base/json.h"
#include "reward/boxed.h"
#include "reward/native.h"
#include "reward/plain_math.h"
#include "reward/trim.h"

namespace treepo {

namespace {

Verdict verdict_on(bool correct, std::optional<std::string> answer) {
  const char* const reason = correct ? "right" : answer ? "wrong answer" : "no answer";
  return {.score = correct ? 1.0 : 0.0,
          .correct = correct,
          .answer = std::move(answer),
          .reason = reason};
}

std::optional<Verdict> plain_verdict(const Response& response, bool boxed_only) {
  if (trim(response.text).empty()) return verdict_on(false, std::nullopt);
  if (boxed_only && !last_boxed(response.text) &&
      response.text.find("\\boxed") == std::string_view::npos &&
      response.text.find("\\fbox") == std::string_view::npos)
    return verdict_on(false, std::nullopt);
  const auto said = plain_answer(response.text);
  if (!said) return std::nullopt;
  const auto gold = parse_plain_number(*response.problem->answer);
  if (!gold) return std::nullopt;
  const auto equal = plain_equal(*gold, *said);
  if (!equal) return std::nullopt;
  return verdict_on(*equal, plain_text(*said));
}

std::optional<bool> plain_equivalent(const std::string& a, const std::string& b) {
  if (a == b) return true;
  const auto first = parse_plain_number(a), second = parse_plain_number(b);
  return first && second ? plain_equal(*first, *second) : std::nullopt;
}

class MathVerifier : public Verifier {
 public:
  MathVerifier(const std::string& argument, SharedWorkers workers)
      : handler_(argument.empty() ? "math" : "math:" + argument),
        boxed_only_(argument == "boxed"),
        workers_(std::move(workers)),
        log_("math-verify") {
    workers_->require(handler_);
  }

  void check(const Problem& problem) const override {
    require_answer(problem);
    if (!trim(*problem.answer).empty()) return;
    throw Error(fmt::format("{}{}problem \"{}\" has an empty answer", problem.where,
                            problem.where.empty() ? "" : ": ", problem.id),
                "no response can be equal to it");
  }

  std::vector<bool> equivalent(std::span<const AnswerPair> pairs) override {
    std::vector<bool> same(pairs.size());
    std::vector<std::pair<size_t, std::future<PythonReply>>> asked;
    for (size_t i = 0; i < pairs.size(); ++i) {
      const auto plain = plain_equivalent(pairs[i].first, pairs[i].second);
      if (plain)
        same[i] = *plain;
      else
        asked.emplace_back(
            i, workers_->submit("math:equal", Json::array({pairs[i].first, pairs[i].second})));
    }
    for (auto& [i, reply] : asked) {
      const PythonReply got = reply.get();
      same[i] = got.status == PythonReply::Status::ok && got.value == true;
    }
    return same;
  }

 private:
  // A verdict that is known, or a worker's reply to come.
  struct Item {
    const Problem* problem;
    std::optional<Verdict> known;
    std::future<PythonReply> reply;
  };

  Pending begin(std::span<const Response> responses) override {
    auto items = std::make_shared<std::vector<Item>>();
    for (const Response& response : responses) {
      Item item{response.problem, plain_verdict(response, boxed_only_), {}};
      if (!item.known)
        item.reply = workers_->submit(handler_, Json{{"gold", *response.problem->answer},
                                                     {"response", std::string(response.text)}});
      items->push_back(std::move(item));
    }
    const bool known =
        std::ranges::all_of(*items, [](const Item& item) { return item.known.has_value(); });
    const auto wait = [this, items] {
      std::vector<Verdict> verdicts;
      for (Item& item : *items)
        verdicts.push_back(item.known ? *item.known : verdict_of(*item.problem, item.reply.get()));
      return verdicts;
    };
    return {wait, known};
  }

  Verdict verdict_of(const Problem& problem, const PythonReply& reply) {
    if (reply.status != PythonReply::Status::ok) {
      log_.add_failure(problem, reply);
      return failed_verdict(reply);
    }
    log_.add_success();
    std::optional<std::string> answer;
    if (has_key(reply.value, "answer")) answer = reply.value["answer"].get<std::string>();
    return verdict_on(get_bool(reply.value, "correct", "math-verify"), std::move(answer));
  }

  std::string handler_;
  bool boxed_only_;
  SharedWorkers workers_;
  FailureLog log_;
};

}  // namespace

std::unique_ptr<Verifier> make_math_verifier(const std::string& argument, SharedWorkers workers) {
  if (!argument.empty() && argument != "boxed")
    throw Error(fmt::format("math:{}: unknown argument", argument),
                "math reads answers as math-verify does, math:boxed the last box only");
  return std::make_unique<MathVerifier>(argument, std::move(workers));
}

}  // namespace treepo
