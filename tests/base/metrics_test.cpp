#include "base/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "support/expect_error.h"
#include "support/faulty_file_system.h"
#include "support/temporary_directory.h"

namespace treepo {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class MetricsTest : public testing::Test {
 protected:
  TemporaryDirectory directory_;
  const std::string path_ = directory_ / "metrics.jsonl";

  void write_steps(int64_t first, int64_t last) {
    JsonLinesMetrics sink(path_);
    for (int64_t step = first; step <= last; ++step) {
      Metrics metrics;
      metrics.set("x", step * 0.1);
      sink.write(step, metrics);
    }
  }
};

TEST_F(MetricsTest, OneObjectForEachStepInTheGivenOrder) {
  JsonLinesMetrics sink(path_);
  Metrics metrics;
  metrics.set("reward/mean", 0.1);
  metrics.set("count", size_t{7});
  metrics.set("a", 0.5f);
  metrics.set("reward/mean", 0.25);  // keeps its place
  metrics.set("nan", std::nan(""));
  metrics.set("up", std::numeric_limits<double>::infinity());
  metrics.set("down", -std::numeric_limits<double>::infinity());
  sink.write(3, metrics);
  EXPECT_EQ(read_file(path_),
            "{\"step\":3,\"reward/mean\":0.25,\"count\":7,\"a\":0.5,\"nan\":\"NaN\","
            "\"up\":\"Infinity\",\"down\":\"-Infinity\"}\n");
}

TEST_F(MetricsTest, NumbersReadBackBitByBit) {
  JsonLinesMetrics sink(path_);
  Metrics metrics;
  metrics.set("third", 1.0 / 3);
  metrics.set("tiny", 5e-324);
  metrics.set("big", std::numeric_limits<int64_t>::max());
  sink.write(1, metrics);
  const Json line = read_json_file(path_);
  EXPECT_EQ(line["third"].get<double>(), 1.0 / 3);
  EXPECT_EQ(line["tiny"].get<double>(), 5e-324);
  EXPECT_EQ(line["big"].get<int64_t>(), std::numeric_limits<int64_t>::max());
}

TEST_F(MetricsTest, CutToTheSizeOfACheckpointAndContinue) {
  write_steps(1, 2);
  const uint64_t size = file_system().file_size(path_);
  write_steps(3, 4);
  {
    JsonLinesFile file(path_);
    file.cut_to_size(size);
    EXPECT_EQ(file.size(), size);
  }
  const std::string cut = read_file(path_);
  write_steps(3, 4);
  const std::string continued = read_file(path_);
  file_system().remove(path_);
  write_steps(1, 4);
  EXPECT_EQ(continued, read_file(path_));
  EXPECT_EQ(continued.substr(0, size), cut);
}

TEST_F(MetricsTest, AHalfWrittenLastLineIsCutOff) {
  write_steps(1, 2);
  const std::string whole = read_file(path_);
  for (const std::string& half : {std::string("{\"step\":3,\"x\":0."), std::string("{"),
                                  std::string(200000, 'x')}) {  // longer than any buffer
    AppendFile(path_).append(half);
    JsonLinesFile file(path_);
    EXPECT_EQ(file.size(), whole.size());
    EXPECT_EQ(read_file(path_), whole);
  }
  const std::string only_half = directory_ / "other";
  write_file_atomically(only_half, "{\"st");
  EXPECT_EQ(JsonLinesFile(only_half).size(), 0u);
}

TEST_F(MetricsTest, AShortenedFileIsNoticed) {
  write_steps(1, 2);
  JsonLinesFile file(path_);
  EXPECT_THAT(
      error_of([&] { file.cut_to_size(1000); }),
      AllOf(HasSubstr(path_), HasSubstr("when it had 1000"), HasSubstr("move this one away")));
  // Moved away: a new one is started.
  EXPECT_NO_THROW(JsonLinesFile(directory_ / "new").cut_to_size(1000));
  // Not moved away, though nothing whole is left of it.
  write_file_atomically(path_, "{\"st");
  EXPECT_THAT(error_of([&] { JsonLinesFile(path_).cut_to_size(1000); }), HasSubstr(path_));
}

TEST_F(MetricsTest, AKillAtAnyCallLeavesWholeLines) {
  for (int64_t call = 1; call <= 4; ++call) {
    file_system().remove(path_);
    FaultyFileSystem faulty;
    faulty.kill_at(call);
    try {
      ScopedFileSystem scope(faulty);
      write_steps(1, 3);
    } catch (const SimulatedKill&) {
    }
    ASSERT_TRUE(faulty.is_killed());
    JsonLinesFile file(path_);  // what resuming does
    JsonLineReader reader(path_);
    Json line;
    int64_t steps = 0;
    while (reader.next(line)) EXPECT_EQ(line["step"], ++steps);
    EXPECT_EQ(steps, std::max<int64_t>(0, call - 2));
  }
}

}  // namespace
}  // namespace treepo
