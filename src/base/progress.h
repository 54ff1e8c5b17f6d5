#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/timer.h"

namespace treepo {

// Shows how far long work has come: a bar on a terminal (at most 10 redraws a second), a plain line
// every 10 seconds elsewhere, nothing under --quiet. The bar goes away with the object.
//
//   train   [=========>          ]  45/100  success 43 %  1,234 tok/s  1:02 left
//
// While two are alive, the one that was updated last is seen.
class Progress {
 public:
  using Clock = std::function<double()>;  // seconds

  // total 0: not known, no bar and no time left. first_done: where resumed work starts.
  explicit Progress(std::string label, int64_t total, int64_t first_done = 0,
                    Clock clock = monotonic_seconds);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // extra: further fields, such as "success 43 %  1,234 tok/s". Cheap when there is nothing to
  // draw.
  void update(int64_t done, std::string_view extra = "");

 private:
  std::string render(int64_t done, std::string_view extra, bool with_bar) const;
  std::string time_left(int64_t done) const;

  std::string label_;
  int64_t total_, first_done_;
  Clock clock_;
  double start_, next_draw_;
  bool drawn_ = false;
};

}  // namespace treepo
