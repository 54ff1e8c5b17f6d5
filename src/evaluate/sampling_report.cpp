#include "evaluate/sampling_report.h"

#include <fmt/format.h>

namespace treepo {

namespace {

// Share of a whole, in percent.
double percent(double part, double whole) {
  return whole > 0 ? 100 * part / whole : 0;
}

double rows_per_step(const SamplingMeasurement& m) {
  return static_cast<double>(m.stats.rows) / static_cast<double>(m.stats.steps);
}

double unique_share(const DepthTokens& tokens) {
  return percent(static_cast<double>(tokens.unique), static_cast<double>(tokens.trajectory));
}

// What a case needs less than sequential sampling of as many trajectories: shares, negative where
// it needs more.
struct Saved {
  double seconds = 0, trajectory_tokens = 0, unique_tokens = 0;
};

Saved saved_against(const SamplingMeasurement& sequential, const SamplingMeasurement& m) {
  const auto share = [](double now, double before) { return before > 0 ? 1 - now / before : 0; };
  const auto tokens = [&](int64_t now, int64_t before) {
    return share(static_cast<double>(now) / m.rounds(),
                 static_cast<double>(before) / sequential.rounds());
  };
  return {share(m.median_seconds(), sequential.median_seconds()),
          tokens(m.stats.trajectory_tokens, sequential.stats.trajectory_tokens),
          tokens(m.stats.drawn_tokens, sequential.stats.drawn_tokens)};
}

std::string saved_columns(std::span<const SamplingMeasurement> measured,
                          const SamplingMeasurement& m) {
  if (m.what.baseline < 0) return "";
  const Saved saved = saved_against(measured[static_cast<size_t>(m.what.baseline)], m);
  return fmt::format("{:>8.0f} % {:>8.0f} % {:>8.0f} %", 100 * saved.seconds,
                     100 * saved.trajectory_tokens, 100 * saved.unique_tokens);
}

OrderedJson interval_json(const Interval& interval) {
  return {{"mean", interval.mean}, {"low", interval.low}, {"high", interval.high}};
}

}  // namespace

std::string speed_table(std::span<const SamplingMeasurement> measured,
                        const SamplingMachine& machine) {
  std::string text = fmt::format(
      "{:<32} {:>9} {:>9} {:>9} {:>9} {:>8} {:>6} {:>7} {:>7} {:>8} {:>7} {:>7} {:>7}\n", "",
      "traj/s", "unique/s", "traj.t/s", "TokenPS", "sharing", "rows", "linear", "attent.",
      "sampling", "sched.", "other", "roof");
  for (const SamplingMeasurement& m : measured) {
    const double total = m.total_seconds();
    text += fmt::format(
        "{:<32} {:>9.1f} {:>9.0f} {:>9.0f} {:>9.0f} {:>8.2f} {:>6.0f} {:>6.1f}% {:>6.1f}% "
        "{:>7.1f}% {:>6.1f}% {:>6.1f}% {:>6.1f}%\n",
        m.what.name, m.trajectories_per_second(), m.unique_tokens_per_second(),
        m.trajectory_tokens_per_second(), m.processed_tokens_per_second(), m.sharing(),
        rows_per_step(m), percent(m.profile.linear_seconds, total),
        percent(m.profile.attention_seconds, total), percent(m.profile.draw_seconds, total),
        percent(m.stats.scheduling_seconds, total), percent(m.other_seconds(), total),
        percent(m.bytes_per_second(), machine.read_bandwidth));
  }
  return text;
}

std::string ratio_lines(std::span<const SamplingMeasurement> measured) {
  std::string text;
  for (const SamplingMeasurement& tree : measured) {
    if (tree.what.baseline < 0) continue;
    const SamplingMeasurement& sequential = measured[static_cast<size_t>(tree.what.baseline)];
    const double faster = tree.trajectories_per_second() / sequential.trajectories_per_second();
    text += fmt::format("{}: {:.2f} x the trajectories/s of {}, {:.2f} of the token ratio {:.2f}\n",
                        tree.what.name, faster, sequential.what.name, faster / tree.sharing(),
                        tree.sharing());
  }
  return text;
}

std::string depth_lines(std::span<const SamplingMeasurement> measured) {
  std::string text;
  for (const SamplingMeasurement& tree : measured) {
    if (tree.what.baseline < 0 || tree.what.sweep == Sweep::lock_step) continue;
    text += fmt::format("unique share by depth, {}:", tree.what.name);
    for (size_t i = 0; i < tree.by_depth.size(); ++i)
      text += fmt::format(" {}: {:.0f} %", i + 1, unique_share(tree.by_depth[i]));
    text += "\n";
  }
  return text;
}

std::string accuracy_table(std::span<const SamplingMeasurement> measured) {
  std::string text;
  for (const SamplingMeasurement& m : measured) {
    if (!m.accuracy) continue;
    if (text.empty())
      text = fmt::format("{:<32} {:>12} {:>12} {:>9} {:>20} {:>20} {:>10} {:>10} {:>10}\n",
                         "accuracy and its price", "unique tok.", "+ prefilled", "seconds", "avg@w",
                         "maj@w", "time saved", "traj. tok.", "unique");
    const auto share = [](const Interval& i) {
      return fmt::format("{:.1f} % ({:.1f}-{:.1f})", 100 * i.mean, 100 * i.low, 100 * i.high);
    };
    text += fmt::format("{:<32} {:>12.0f} {:>12.0f} {:>9.2f} {:>20} {:>20} {}\n", m.what.name,
                        static_cast<double>(m.stats.drawn_tokens) / m.rounds(),
                        m.processed_tokens(), m.median_seconds(), share(m.accuracy->average),
                        share(m.accuracy->majority), saved_columns(measured, m));
  }
  return text;
}

OrderedJson sampling_json(std::span<const SamplingMeasurement> measured,
                          const SamplingMeasurement& m, const SamplingMachine& machine) {
  const GrowthOptions& growth = m.what.settings.growth;
  const auto rounds = static_cast<int64_t>(m.rounds());
  OrderedJson depths = OrderedJson::array();
  for (const DepthTokens& tokens : m.by_depth)
    depths.push_back({{"unique", tokens.unique},
                      {"trajectory", tokens.trajectory},
                      {"unique_share", unique_share(tokens) / 100}});
  OrderedJson json = {{"case", m.what.name},
                      {"sweep", sweep_name(m.what.sweep)},
                      {"sequential", growth.sequential},
                      {"width", growth.width},
                      {"depth", growth.depth},
                      {"segment_tokens", growth.segment_tokens},
                      {"branching_factor", growth.branching_factor},
                      {"first_split", {growth.first_split_min, growth.first_split_max}},
                      {"max_rows", m.what.settings.engine.max_rows},
                      {"seconds", m.seconds},
                      {"trajectories", m.stats.trajectories / rounds},
                      {"unique_tokens", m.stats.drawn_tokens / rounds},
                      {"trajectory_tokens", m.stats.trajectory_tokens / rounds},
                      {"prefilled_tokens", m.stats.prefilled_tokens / rounds},
                      {"trajectories_per_s", m.trajectories_per_second()},
                      {"unique_tokens_per_s", m.unique_tokens_per_second()},
                      {"trajectory_tokens_per_s", m.trajectory_tokens_per_second()},
                      {"token_ps", m.processed_tokens_per_second()},
                      {"sharing", m.sharing()},
                      {"steps", m.stats.steps / rounds},
                      {"rows_per_step", rows_per_step(m)},
                      {"linear_seconds", m.profile.linear_seconds / m.rounds()},
                      {"attention_seconds", m.profile.attention_seconds / m.rounds()},
                      {"sampling_seconds", m.profile.draw_seconds / m.rounds()},
                      {"scheduling_seconds", m.stats.scheduling_seconds / m.rounds()},
                      {"other_seconds", m.other_seconds() / m.rounds()},
                      {"weight_bytes", m.profile.weight_bytes / rounds},
                      {"key_value_bytes", m.profile.key_value_bytes / rounds},
                      {"bytes_per_s", m.bytes_per_second()},
                      {"roof_share", m.bytes_per_second() / machine.read_bandwidth},
                      {"by_depth", depths}};
  if (m.what.baseline >= 0) {
    const Saved saved = saved_against(measured[static_cast<size_t>(m.what.baseline)], m);
    json["saved"] = {{"seconds", saved.seconds},
                     {"trajectory_tokens", saved.trajectory_tokens},
                     {"unique_tokens", saved.unique_tokens}};
  }
  if (m.accuracy) {
    json["avg"] = interval_json(m.accuracy->average);
    json["maj"] = interval_json(m.accuracy->majority);
  }
  json["machine"] = {{"device", machine.device},
                     {"dtype", machine.dtype},
                     {"threads", machine.threads},
                     {"read_bytes_per_s", machine.read_bandwidth},
                     {"peak_memory_bytes", machine.peak_memory_bytes}};
  return json;
}

}  // namespace treepo
