#pragma once

#include <iosfwd>
#include <string>

#include "text/tokenizer.h"

namespace treepo {

// The work of `treepo tokenize`: JSON lines in, JSON lines out, in the same order. Lines end at
// "\n" alone, blank ones are skipped. A line that is wrong throws Error "INPUT_NAME, line 3: …";
// the lines before it are written.

// {"text": "…"} -> {"ids": […]}
void tokenize_lines(const Tokenizer& tokenizer, std::istream& in, const std::string& input_name,
                    std::ostream& out, bool add_special_tokens);

// {"ids": […]} -> {"text": "…"}
void detokenize_lines(const Tokenizer& tokenizer, std::istream& in, const std::string& input_name,
                      std::ostream& out, bool skip_special_tokens);

}  // namespace treepo
