#include "report/metric_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "report/curves_json.h"
#include "report/small_log.h"

namespace treepo {
namespace {

using testing::ElementsAre;

MetricLog log_of(const std::string& text) {
  const SmallRun run;
  run.write("metrics.jsonl", text);
  return read_metric_log(run / "metrics.jsonl");
}

TEST(MetricLog, ColumnsWithTheirAxes) {
  const MetricLog log = log_of(
      R"({"step":0,"warm_start/loss":2,"time/warm_start":3}
{"step":0,"warm_start/loss":1,"time/warm_start":5}
{"step":0,"eval/score":0.5,"time/evaluate":1}
{"step":1,"loss":0.25,"time/step":2,"sampling/unique_tokens":100}
{"step":2,"loss":"NaN","time/step":2,"sampling/unique_tokens":50}
)");
  ASSERT_EQ(log.lines.size(), 5u);
  EXPECT_EQ(log.lines[1].seconds, 5);  // the warm start's clock runs through
  EXPECT_EQ(log.lines[4].seconds, 10);
  EXPECT_EQ(log.lines[4].tokens, 150);
  EXPECT_THAT(log.values("warm_start/loss"), ElementsAre(2, 1));
  EXPECT_TRUE(std::isnan(log.values("loss")[1]));
  EXPECT_TRUE(log.values("nothing").empty());
}

TEST(MetricLog, ALineThatIsStillWrittenIsNoDamage) {
  EXPECT_EQ(log_of("{\"step\":1,\"a\":1}\n{\"step\":2,\"a\"").unreadable_lines, 0);
  EXPECT_EQ(log_of("{\"step\":1,\"a\":1}\n{\"step\":2,\"a\"").lines.size(), 1u);
  // Whole, but for its newline.
  EXPECT_EQ(log_of("{\"step\":1,\"a\":1}\n{\"step\":2,\"a\":3}").lines.size(), 2u);
  const MetricLog damaged =
      log_of("{\"step\":1,\"a\":1}\n{\"step\":2,\"a\"\n\n[3]\n{\"step\":3,\"a\":2}\n");
  EXPECT_EQ(damaged.unreadable_lines, 2);
  EXPECT_THAT(damaged.values("a"), ElementsAre(1, 2));
  EXPECT_TRUE(log_of("").lines.empty());
}

TEST(CurvesJson, MetricsOfTheSameLinesShareATable) {
  const OrderedJson tables = curves_json(log_of(R"({"step":1,"a":1.23456789,"b":2}
{"step":2,"a":3,"b":"Infinity"}
{"step":2,"c":5}
)"),
                                         100);
  ASSERT_EQ(tables.size(), 2u);
  EXPECT_EQ(tables[0]["columns"]["a"].dump(), "[1.23457,3]");
  EXPECT_EQ(tables[0]["columns"]["b"].dump(), "[2,null]");
  EXPECT_EQ(tables[0]["step"].dump(), "[1,2]");
  EXPECT_EQ(tables[1]["columns"].dump(), R"({"c":[5]})");
  EXPECT_FALSE(tables[0].contains("thinned"));
}

// A spike between two points stays to be seen.
TEST(CurvesJson, ThinnedPointsAreMeansWithTheirRange) {
  std::string text;
  for (int step = 1; step <= 10; ++step)
    text += "{\"step\":" + std::to_string(step) + ",\"a\":" + (step == 5 ? "104" : "4") + "}\n";
  const OrderedJson table = curves_json(log_of(text), 8)[0];
  EXPECT_EQ(table["thinned"], 3);
  EXPECT_EQ(table["step"].dump(), "[3,6,9,10]");
  EXPECT_EQ(table["columns"]["a"].dump(), "[4,37.3333,4,4]");
  EXPECT_EQ(table["low"]["a"].dump(), "[4,4,4,4]");
  EXPECT_EQ(table["high"]["a"].dump(), "[4,104,4,4]");
}

}  // namespace
}  // namespace treepo
