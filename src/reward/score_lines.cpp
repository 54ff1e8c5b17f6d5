#include "reward/score_lines.h"

#include <deque>

#include "base/error.h"

namespace treepo {

namespace {

constexpr size_t kBlock = 256;      // responses that are begun at once
constexpr size_t kBlocksAhead = 3;  // begun before the first is waited for

struct Row {
  Problem problem;
  std::string response;
  Json id;
};

std::string text_or_number(const Json& value, const std::string& key, const std::string& where) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number() || value.is_object()) return dump_json(value);
  throw Error(fmt::format("{}: \"{}\" must be a text or a number", where, key),
              "a reference answer is a text such as \"3/4\"");
}

Row read_row(const Json& json, const std::string& where, int64_t line) {
  if (!json.is_object())
    throw Error(where + ": a JSON object was expected",
                "one {\"prompt\", \"response\", \"answer\"} for each line");
  Row row;
  row.problem.where = where;
  row.problem.id = std::to_string(line);
  row.problem.row = dump_json(json);
  row.problem.prompt = get_string_or(json, "prompt", "", where);
  row.response = get_string(json, "response", where);
  if (has_key(json, "answer")) row.problem.answer = text_or_number(json["answer"], "answer", where);
  if (has_key(json, "id")) row.id = json["id"];
  return row;
}

// Some rows whose verdicts are on their way.
struct Block {
  std::vector<Row> rows{};
  Verifier::Pending pending{};

  void start(Verifier& verifier) {
    std::vector<Response> responses;
    for (const Row& row : rows)
      responses.push_back({.problem = &row.problem, .text = row.response, .ended_with_eos = true});
    pending = verifier.start(responses);
  }
};

OrderedJson result_of(const Row& row, const Verdict& verdict,
                      const std::vector<std::string>& names) {
  OrderedJson line = OrderedJson::object();
  if (!row.id.is_null()) line["id"] = row.id;
  line["reward"] = verdict.score;
  line["reason"] = verdict.reason;
  line["parts"] = OrderedJson::object();
  for (size_t i = 0; i < names.size(); ++i) line["parts"][names[i]] = verdict.parts.at(i);
  return line;
}

void count(ScoreCounts& counts, const Verdict& verdict) {
  ++counts.responses;
  counts.correct += verdict.correct;
  counts.reward += verdict.score;
  counts.errors += verdict.failure == VerifierFailure::error;
  counts.timeouts += verdict.failure == VerifierFailure::timed_out;
  counts.deaths += verdict.failure == VerifierFailure::died;
}

}  // namespace

ScoreCounts score_lines(const std::string& input, Verifier& verifier,
                        const std::function<void(const std::string& line)>& write) {
  const std::vector<std::string> names = verifier.part_names();
  ScoreCounts counts;
  std::deque<Block> blocks;  // a deque: rows keep their place, verdicts point to them
  const auto finish_first = [&] {
    Block& block = blocks.front();
    const std::vector<Verdict> verdicts = block.pending();
    for (size_t i = 0; i < verdicts.size(); ++i) {
      count(counts, verdicts[i]);
      write(dump_json(result_of(block.rows[i], verdicts[i], names)));
    }
    blocks.pop_front();
  };
  const auto read_block = [&](JsonLineReader& reader) {
    Block& block = blocks.emplace_back();
    block.rows.reserve(kBlock);
    for (Json json; block.rows.size() < kBlock && reader.next(json);) {
      block.rows.push_back(read_row(json, reader.where(), reader.line()));
      verifier.check(block.rows.back().problem);
    }
    block.start(verifier);
    return !block.rows.empty();
  };

  JsonLineReader reader(input);
  while (read_block(reader))
    if (blocks.size() >= kBlocksAhead) finish_first();
  while (!blocks.empty()) finish_first();
  return counts;
}

}  // namespace treepo
