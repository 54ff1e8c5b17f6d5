#include "report/line_chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "base/error.h"

namespace treepo {

namespace {

// All lengths in pixels. The frame of a chart lies inside its margins; the legend right of it.
constexpr double kWidth = 760, kHeight = 340;
constexpr double kLeft = 80, kRight = 220, kTop = 40, kBottom = 56;
constexpr std::array kColours = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                 "#e69f00", "#56b4e9", "#000000", "#999999"};

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '&')
      out += "&amp;";
    else if (c == '"')
      out += "&quot;";
    else
      out += c;
  }
  return out;
}

// Values shown along one side of the frame.
struct Axis {
  double low = 0, high = 1;
  std::vector<double> ticks;

  double share(double value) const { return (value - low) / (high - low); }
};

// Round numbers: multiples of 1, 2 or 5 times a power of ten, some five of them.
Axis linear_axis(double low, double high) {
  if (high <= low) high = low + (low == 0 ? 1 : std::abs(low));
  const double rough = (high - low) / 5;
  const double power = std::pow(10, std::floor(std::log10(rough)));
  const double ratio = rough / power;
  const double step = power * (ratio <= 1 ? 1 : ratio <= 2 ? 2 : ratio <= 5 ? 5 : 10);
  const double first = std::floor(low / step), last = std::ceil(high / step);
  Axis axis{.low = first * step, .high = last * step, .ticks = {}};
  for (double tick = first; tick <= last; ++tick) axis.ticks.push_back(tick * step + 0.0);
  return axis;
}

// In powers of two, a tick at each.
Axis log2_axis(double low, double high) {
  Axis axis{
      .low = std::floor(low), .high = std::max(std::ceil(high), std::floor(low) + 1), .ticks = {}};
  for (double tick = axis.low; tick <= axis.high; ++tick) axis.ticks.push_back(tick);
  return axis;
}

class Chart {
 public:
  explicit Chart(const LineChart& chart) : chart_(chart) {
    double low_x = std::numeric_limits<double>::infinity(), high_x = -low_x;
    double low_y = 0, high_y = -low_x;
    for (const ChartSeries& series : chart.series) {
      TREEPO_CHECK(series.x.size() == series.y.size(), "series \"{}\": {} x, {} y", series.name,
                   series.x.size(), series.y.size());
      TREEPO_CHECK(series.low.size() == series.high.size() &&
                       (series.low.empty() || series.low.size() == series.y.size()),
                   "series \"{}\": a band of {} and {} for {} points", series.name,
                   series.low.size(), series.high.size(), series.y.size());
      for (size_t i = 0; i < series.x.size(); ++i) {
        if (!is_shown(series, i)) continue;
        empty_ = false;
        low_x = std::min(low_x, scaled(series.x[i]));
        high_x = std::max(high_x, scaled(series.x[i]));
        low_y = std::min(low_y, series.low.empty() ? series.y[i] : series.low[i]);
        high_y = std::max(high_y, series.high.empty() ? series.y[i] : series.high[i]);
      }
    }
    if (empty_) return;
    x_ = chart.log2_x ? log2_axis(low_x, high_x) : linear_axis(low_x, high_x);
    y_ = linear_axis(low_y, std::max(high_y, low_y));
  }

  bool empty() const { return empty_; }

  std::string svg(double top) const {
    std::string out = fmt::format("<g transform=\"translate(0 {})\">\n", top);
    out += text(kLeft, 22, "start", chart_.title, "font-weight=\"bold\"");
    out += frame();
    for (size_t i = 0; i < chart_.series.size(); ++i) out += series(i);
    return out + "</g>\n";
  }

 private:
  double scaled(double x) const { return chart_.log2_x ? std::log2(x) : x; }
  bool is_shown(const ChartSeries& series, size_t i) const {
    return std::isfinite(scaled(series.x[i])) && std::isfinite(series.y[i]);
  }
  double at_x(double value) const { return kLeft + (kWidth - kLeft - kRight) * x_.share(value); }
  double at_y(double value) const {
    return kHeight - kBottom - (kHeight - kTop - kBottom) * y_.share(value);
  }

