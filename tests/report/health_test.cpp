#include "report/health.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

namespace treepo {
namespace {

using enum HealthLevel;

using Course = std::function<double(int step)>;

MetricLog log_of(const std::vector<std::pair<std::string, Course>>& metrics, int steps = 100) {
  MetricLog log;
  for (int step = 0; step < steps; ++step) {
    log.lines.push_back({.step = step + 1});
    for (const auto& [name, course] : metrics)
      log.metrics[name].emplace_back(static_cast<size_t>(step), course(step));
  }
  return log;
}

HealthLevel level_of(const std::string& name, const MetricLog& log) {
  for (const HealthFinding& one : check_health(log)) {
    if (one.name != name) continue;
    EXPECT_EQ(one.advice.empty(), one.level == good || one.level == unknown) << name;
    EXPECT_FALSE(one.found.empty() || one.limit.empty());
    return one.level;
  }
  ADD_FAILURE() << "no finding " << name;
  return unknown;
}

Course flat(double value) {
  return [value](int) { return value; };
}
Course line(double first, double last) {
  return [=](int step) { return first + (last - first) * step / 99.0; };
}
Course spike(double value, double height, int at) {
  return [=](int step) { return step == at ? height : value; };
}

TEST(Health, NothingLoggedIsUnknown) {
  for (const HealthFinding& one : check_health({}))
    EXPECT_EQ(one.level, one.name == "Numbers" ? good : unknown) << one.name;
}

TEST(Health, HeldOutSuccess) {
  const auto level = [](const Course& success, int evaluations) {
    return level_of("Held-out success", log_of({{"eval/pass@1", success}}, evaluations));
  };
  EXPECT_EQ(level(flat(0.5), 1), unknown);
  EXPECT_EQ(level(flat(0.5), 2), good);
  EXPECT_EQ(level(flat(0), 3), good) << "nothing was lost";
  EXPECT_EQ(level(spike(0.02, 0.5, 0), 5), problem) << "lost right after the first";
  EXPECT_EQ(level(spike(0.3, 0.5, 0), 5), watch);
  EXPECT_EQ(level(spike(0.3, 0.02, 0), 5), good);
}

TEST(Health, EqualRewards) {
  const auto level = [](const Course& kept) {
    return level_of(
        "Equal rewards",
        log_of({{"sampling/queries_kept", kept},
                {"sampling/queries_dropped", [kept](int step) { return 100 - kept(step); }}}));
  };
  EXPECT_EQ(level(flat(50)), good);
  EXPECT_EQ(level(line(50, 5)), watch);
  EXPECT_EQ(level([](int step) { return step < 80 ? 50.0 : 0.0; }), problem);
}

TEST(Health, EntropyCollapse) {
  EXPECT_EQ(level_of("Entropy", log_of({{"entropy", line(1, 0.6)}})), good);
  EXPECT_EQ(level_of("Entropy", log_of({{"entropy", line(1, 0.2)}})), watch);
  EXPECT_EQ(level_of("Entropy", log_of({{"entropy", line(1, 0.0)}})), problem);
}

TEST(Health, LengthExplosion) {
  const auto level = [](double last, double cut) {
    return level_of("Length", log_of({{"response/tokens_mean", line(100, last)},
                                      {"stop/length", flat(cut)},
                                      {"stop/depth", flat(0)}}));
  };
  EXPECT_EQ(level(150, 0.05), good);
  EXPECT_EQ(level(400, 0.05), watch);
  EXPECT_EQ(level(100, 0.5), watch);
  EXPECT_EQ(level(400, 0.5), problem);
}

TEST(Health, MismatchGrows) {
  EXPECT_EQ(level_of("Mismatch", log_of({{"mismatch/mean", flat(1e-7)}})), good);
  EXPECT_EQ(level_of("Mismatch", log_of({{"mismatch/mean", line(1e-5, 3e-3)}})), watch);
  EXPECT_EQ(level_of("Mismatch", log_of({{"mismatch/mean", flat(0.1)}})), problem);
}

TEST(Health, SkippedUpdatesAndTimeOuts) {
  EXPECT_EQ(level_of("Skipped updates", log_of({{"update/skipped", flat(0)}})), good);
  EXPECT_EQ(level_of("Skipped updates", log_of({{"update/skipped", spike(0, 1, 20)}})), watch);
  EXPECT_EQ(level_of("Skipped updates", log_of({{"update/skipped", spike(0, 1, 95)}})), problem);
  EXPECT_EQ(level_of("Verifier time-outs", log_of({{"verify/timeouts", flat(0)}})), good);
  EXPECT_EQ(level_of("Verifier time-outs", log_of({{"verify/timeouts", spike(0, 1, 3)}})), watch);
  EXPECT_EQ(level_of("Verifier time-outs", log_of({{"verify/timeouts", flat(1)}})), problem);
}

TEST(Health, GradientSpikes) {
  EXPECT_EQ(level_of("Gradient", log_of({{"grad_norm", line(1, 3)}})), good);
  EXPECT_EQ(level_of("Gradient", log_of({{"grad_norm", spike(1, 50, 60)}})), watch);
  EXPECT_EQ(
      level_of("Gradient", log_of({{"grad_norm", [](int s) { return s % 10 ? 1.0 : 50.0; }}})),
      problem);
}

TEST(Health, ClippingAndReward) {
  EXPECT_EQ(level_of("Clipping", log_of({{"clip_ratio/low_mean", flat(0.01)}})), good);
  EXPECT_EQ(level_of("Clipping", log_of({{"clip_ratio/low_mean", flat(0.1)},
                                         {"clip_ratio/high_mean", flat(0.1)}})),
            watch);
  EXPECT_EQ(level_of("Clipping", log_of({{"clip_ratio/low_mean", flat(0.4)}})), problem);
  EXPECT_EQ(level_of("Reward", log_of({{"reward/mean", line(0.1, 0.9)}})), good);
  EXPECT_EQ(level_of("Reward", log_of({{"reward/mean", line(1, 0.7)}})), watch);
  EXPECT_EQ(level_of("Reward", log_of({{"reward/mean", line(1, 0.1)}})), problem);
}

TEST(Health, NumbersThatAreNotFiniteAreNamed) {
  const auto findings = check_health(log_of({{"loss", spike(1, std::nan(""), 40)}}));
  EXPECT_EQ(findings.back().level, problem);
  EXPECT_NE(findings.back().found.find("loss"), std::string::npos);
}

}  // namespace
}  // namespace treepo
