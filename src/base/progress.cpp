#include "base/progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "base/format.h"
#include "base/log.h"
#include "base/terminal.h"

namespace treepo {

namespace {

constexpr double kRedrawSeconds = 0.1, kPlainLineSeconds = 10;
constexpr int kBarCharacters = 20;

std::string bar(double share) {
  const int filled = static_cast<int>(std::clamp(share, 0.0, 1.0) * kBarCharacters);
  std::string cells(static_cast<size_t>(filled), '=');
  if (filled < kBarCharacters) cells += '>';
  cells.resize(kBarCharacters, ' ');
  return fmt::format("[{}]", cells);
}

}  // namespace

Progress::Progress(std::string label, int64_t total, int64_t first_done, Clock clock)
    : label_(std::move(label)),
      total_(total),
      first_done_(first_done),
      clock_(std::move(clock)),
      start_(clock_()),
      next_draw_(terminal().is_interactive() ? start_ : start_ + kPlainLineSeconds) {}

Progress::~Progress() {
  if (drawn_) terminal().clear_status();
}

void Progress::update(int64_t done, std::string_view extra) {
  if (is_quiet()) return;
  const double now = clock_();
  const bool complete = total_ > 0 && done >= total_;
  const bool interactive = terminal().is_interactive();
  if (now < next_draw_ && !(interactive && complete)) return;
  next_draw_ = now + (interactive ? kRedrawSeconds : kPlainLineSeconds);
  if (interactive) {
    terminal().set_status(render(done, extra, true));
    drawn_ = true;
  } else {
    log_info("{}", render(done, extra, false));
  }
}

std::string Progress::time_left(int64_t done) const {
  const double elapsed = clock_() - start_;
  if (total_ <= 0 || done <= first_done_ || done >= total_ || elapsed <= 0) return "";
  const double seconds_each = elapsed / static_cast<double>(done - first_done_);
  return format_duration(seconds_each * static_cast<double>(total_ - done)) + " left";
}

std::string Progress::render(int64_t done, std::string_view extra, bool with_bar) const {
  std::vector<std::string> fields = {label_};
  if (total_ > 0 && with_bar)
    fields.push_back(bar(static_cast<double>(done) / static_cast<double>(total_)));
  fields.push_back(total_ > 0 ? fmt::format("{}/{}", with_thousands(done), with_thousands(total_))
                              : with_thousands(done));
  if (!extra.empty()) fields.emplace_back(extra);
  if (const std::string left = time_left(done); !left.empty()) fields.push_back(left);
  return fmt::format("{}", fmt::join(fields, "  "));
}

}  // namespace treepo
