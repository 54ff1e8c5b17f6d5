#pragma once

#include <string>
#include <string_view>

#include "report/logged_tree.h"

namespace treepo {

// A tree for a terminal of `width` columns, a segment on each line:
//
//   step 12  query carry-4   2 leaves   mean reward 0.5   20 tokens decoded for 28 (71 %)
//   prompt  6+7-8:
//   ├─ 8 tok  -0.42  6+7=15;1
//   │  ├─ 6 tok  -0.10  5-8=7!   eos  reward 1  advantage +0.9
//   │  └╌ 6 tok  -1.30  5-8=16   eos  reward 0  advantage -0.9  after 4 tokens
//
// ╌ is a fallback, with the tokens of the segment above that it keeps where it does not keep all.
// Characters that would move the cursor or turn the text are written by name.
std::string tree_text(const LoggedTree& tree, int width);

// One line of it: control characters as ␀ … ␟ or by number (U+202E), line ends as ↵.
std::string visible_line(std::string_view utf8);

}  // namespace treepo
