#include "data/source_report.h"

#include <fmt/ranges.h>  // fmt::join

#include <vector>

namespace treepo {

std::string SourceReport::left_out_text() const {
  std::vector<std::string> reasons;
  const auto add = [&](int64_t count, const std::string& reason) {
    if (count > 0) reasons.push_back(fmt::format("{} {}", count, reason));
  };
  add(unwanted, "by the source's condition");
  add(unanswered, "without an answer");
  add(too_long, "too long");
  add(bad, fmt::format("bad ({})", first_bad));
  return fmt::format("{} of {} rows left out{}{}", left_out(), rows, reasons.empty() ? "" : ": ",
                     fmt::join(reasons, ", "));
}

void BadRows::add(SourceReport& report, const Error& error) const {
  if (!skip_) {
    const std::string skip = "data.bad_rows = \"skip\" leaves such rows out and counts them";
    throw Error(error.what(), error.hint().empty() ? skip : error.hint() + "; " + skip);
  }
  if (++report.bad == 1) report.first_bad = error.what();
}

}  // namespace treepo
