#include "text/tokenize_command.h"

#include <istream>
#include <ostream>

#include "base/json.h"

namespace treepo {

namespace {

// convert: one line's value and its place -> the value to write.
template <typename Convert>
void convert_lines(std::istream& in, const std::string& input_name, std::ostream& out,
                   const Convert& convert) {
  std::string line;
  for (int64_t number = 1; std::getline(in, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const std::string where = fmt::format("{}, line {}", input_name, number);
    out << dump_json(convert(parse_json(line, where), where)) << '\n';
    if (!out) throw Error(where + ": the result cannot be written");
  }
  if (in.bad()) throw Error(input_name + " cannot be read to its end");
}

std::vector<int32_t> read_ids(const Json& value, const std::string& where) {
  std::vector<int32_t> ids;
  for (const int64_t id : get_ints(value, "ids", where)) {
    if (id < 0 || id > INT32_MAX) {
      throw Error(
          fmt::format("{}: \"ids\"[{}] is {}, which is no token's id", where, ids.size(), id));
    }
    ids.push_back(static_cast<int32_t>(id));
  }
  return ids;
}

}  // namespace

void tokenize_lines(const Tokenizer& tokenizer, std::istream& in, const std::string& input_name,
                    std::ostream& out, bool add_special_tokens) {
  convert_lines(in, input_name, out, [&](const Json& value, const std::string& where) {
    return Json{{"ids", tokenizer.encode(get_string(value, "text", where), add_special_tokens)}};
  });
}

void detokenize_lines(const Tokenizer& tokenizer, std::istream& in, const std::string& input_name,
                      std::ostream& out, bool skip_special_tokens) {
  convert_lines(in, input_name, out, [&](const Json& value, const std::string& where) {
    return Json{{"text", tokenizer.decode(read_ids(value, where), skip_special_tokens)}};
  });
}

}  // namespace treepo
