#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "config/options.h"
#include "data/prompt_writer.h"
#include "data/source_report.h"
#include "data/source_spec.h"
#include "reward/problem.h"
#include "text/tokenizer.h"

namespace treepo {

// What the problems are for.
struct DataContext {
  const Tokenizer* tokenizer = nullptr;  // null: lengths are counted in characters
  std::string model_directory;           // with the chat template; empty: there is none
  // Throws Error where a problem, with its prompt's tokens, can't be used (no answer for the
  // verifier, no room in the context). Empty: all can.
  std::function<void(const Problem&, std::span<const int32_t>)> check;
};

// The problems of a source, their prompts written, filtered and checked.
struct LoadedSource {
  SourceSpec spec;
  std::vector<Problem> problems;  // never empty; ids begin with "NAME/" where there are others
  std::vector<int32_t> prompt_lengths;  // [problems.size()] tokens (or characters)
  SourceReport report;
};

// Reads the sources that `texts` name. Throws Error naming file and row on a row that can't be
// used, unless options.bad_rows says to count it, and where a source is left without any.
std::vector<LoadedSource> load_sources(const std::vector<std::string>& texts,
                                       const DataOptions& options, PromptWriter& prompts,
                                       const DataContext& context);

// The problems of a file of `treepo sample` and `treepo bench`.
std::vector<Problem> load_problems(const std::string& source, const DataOptions& options,
                                   const PromptOptions& prompt, const DataContext& context);

}  // namespace treepo
