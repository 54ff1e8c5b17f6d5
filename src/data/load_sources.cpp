#include "data/load_sources.h"

#include <utility>

#include "base/error.h"
#include "data/problem_rows.h"

namespace treepo {

namespace {

int32_t characters_of(std::string_view text) {
  int32_t count = 0;
  for (const char c : text) count += (static_cast<unsigned char>(c) & 0xC0) != 0x80 ? 1 : 0;
  return count;
}

LoadedSource load_source(const SourceSpec& spec, const DataOptions& options, PromptWriter& prompts,
                         const DataContext& context) {
  LoadedSource loaded;
  loaded.spec = spec;
  const BadRows bad_rows(options.bad_rows == "skip");
  std::vector<SourceRow> rows = read_source(spec, options, loaded.report);
  prompts.write(rows, loaded.report, bad_rows);
  loaded.problems.reserve(rows.size());
  for (SourceRow& row : rows) {
    Problem& problem = row.problem;
    try {
      std::vector<int32_t> ids;
      if (context.tokenizer) ids = prompt_ids(problem, *context.tokenizer);
      const int32_t length =
          context.tokenizer ? static_cast<int32_t>(ids.size()) : characters_of(problem.prompt);
      if (options.max_prompt_tokens > 0 && length > options.max_prompt_tokens) {
        ++loaded.report.too_long;
        continue;
      }
      if (context.check) context.check(problem, ids);
      loaded.prompt_lengths.push_back(length);
      loaded.problems.push_back(std::move(problem));
    } catch (const Error& error) {
      bad_rows.add(loaded.report, error);
    }
  }
  loaded.report.kept = std::ssize(loaded.problems);
  if (loaded.problems.empty())
    throw Error(fmt::format("{}: no row is left; {}", spec.path, loaded.report.left_out_text()),
                "loosen data.max_prompt_tokens, data.drop_unanswered or the source's conditions");
  return loaded;
}

}  // namespace

std::vector<LoadedSource> load_sources(const std::vector<std::string>& texts,
                                       const DataOptions& options, PromptWriter& prompts,
                                       const DataContext& context) {
  std::vector<LoadedSource> sources;
  for (const SourceSpec& spec : parse_sources(texts))
    sources.push_back(load_source(spec, options, prompts, context));
  if (sources.size() == 1) return sources;
  for (LoadedSource& source : sources)
    for (Problem& problem : source.problems) problem.id = source.spec.name + "/" + problem.id;
  return sources;
}

std::vector<Problem> load_problems(const std::string& source, const DataOptions& options,
                                   const PromptOptions& prompt, const DataContext& context) {
  PromptWriter prompts(prompt, context.model_directory);
  return std::move(load_sources({source}, options, prompts, context).front().problems);
}

}  // namespace treepo
