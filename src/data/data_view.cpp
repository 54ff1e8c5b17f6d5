#include "data/data_view.h"

#include <fmt/format.h>
#include <fmt/ranges.h>  // fmt::join

#include <algorithm>
#include <cmath>
#include <numeric>

namespace treepo {

namespace {

constexpr int64_t kBarWidth = 40;

// The smallest of 1, 2, 5, 10, 20, 50, … that is at least `wanted`.
int64_t round_up(double wanted) {
  for (int64_t power = 1;; power *= 10)
    for (const int64_t step : {1, 2, 5})
      if (static_cast<double>(step * power) >= wanted) return step * power;
}

int32_t quantile(std::vector<int32_t> lengths, double share) {
  const auto at = static_cast<std::ptrdiff_t>(share * static_cast<double>(lengths.size() - 1));
  std::nth_element(lengths.begin(), lengths.begin() + at, lengths.end());
  return lengths[static_cast<size_t>(at)];
}

std::string bar(int64_t count, int64_t most) {
  const int64_t width = (count * kBarWidth + most - 1) / most;  // something for every count above 0
  std::string text;
  for (int64_t i = 0; i < width; ++i) text += "█";
  return text;
}

// Share of the queries that fall to each source.
std::vector<double> shares_of(const std::vector<LoadedSource>& sources) {
  std::vector<double> shares;
  for (const LoadedSource& source : sources)
    shares.push_back(source.spec.weight.value_or(static_cast<double>(source.problems.size())));
  const double total = std::accumulate(shares.begin(), shares.end(), 0.0);
  for (double& share : shares) share /= total;
  return shares;
}

}  // namespace

std::string histogram_text(std::span<const int32_t> lengths, int64_t bins) {
  const int32_t longest = *std::max_element(lengths.begin(), lengths.end());
  const int64_t width = round_up(static_cast<double>(longest + 1) / static_cast<double>(bins));
  std::vector<int64_t> counts(static_cast<size_t>(longest / width + 1));
  for (const int32_t length : lengths) ++counts[static_cast<size_t>(length / width)];
  const int64_t most = *std::max_element(counts.begin(), counts.end());
  const size_t digits = std::to_string(longest + width).size();
  std::string text;
  for (size_t i = 0; i < counts.size(); ++i) {
    const auto begin = static_cast<int64_t>(i) * width;
    text += fmt::format("  {:>{}} – {:>{}}  {}{}{}\n", begin, digits, begin + width - 1, digits,
                        bar(counts[i], most), counts[i] > 0 ? " " : "", counts[i]);
  }
  return text;
}

std::string sources_text(const std::vector<LoadedSource>& sources, std::string_view unit) {
  size_t name_width = 6;
  int64_t problems = 0;
  for (const LoadedSource& source : sources) {
    name_width = std::max(name_width, source.spec.name.size());
    problems += std::ssize(source.problems);
  }
  const std::vector<double> shares = shares_of(sources);
  std::string text = fmt::format("  {:<{}}  {:>8}  {:>8}  {:>8}  {:>7}  {:>9}  {}\n", "source",
                                 name_width, "rows", "problems", "left out", "share", "per epoch",
                                 fmt::format("prompt {} (half, 99 %, longest)", unit));
  for (size_t i = 0; i < sources.size(); ++i) {
    const LoadedSource& source = sources[i];
    const double visits =
        shares[i] * static_cast<double>(problems) / static_cast<double>(source.problems.size());
    text += fmt::format("  {:<{}}  {:>8}  {:>8}  {:>8}  {:>5.1f} %  {:>8.2f}×  {}, {}, {}\n",
                        source.spec.name, name_width, source.report.rows, source.problems.size(),
                        source.report.left_out(), 100 * shares[i], visits,
                        quantile(source.prompt_lengths, 0.5), quantile(source.prompt_lengths, 0.99),
                        quantile(source.prompt_lengths, 1));
  }
  for (const LoadedSource& source : sources)
    if (source.report.left_out() > 0)
      text += fmt::format("  {}: {}\n", source.spec.name, source.report.left_out_text());
  return text;
}

std::string problem_text(const Problem& problem, int32_t length, std::string_view unit) {
  const std::string prompt = problem.ids.empty()
                                 ? problem.prompt
                                 : fmt::format("token ids [{}]", fmt::join(problem.ids, ", "));
  return fmt::format("── {} ── id {} ── {} {}\n{}\n── answer: {}\n", problem.where, problem.id,
                     length, unit, prompt, problem.answer ? "\"" + *problem.answer + "\"" : "none");
}

}  // namespace treepo
