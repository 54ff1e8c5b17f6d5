#include "report/line_chart.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

namespace treepo {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

size_t count(const std::string& text, const std::string& word) {
  size_t found = 0;
  for (size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) ++found;
  return found;
}

std::string svg_of(const LineChart& chart) {
  return charts_svg(std::vector<LineChart>{chart});
}

TEST(LineChart, DrawsALineAMarkerForEachPointAndALegend) {
  const std::string svg = svg_of({.title = "Speed",
                                  .x_label = "width",
                                  .y_label = "trajectories/s",
                                  .series = {{.name = "trees", .x = {0, 5, 10}, .y = {0, 50, 100}},
                                             {.name = "sequential", .x = {0, 10}, .y = {20, 40}}}});
  EXPECT_THAT(svg, AllOf(StartsWith("<svg xmlns="), HasSubstr(">Speed</text>"),
                         HasSubstr(">width</text>"), HasSubstr(">trajectories/s</text>"),
                         HasSubstr(">trees</text>"), HasSubstr(">sequential</text>")));
  EXPECT_EQ(count(svg, "<polyline"), 2u);
  EXPECT_EQ(count(svg, "<circle"), 5u);
  // The frame: x from 80 to 540, y from 284 (0) to 40 (100).
  EXPECT_THAT(svg, HasSubstr("points=\"80.0,284.0 310.0,162.0 540.0,40.0\""));
}

TEST(LineChart, TicksAreRoundNumbersThatIncludeTheData) {
  const std::string svg = svg_of({.title = "",
                                  .x_label = "",
                                  .y_label = "",
                                  .series = {{.name = "a", .x = {1, 9}, .y = {-0.3, 0.7}}}});
  for (const char* tick : {">-0.4</text>", ">0</text>", ">0.2</text>", ">0.8</text>", ">10</text>"})
    EXPECT_THAT(svg, HasSubstr(tick));
  EXPECT_THAT(svg, Not(HasSubstr("e-1")));
}

TEST(LineChart, DoublingAxisPutsPowersOfTwoAtEqualSteps) {
  const std::string svg = svg_of({.title = "",
                                  .x_label = "",
                                  .y_label = "",
                                  .series = {{.name = "a", .x = {4, 8, 16}, .y = {1, 1, 1}}},
                                  .log2_x = true});
  EXPECT_THAT(svg, HasSubstr("points=\"80.0,40.0 310.0,40.0 540.0,40.0\""));
  for (const char* tick : {">4</text>", ">8</text>", ">16</text>"})
    EXPECT_THAT(svg, HasSubstr(tick));
}

TEST(LineChart, LeavesOutWhatIsNotFiniteAndEscapesNames) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::string svg = svg_of({.title = "a < b & \"c\"",
                                  .x_label = "",
                                  .y_label = "",
                                  .series = {{.name = "one", .x = {1, 2, 3}, .y = {1, nan, 3}},
                                             {.name = "none", .x = {}, .y = {}}}});
  EXPECT_EQ(count(svg, "<circle"), 2u);
  EXPECT_THAT(svg, AllOf(Not(HasSubstr("nan")), HasSubstr("a &lt; b &amp; &quot;c&quot;")));
}

TEST(LineChart, ChartsLieBelowOneAnotherAndEmptyOnesAreLeftOut) {
  const LineChart one = {
      .title = "one", .x_label = "", .y_label = "", .series = {{.name = "a", .x = {1}, .y = {2}}}};
  LineChart empty = one;
  empty.title = "empty";
  empty.series[0] = {.name = "a", .x = {}, .y = {}};
  const std::string svg = charts_svg(std::vector<LineChart>{one, empty, one});
  EXPECT_EQ(count(svg, ">one</text>"), 2u);
  EXPECT_THAT(svg, AllOf(Not(HasSubstr(">empty<")), HasSubstr("height=\"680\""),
                         HasSubstr("translate(0 340)")));
}

}  // namespace
}  // namespace treepo
