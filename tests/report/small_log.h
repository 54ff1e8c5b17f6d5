#pragma once

#include <string>

#include "base/files.h"
#include "base/json.h"
#include "support/temporary_directory.h"

namespace treepo {

// Prompt of 2 tokens; "ab" goes on as "cd" (right) and, after its "a", as "ef" (wrong).
inline Json small_tree_line() {
  return Json::parse(R"({"step": 4, "query_id": "q", "prompt": [1, 2], "prompt_text": "p?",
    "nodes": [{"id": 0, "parent": -1, "tokens": []},
              {"id": 1, "parent": 0, "tokens": [3, 4], "logprobs": [-0.5, -1.5], "text": "ab",
               "token_texts": ["a", "b"]},
              {"id": 2, "parent": 1, "tokens": [5, 6], "stop": "eos", "text": "cd"},
              {"id": 3, "parent": 1, "tokens": [7, 8], "parent_used_tokens": 1, "stop": "length",
               "text": "ef"}],
    "leaves": [{"path": [0, 1, 2], "reward": 1, "advantage": 0.5, "end": "eos", "num_tokens": 4},
               {"path": [0, 1, 3], "reward": 0, "end": "length", "num_tokens": 3}]})");
}

// A folder with the logs of a run.
class SmallRun {
 public:
  SmallRun() { file_system().make_directories(path()); }
  void write(const std::string& name, const std::string& text) const {
    write_file_atomically(join_path(path(), name), text);
  }
  std::string path() const { return folder_ / "run"; }
  std::string operator/(const std::string& name) const { return join_path(path(), name); }

 private:
  TemporaryDirectory folder_;
};

}  // namespace treepo
