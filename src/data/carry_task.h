#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "reward/problem.h"

namespace treepo {

// "The forgotten carry", the task of the quickstart. A problem is five operations, done from left
// to right whatever their kind; the response writes each step and ends with `!` (and EOS):
//
//   prompt    8+5+4-8+3*6:
//   response  8+5=13;13+4=17;17-8=9;9+3=12;12*6=72!
//
// Operands are drawn from 2…9, operations from + + - - *; problems in which a running value leaves
// 1…99 are drawn again. Demonstrations carry one bug: a student who forgets carries and borrows.
//
//   A step with running value v = 10 t + u in 10…99 and operand b is due
//     a carry  for v + b when u + b >= 10: 10 too little when forgotten,     17+5=12
//     a borrow for v - b when u < b:       10 too much when forgotten,       23-7=26
//   and is forgotten with the given probability. 8+5=13 has no carry to forget: a student knows
//   that sum by heart. Multiplications are right. Later steps go on from a wrong value as if it
//   were right, below 1 or above 99 too (4-9=-5;-5+3=-2).

inline constexpr int kCarryOperations = 5;

// What a step is due, for the bug and for statistics.
enum class CarryStepKind { plus, plus_with_carry, minus, minus_with_borrow, times };
inline constexpr int kNumCarryStepKinds = 5;

struct CarryStep {
  int32_t left;
  char operation;  // + - *
  int32_t right;   // 2…9
  int32_t result;  // written by the student
  CarryStepKind kind;
  bool forgotten;  // the carry or borrow
};

CarryStepKind carry_step_kind(int32_t left, char operation, int32_t right);
int32_t carry_step_result(int32_t left, char operation, int32_t right, bool forgotten);

// The split into training and held-out problems: one of 16 is held out, by a hash of the prompt
// alone.
bool is_held_out(std::string_view prompt);

// Everything is a function of seed and index, so there is no state to save. Safe to share by
// threads.
class CarryTask {
 public:
  explicit CarryTask(uint64_t seed) : seed_(seed) {}

  // Problem `index` of an endless stream of training problems (id "carry-INDEX"); they repeat by
  // chance only, and none is held out. index >= 0.
  Problem training_problem(int64_t index) const;

  // `count` different held-out problems, ids "held-out-0" on; more of them begin with the same
  // ones. Throws Error unless 1 <= count <= 100,000.
  std::vector<Problem> held_out_problems(int64_t count) const;

  // How demonstration `index` solves a problem that this task made, forgetting with probability
  // `bug`.
  std::vector<CarryStep> demonstration_steps(const Problem& problem, int64_t index,
                                             double bug) const;
  // The same as a response: "8+5=13;…;12*6=72!", to be followed by EOS.
  std::string demonstration(const Problem& problem, int64_t index, double bug) const;

 private:
  uint64_t seed_;
};

struct CarryStatistics {
  int64_t demonstrations = 0;
  int64_t steps[kNumCarryStepKinds] = {};  // by CarryStepKind
  int64_t forgotten = 0;                   // carries and borrows
  int64_t ended_right = 0;  // demonstrations with the right last value, with or without mistakes
  int64_t left_range = 0;   // demonstrations in which a mistake led below 1 or above 99
  int64_t characters = 0;   // of all responses, EOS not counted
  int64_t longest = 0;      // characters of the longest
};
// Demonstration i of training problem i, for i = first … first + count - 1.
CarryStatistics carry_statistics(const CarryTask& task, int64_t first, int64_t count, double bug);

// The task's tokenizer: one token for each character. 24 ids:
//   0 <pad>  1 <eos>  2 <unk>  3…12 the digits  13 +  14 -  15 *  16 =  17 ;  18 :  19 !
//   20 space  21 /  22 (  23 )        the last four never occur in the task
inline constexpr int32_t kCarryVocabularySize = 24;
inline constexpr int32_t kCarryPadId = 0, kCarryEosId = 1;
// Writes tokenizer.json and tokenizer_config.json into an existing directory, for text/ and
// transformers. No special token is added to a prompt.
void write_carry_tokenizer(const std::string& directory);
// The content of that tokenizer.json alone.
std::string carry_tokenizer_json();

}  // namespace treepo
