#include "text/tokenizer_json.h"

namespace treepo {

namespace {

// parse_json bounds the depth of the file, and so of this recursion.
void append_steps(const Json& object, const std::string& where, const std::string& list_key,
                  std::vector<JsonStep>& steps) {
  std::string type = get_string(object, "type", where);
  if (type != "Sequence") {
    steps.push_back({.object = object, .where = where, .type = std::move(type)});
    return;
  }
  const Json& list = get_array(object, list_key, where);
  for (size_t i = 0; i < list.size(); ++i) {
    append_steps(list[i], fmt::format("{}.{}[{}]", where, list_key, i), list_key, steps);
  }
}

}  // namespace

std::vector<JsonStep> read_steps(const Json& file, const std::string& stage,
                                 const std::string& list_key, const std::string& path) {
  std::vector<JsonStep> steps;
  if (has_key(file, stage)) {
    append_steps(get_object(file, stage, path), path + ": " + stage, list_key, steps);
  }
  return steps;
}

void throw_unsupported(const std::string& where, const std::string& key, const std::string& value,
                       const std::string& supported) {
  throw Error(fmt::format("{}: unsupported \"{}\": {}", where, key, dump_json(Json(value))),
              "supported: " + supported);
}

}  // namespace treepo
