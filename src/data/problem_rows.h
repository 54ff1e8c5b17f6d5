#pragma once

#include <string>
#include <vector>

#include "config/options.h"  // DataOptions
#include "data/source_report.h"
#include "data/source_spec.h"
#include "reward/problem.h"

namespace treepo {

// A problem whose prompt is not written yet.
struct SourceRow {
  Problem problem;   // prompt: the question
  std::string chat;  // instead of it: a JSON list of messages; empty: none
};

// Reads a source's problems; Problem::source is its name. Without a preset, options.prompt, answer
// and id name the fields, and "ids" may stand in place of the prompt:
//   {"prompt": "7,7:9,4", "answer": "7,7,7,7"}     {"id": "p2", "ids": [5, 17, 3], "answer": 12}
// A prompt is a text or a chat ([{"role", "content"}, …]). "id" is a text or an integer, the number
// of the row where it is absent. An answer is a text or a number (taken as its text); a preset's
// may be anything, taken as its JSON text. A null counts as absent.
// Throws Error, naming file and row, on anything else (or counts it, by options.bad_rows), also on
// two rows with one id, and where no row is left.
std::vector<SourceRow> read_source(const SourceSpec& source, const DataOptions& options,
                                   SourceReport& report);

}  // namespace treepo
