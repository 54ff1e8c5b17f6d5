#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace treepo {

// One step of a stage of tokenizer.json (normalizer, pre_tokenizer, post_processor, decoder).
struct JsonStep {
  const Json& object;  // belongs to the parsed file
  std::string where;   // "DIR/tokenizer.json: normalizer.normalizers[1]", for errors
  std::string type;
};

// The steps of file[stage] in order, nested Sequences made flat; none if the stage is null or
// absent. list_key: where a Sequence of this stage keeps its steps.
std::vector<JsonStep> read_steps(const Json& file, const std::string& stage,
                                 const std::string& list_key, const std::string& path);

// Throws the Error for a value that treepo cannot do.
[[noreturn]] void throw_unsupported(const std::string& where, const std::string& key,
                                    const std::string& value, const std::string& supported);

}  // namespace treepo
