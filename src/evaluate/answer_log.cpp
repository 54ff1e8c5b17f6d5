#include "evaluate/answer_log.h"

namespace treepo {

namespace {

OrderedJson answer_json(const LoggedAnswer& answer) {
  OrderedJson json = {{"score", answer.sample.score}, {"correct", answer.sample.correct}};
  if (answer.sample.answer) json["answer"] = *answer.sample.answer;
  json["reason"] = answer.reason;
  json["stop"] = answer.stop;
  json["finished"] = answer.finished;
  json["tokens"] = answer.tokens;
  json["text"] = answer.text;
  return json;
}

LoggedAnswer parse_answer(const Json& json, const std::string& where) {
  LoggedAnswer answer;
  answer.sample.score = get_double(json, "score", where);
  answer.sample.correct = get_bool(json, "correct", where);
  if (has_key(json, "answer")) answer.sample.answer = get_string(json, "answer", where);
  answer.reason = get_string(json, "reason", where);
  answer.stop = get_string(json, "stop", where);
  answer.finished = get_bool(json, "finished", where);
  answer.tokens = get_int(json, "tokens", where);
  answer.text = get_string(json, "text", where);
  return answer;
}

}  // namespace

OrderedJson logged_json(const LoggedProblem& problem) {
  OrderedJson json = {{"source", problem.source},
                      {"id", problem.id},
                      {"greedy", problem.greedy},
                      {"prompt_tokens", problem.prompt_tokens},
                      {"unique_tokens", problem.unique_tokens},
                      {"seconds", problem.seconds},
                      {"answers", OrderedJson::array()}};
  for (const LoggedAnswer& answer : problem.answers) json["answers"].push_back(answer_json(answer));
  return json;
}

LoggedProblem parse_logged(const Json& line, const std::string& where) {
  LoggedProblem problem;
  problem.source = get_string(line, "source", where);
  problem.id = get_string(line, "id", where);
  problem.greedy = get_bool(line, "greedy", where);
  problem.prompt_tokens = get_int(line, "prompt_tokens", where);
  problem.unique_tokens = get_int(line, "unique_tokens", where);
  problem.seconds = get_double(line, "seconds", where);
  for (const Json& answer : get_array(line, "answers", where))
    problem.answers.push_back(parse_answer(answer, where));
  return problem;
}

}  // namespace treepo
