#include "data/jsonl.h"

#include <limits>
#include <unordered_map>

#include "base/json.h"

namespace treepo {

namespace {

std::string id_of(const Json& row, int64_t line, const std::string& where) {
  if (!has_key(row, "id")) return std::to_string(line);
  const Json& id = row["id"];
  if (id.is_string()) return id.get<std::string>();
  if (id.is_number_integer()) return id.dump();
  throw Error(where + ": \"id\" must be a string or an integer");
}

std::optional<std::string> answer_of(const Json& row, const std::string& where) {
  if (!has_key(row, "answer")) return std::nullopt;
  const Json& answer = row["answer"];
  if (answer.is_string()) return answer.get<std::string>();
  if (answer.is_number()) return answer.dump();
  throw Error(where + ": \"answer\" must be a string or a number",
              "a reference answer is compared as text or as a number");
}

std::vector<int32_t> ids_of(const Json& row, const std::string& where) {
  std::vector<int32_t> ids;
  for (const int64_t id : get_ints(row, "ids", where)) {
    if (id < 0 || id > std::numeric_limits<int32_t>::max())
      throw Error(
          fmt::format("{}: \"ids\"[{}] is {}, which is no token id", where, ids.size(), id));
    ids.push_back(static_cast<int32_t>(id));
  }
  if (ids.empty()) throw Error(where + ": \"ids\" is empty", "a prompt needs at least one token");
  return ids;
}

Problem problem_of(const Json& row, int64_t line, const std::string& where) {
  if (!row.is_object())
    throw Error(where + ": a JSON object was expected", "one {\"prompt\": …} for each line");
  const bool has_prompt = has_key(row, "prompt"), has_ids = has_key(row, "ids");
  if (has_prompt == has_ids) {
    throw Error(fmt::format("{}: {} \"prompt\" {} \"ids\"", where, has_ids ? "both" : "neither",
                            has_ids ? "and" : "nor"),
                "a problem needs one of them: text for the tokenizer, or token ids");
  }
  Problem problem;
  problem.where = where;
  problem.id = id_of(row, line, where);
  problem.answer = answer_of(row, where);
  if (has_prompt) problem.prompt = get_string(row, "prompt", where);
  if (has_ids) problem.ids = ids_of(row, where);
  return problem;
}

}  // namespace

std::vector<Problem> read_problems(const std::string& path) {
  std::vector<Problem> problems;
  std::unordered_map<std::string, int64_t> line_of_id;
  JsonLineReader reader(path);
  for (Json row; reader.next(row);) {
    problems.push_back(problem_of(row, reader.line(), reader.where()));
    const std::string& id = problems.back().id;
    const auto [earlier, is_new] = line_of_id.emplace(id, reader.line());
    if (!is_new) {
      throw Error(fmt::format("{}: lines {} and {} have the same id \"{}\"", path, earlier->second,
                              reader.line(), id),
                  "ids name problems in logs: make them differ, or leave them all out");
    }
  }
  if (problems.empty())
    throw Error(path + " holds no problems", "one JSON object with a \"prompt\" for each line");
  return problems;
}

}  // namespace treepo