  static std::string text(double x, double y, const char* anchor, const std::string& words,
                          const std::string& more = "") {
    return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\"{}{}>{}</text>\n", x, y,
                       anchor, more.empty() ? "" : " ", more, escaped(words));
  }

  std::string frame() const {
    const double right = kWidth - kRight, bottom = kHeight - kBottom;
    std::string out;
    for (const double tick : y_.ticks) {
      out += fmt::format("<path class=\"grid\" d=\"M{:.1f} {:.1f}H{:.1f}\"/>\n", kLeft, at_y(tick),
                         right);
      out += text(kLeft - 8, at_y(tick) + 4, "end", fmt::format("{:.6g}", tick));
    }
    for (const double tick : x_.ticks) {
      out += fmt::format("<path class=\"grid\" d=\"M{:.1f} {:.1f}V{:.1f}\"/>\n", at_x(tick), kTop,
                         bottom);
      const double shown = chart_.log2_x ? std::exp2(tick) : tick;
      out += text(at_x(tick), bottom + 18, "middle", fmt::format("{:.6g}", shown));
    }
    out += text((kLeft + right) / 2, bottom + 40, "middle", chart_.x_label);
    const double middle = (kTop + bottom) / 2;
    return out + text(18, middle, "middle", chart_.y_label,
                      fmt::format("transform=\"rotate(-90 18 {:.1f})\"", middle));
  }

  std::string band(const ChartSeries& series, const char* colour) const {
    if (series.low.empty()) return "";
    std::string there, back;
    for (size_t i = 0; i < series.x.size(); ++i) {
      if (!is_shown(series, i)) continue;
      const double x = at_x(scaled(series.x[i]));
      there += fmt::format("{:.1f},{:.1f} ", x, at_y(series.high[i]));
      back = fmt::format("{:.1f},{:.1f} ", x, at_y(series.low[i])) + back;
    }
    return fmt::format("<polygon fill=\"{}\" fill-opacity=\"0.15\" points=\"{}\"/>\n", colour,
                       there + back);
  }

  std::string series(size_t index) const {
    const ChartSeries& series = chart_.series[index];
    const char* colour = kColours[index % kColours.size()];
    std::string points, markers;
    for (size_t i = 0; i < series.x.size(); ++i) {
      if (!is_shown(series, i)) continue;
      const double x = at_x(scaled(series.x[i])), y = at_y(series.y[i]);
      points += fmt::format("{}{:.1f},{:.1f}", points.empty() ? "" : " ", x, y);
      markers += fmt::format(
          "<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3.5\" fill=\"{}\"><title>{}: {:.6g}, {:.6g}"
          "</title></circle>\n",
          x, y, colour, escaped(series.name), series.x[i], series.y[i]);
    }
    const double legend_x = kWidth - kRight + 16;
    const double legend_y = kTop + 8 + 20 * static_cast<double>(index);
    return band(series, colour) +
           fmt::format("<polyline fill=\"none\" stroke=\"{}\" stroke-width=\"2\" points=\"{}\"/>\n",
                       colour, points) +
           markers +
           fmt::format("<path stroke=\"{}\" stroke-width=\"2\" d=\"M{:.1f} {:.1f}h20\"/>\n", colour,
                       legend_x, legend_y) +
           text(legend_x + 26, legend_y + 4, "start", series.name);
  }

  const LineChart& chart_;
  Axis x_, y_;
  bool empty_ = true;
};

}  // namespace

std::string charts_svg(std::span<const LineChart> charts) {
  std::string body;
  double top = 0;
  for (const LineChart& one : charts) {
    const Chart chart(one);
    if (chart.empty()) continue;
    body += chart.svg(top);
    top += kHeight;
  }
  return fmt::format(
             "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 "
             "{0} {1}\" font-family=\"sans-serif\" font-size=\"12\">\n"
             "<style>.grid{{stroke:#ddd}}</style>\n"
             "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n",
             kWidth, top) +
         body + "</svg>\n";
}

}  // namespace treepo
