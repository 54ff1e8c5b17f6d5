#pragma once

#include <cstddef>
#include <string_view>

namespace treepo {

// Stop rules that look at the text of a path's new segment. Pure functions, linear in the text.

// Whether a `\boxed{…}` is complete: its braces balance. `\{` and `\}` are text, not braces.
//   \boxed{\frac{1}{2}}   yes         \boxed{\frac{1}{2}   no         \boxed{\}   no
bool has_complete_box(std::string_view text);

// Whether some substring of `length` characters (code points) occurs at least `count` times;
// occurrences may overlap: "aaaa" holds "aa" three times. length and count are at least 1.
bool repeats(std::string_view text, size_t length, size_t count);

}  // namespace treepo
