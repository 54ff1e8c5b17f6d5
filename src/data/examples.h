#pragma once

#include <string>
#include <vector>

namespace treepo {

// A prompt and the response to learn, as text.
struct TextExample {
  std::string prompt, response;
  std::string where;  // "FILE, line 12"
};

// Reads JSON lines {"prompt", "response"}, both strings; other keys are left alone, blank lines
// skipped. Throws Error naming file and line on anything else, and where there is no example.
std::vector<TextExample> read_examples(const std::string& path);

}  // namespace treepo
