#include "data/examples.h"

#include "base/json.h"

namespace treepo {

std::vector<TextExample> read_examples(const std::string& path) {
  std::vector<TextExample> examples;
  JsonLineReader reader(path);
  for (Json row; reader.next(row);) {
    const std::string where = reader.where();
    if (!row.is_object())
      throw Error(where + ": a JSON object was expected",
                  "one {\"prompt\": …, \"response\": …} for each line");
    examples.push_back({.prompt = get_string(row, "prompt", where),
                        .response = get_string(row, "response", where),
                        .where = where});
  }
  if (examples.empty())
    throw Error(path + " holds no examples",
                "one JSON object with a \"prompt\" and a \"response\" for each line");
  return examples;
}

}  // namespace treepo
