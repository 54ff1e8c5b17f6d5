#pragma once

#include <string>
#include <string_view>

namespace treepo {

// A pattern in Oniguruma's Ruby syntax, which is what tokenizer.json holds, as PCRE2 must be given
// it to match the same. Character classes become those of unicode.h; what the two engines read
// differently and no tokenizer is known to need (back references, \b, nested classes, possessive
// intervals, free-standing options…) is an Error that names `where` and the part.
// Options to compile with: UTF, UCP, MULTILINE, newline LF.
std::string to_pcre2_syntax(std::string_view pattern, const std::string& where);

}  // namespace treepo
