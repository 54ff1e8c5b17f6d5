#pragma once

#include <string>
#include <vector>

#include "reward/problem.h"

namespace treepo {

// Reads problems from JSON lines: {"prompt" or "ids", "id"?, "answer"?}, other keys are left alone.
//   {"prompt": "7,7:9,4", "answer": "7,7,7,7"}     {"id": "p2", "ids": [5, 17, 3], "answer": 12}
// "id" is a string or an integer, the number of the line where it is absent. "answer" is a string
// or a number (taken as its text). A null counts as absent. Blank lines are skipped. Throws Error
// naming file and line on anything else: text that is no JSON object, neither or both of "prompt"
// and "ids", empty "ids", ids outside 0…2^31-1, two problems of one id, no problem at all.
std::vector<Problem> read_problems(const std::string& path);

}  // namespace treepo
