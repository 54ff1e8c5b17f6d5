#include "data/problem_rows.h"

#include <limits>
#include <unordered_map>
#include <utility>

#include "base/files.h"
#include "base/json.h"
#include "data/presets.h"
#include "data/row_condition.h"
#include "data/row_fields.h"
#include "data/row_reader.h"

namespace treepo {

namespace {

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

std::string id_of(const Json& row, const RowFields& fields, const RowReader& reader) {
  const Json* id = find_field(row, fields.id());
  if (!id) return std::to_string(reader.number());
  if (id->is_string()) return id->get<std::string>();
  if (id->is_number_integer()) return id->dump();
  throw Error(
      fmt::format("{}: \"{}\" must be a string or an integer", reader.where(), fields.id()));
}

void read_prompt(const Json& row, const RowFields& fields, std::string_view text,
                 const std::string& where, SourceRow& out) {
  const bool may_be_ids = !fields.preset();
  const Json* prompt = find_field(row, fields.prompt());
  const bool has_ids = may_be_ids && has_key(row, "ids");
  if (may_be_ids && has_ids == (prompt != nullptr)) {
    throw Error(fmt::format("{}: {} \"{}\" {} \"ids\"", where, has_ids ? "both" : "neither",
                            fields.prompt(), has_ids ? "and" : "nor"),
                "a problem needs one of them, text for the tokenizer or token ids; "
                "data.prompt names the field of the text");
  }
  if (has_ids) {
    out.problem.ids = ids_of(row, where);
  } else if (prompt && prompt->is_array() && (prompt->empty() || prompt->front().is_object())) {
    out.chat = fields.chat_text(text, fields.prompt(), where);
  } else {
    out.problem.prompt = fields.prompt_text(row, where);
  }
}

SourceRow row_of(const Json& row, const RowFields& fields, const RowReader& reader) {
  const std::string where = reader.where();
  if (!row.is_object())
    throw Error(where + ": a JSON object was expected", "one {\"prompt\": …} for each row");
  SourceRow out;
  out.problem.where = where;
  out.problem.id = id_of(row, fields, reader);
  out.problem.answer = fields.answer(row, where);
  read_prompt(row, fields, reader.text(), where, out);
  out.problem.row = reader.text();
  return out;
}

// Ids of a source and where they were met.
class KnownIds {
 public:
  void add(const std::string& id, const std::string& path, const RowReader& reader) {
    const auto [earlier, is_new] = numbers_.emplace(id, reader.number());
    if (is_new) return;
    throw Error(fmt::format("{}: lines {} and {} have the same id \"{}\"", path, earlier->second,
                            reader.number(), id),
                "ids name problems in logs: make them differ, or let data.id name no field");
  }

 private:
  std::unordered_map<std::string, int64_t> numbers_;
};

}  // namespace

std::vector<SourceRow> read_source(const SourceSpec& source, const DataOptions& options,
                                   SourceReport& report) {
  const RowFields fields(source, options);
  const BadRows bad_rows(options.bad_rows == "skip");
  report.name = source.name;
  report.path = source.path;
  std::vector<SourceRow> rows;
  KnownIds ids;
  const std::unique_ptr<RowReader> reader = open_rows(source.path);
  while (reader->next()) {
    ++report.rows;
    try {
      const Json value = parse_json(reader->text(), reader->where());
      if (value.is_object() && !fields.wants(value, reader->where())) {
        ++report.unwanted;
        continue;
      }
      SourceRow row = row_of(value, fields, *reader);
      row.problem.source = source.name;
      if (options.drop_unanswered && row.problem.answer.value_or("").empty()) {
        ++report.unanswered;
        continue;
      }
      ids.add(row.problem.id, source.path, *reader);
      rows.push_back(std::move(row));
    } catch (const Error& error) {
      bad_rows.add(report, error);
    }
  }
  report.kept = std::ssize(rows);
  if (rows.empty())
    throw Error(
        source.path + " holds no problems" + (report.rows > 0 ? ": " + report.left_out_text() : ""),
        "one JSON object with a \"prompt\" for each row");
  return rows;
}

}  // namespace treepo
