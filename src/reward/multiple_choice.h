#pragma once

#include <optional>
#include <string_view>

namespace treepo {

// The letter, A to `last`, that a response chooses: the one in its last box, else after its last
// "answer is" or "answer:", else the response's only word, else the last letter in brackets or on
// its own at the end of the response. "(C)", "**C**", "\text{C}" and "C. Paris" are C.
std::optional<char> chosen_letter(std::string_view response, char last);

// The letter of a reference answer: "C", "(C)", "C. Paris".
std::optional<char> answer_letter(std::string_view answer, char last);

}  // namespace treepo
