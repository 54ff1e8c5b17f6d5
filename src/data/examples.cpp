#include "data/examples.h"

#include "base/error.h"
#include "base/json.h"
#include "data/row_fields.h"
#include "data/row_reader.h"

namespace treepo {

namespace {

std::string chat_of(std::string_view text) {
  const OrderedJson row = OrderedJson::parse(text);
  OrderedJson chat = {{"messages", row["messages"]}};
  if (row.contains("tools")) chat["tools"] = row["tools"];
  return dump_json(chat);
}

std::string chat_of(const std::string& prompt, const std::string& response) {
  OrderedJson messages = OrderedJson::parse(prompt);
  messages.push_back({{"role", "assistant"}, {"content", response}});
  return dump_json(OrderedJson{{"messages", std::move(messages)}});
}

TextExample example_of(const Json& row, const RowFields& fields, const RowReader& reader) {
  TextExample example;
  example.where = reader.where();
  const bool is_chat = !fields.preset() && has_key(row, "messages") && row["messages"].is_array();
  if (is_chat) {
    example.chat = chat_of(reader.text());
    return example;
  }
  const Json* response = find_field(row, fields.response());
  if (!response || !response->is_string())
    throw Error(fmt::format("{}: \"{}\", the response to learn, is {}", example.where,
                            fields.response(), response ? "no text" : "missing"),
                "a row is a chat {\"messages\"}, or {\"prompt\", \"response\"}; other fields are "
                "named as in FILE?prompt=question&response=solution");
  example.response = response->get<std::string>();
  const Json* prompt = find_field(row, fields.prompt());
  if (prompt && prompt->is_array())
    example.chat =
        chat_of(fields.chat_text(reader.text(), fields.prompt(), example.where), example.response);
  else
    example.prompt = fields.prompt_text(row, example.where);
  return example;
}

}  // namespace

std::vector<TextExample> read_examples(const SourceSpec& source, const BadRows& bad_rows,
                                       SourceReport& report) {
  const RowFields fields(source, DataOptions());
  report.name = source.name;
  report.path = source.path;
  std::vector<TextExample> examples;
  const std::unique_ptr<RowReader> reader = open_rows(source.path);
  while (reader->next()) {
    ++report.rows;
    try {
      const Json row = parse_json(reader->text(), reader->where());
      if (!row.is_object())
        throw Error(reader->where() + ": a JSON object was expected",
                    "one {\"prompt\": …, \"response\": …} for each row");
      if (fields.wants(row, reader->where()))
        examples.push_back(example_of(row, fields, *reader));
      else
        ++report.unwanted;
    } catch (const Error& error) {
      bad_rows.add(report, error);
    }
  }
  if (examples.empty())
    throw Error(source.path + " holds no examples" +
                    (report.left_out() > 0 ? ": " + report.left_out_text() : ""),
                "one JSON object with a \"prompt\" and a \"response\", or with \"messages\", for "
                "each row");
  return examples;
}

std::vector<TextExample> read_examples(const SourceSpec& source) {
  SourceReport report;
  return read_examples(source, BadRows(false), report);
}

}  // namespace treepo
