#pragma once

#include "reward/verifier.h"  // Response, Verdict

namespace treepo {

// The built-in verifiers, one pure function each; make_verifier chooses among them by name. All
// expect problem->answer to be set and to pass the matching check below.

// "The forgotten carry" (data/carry_task.h): 1 when the response ends in EOS, the character before
// it is `!` and the number before that is the answer, digit by digit; else 0. Nothing before it
// counts.
Verdict verify_carry(const Response& response);

// Digit completion: the share of positions at which the response, with its EOS as a last character,
// equals the answer followed by EOS; the denominator is the length of the answer + 1. Positions are
// characters. Reward of verl's arithmetic-sequence test. `correct`: every position and nothing
// more.
//   answer "8,2" <EOS>, response "8,3" <EOS>: 3 / 4        response "8" <EOS>: 1 / 4
Verdict verify_digits(const Response& response);

// 1 when the response equals the answer, ASCII white space around both left out. EOS is not
// required.
Verdict verify_exact(const Response& response);

// 1 when the last number of the response (reward/number.h) equals the answer's. EOS is not
// required.
Verdict verify_numeric(const Response& response);

// Throw Error, naming the problem, where the answer is not of the form the verifier needs.
void require_answer(const Problem& problem);
void require_integer_answer(const Problem& problem);
void require_numeric_answer(const Problem& problem);

}  // namespace treepo
