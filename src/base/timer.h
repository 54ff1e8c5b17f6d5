#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace treepo {

// Seconds of a clock that never jumps, from some fixed moment.
inline double monotonic_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

class Timer {
 public:
  double seconds() const { return monotonic_seconds() - start_; }
  void restart() { start_ = monotonic_seconds(); }

 private:
  double start_ = monotonic_seconds();
};

// Wall-clock seconds by named phase, in the order in which phases first ran. One thread.
//   { PhaseTimes::Scope scope = times.measure("rollout"); … }
class PhaseTimes {
 public:
  class Scope {
   public:
    Scope(PhaseTimes& times, std::string_view phase) : times_(times), phase_(phase) {}
    ~Scope() { times_.add(phase_, timer_.seconds()); }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    PhaseTimes& times_;
    std::string phase_;
    Timer timer_;
  };

  [[nodiscard]] Scope measure(std::string_view phase) { return Scope(*this, phase); }

  void add(std::string_view phase, double seconds) {
    for (auto& [name, total] : phases_) {
      if (name == phase) {
        total += seconds;
        return;
      }
    }
    phases_.emplace_back(phase, seconds);
  }

  double seconds(std::string_view phase) const {  // 0 for a phase that did not run
    for (const auto& [name, total] : phases_)
      if (name == phase) return total;
    return 0;
  }

  const std::vector<std::pair<std::string, double>>& phases() const { return phases_; }
  void clear() { phases_.clear(); }

 private:
  std::vector<std::pair<std::string, double>> phases_;
};

}  // namespace treepo
