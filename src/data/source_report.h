#pragma once

#include <cstdint>
#include <exception>
#include <string>

#include "base/error.h"

namespace treepo {

// What became of the rows of one source.
struct SourceReport {
  std::string name, path;
  int64_t rows = 0;        // in the file
  int64_t kept = 0;        // problems made of them
  int64_t unwanted = 0;    // left out by a condition of the source
  int64_t unanswered = 0;  // left out by data.drop_unanswered
  int64_t too_long = 0;    // left out by data.max_prompt_tokens (sft.max_tokens)
  int64_t bad = 0;         // left out by data.bad_rows = "skip"
  std::string first_bad;   // what was wrong with the first of them

  int64_t left_out() const { return unwanted + unanswered + too_long + bad; }
  // "12 of 7500 rows left out: 10 without an answer, 2 bad (FILE, line 7: …)".
  std::string left_out_text() const;
};

// data.bad_rows: whether a row that can't be used ends the run or is counted.
class BadRows {
 public:
  explicit BadRows(bool skip) : skip_(skip) {}

  // Throws `error` with what to do about it, or counts it. Only for what is wrong with one row.
  void add(SourceReport& report, const Error& error) const;

 private:
  bool skip_;
};

}  // namespace treepo
