#include "base/event_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "base/crc32c.h"
#include "base/metric_names.h"
#include "base/protobuf.h"
#include "support/temporary_directory.h"

// What TensorBoard makes of such a file: tests/tensorboard_read.py.

namespace treepo {
namespace {

// RFC 3720, appendix B.4.
TEST(Crc32c, TheStandardsExamples) {
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8A9136AAu);
  EXPECT_EQ(crc32c(std::string(32, '\xFF')), 0x62A8AB43u);
  std::string rising;
  for (int i = 0; i < 32; ++i) rising += static_cast<char>(i);
  EXPECT_EQ(crc32c(rising), 0x46DD794Eu);
  EXPECT_EQ(crc32c("123456789"), 0xE3069283u);
  EXPECT_EQ(crc32c(""), 0u);
}

// https://protobuf.dev/programming-guides/encoding: field 1 = 150, field 2 = "testing".
TEST(Protobuf, TheGuidesExamples) {
  ProtobufWriter number, text, floats;
  number.add_varint(1, 150);
  EXPECT_EQ(number.bytes(), "\x08\x96\x01");
  text.add_bytes(2, "testing");
  EXPECT_EQ(text.bytes(), "\x12\x07testing");
  floats.add_float(2, 1.0F);
  EXPECT_EQ(floats.bytes(), std::string("\x15\x00\x00\x80\x3F", 5));
}

class EventFileTest : public testing::Test {
 protected:
  void write_steps(int64_t first, int64_t last, int64_t keep_until) const {
    EventFile file(folder_ / "events", keep_until);
    for (int64_t step = first; step <= last; ++step) {
      Metrics metrics;
      metrics.set("reward/mean", 0.5 * static_cast<double>(step));
      file.write(step, metrics);
    }
  }
  std::string path() const { return folder_ / "events/" + std::string(EventFile::kName); }
  // How often each step occurs: its records' bytes are alike but for wall time and checksums.
  size_t records() const {
    const std::string bytes = read_file(path());
    size_t count = 0;
    for (size_t at = 0; at < bytes.size(); ++count)
      at += 16 + static_cast<unsigned char>(bytes[at]) +
            256 * static_cast<size_t>(static_cast<unsigned char>(bytes[at + 1]));
    return count;
  }

  TemporaryDirectory folder_;
};

TEST_F(EventFileTest, AResumedRunLeavesNoStepTwice) {
  write_steps(1, 10, -1);
  EXPECT_EQ(records(), 11u);  // with the version
  write_steps(7, 12, 6);
  EXPECT_EQ(records(), 13u);
  write_steps(1, 2, -1);  // begins anew
  EXPECT_EQ(records(), 3u);
}

TEST_F(EventFileTest, ARecordThatAKillHasCutIsTakenOut) {
  write_steps(1, 5, -1);
  const std::string whole = read_file(path());
  for (const size_t cut : {1, 5, 30}) {
    write_file_atomically(path(), whole.substr(0, whole.size() - cut));
    write_steps(6, 6, 5);
    EXPECT_EQ(records(), 6u) << cut << " bytes are missing";
  }
  std::string damaged = whole;
  damaged[damaged.size() - 6] ^= 1;
  write_file_atomically(path(), damaged);
  write_steps(6, 6, 5);
  EXPECT_EQ(records(), 6u) << "a wrong byte";
}

TEST_F(EventFileTest, StepsBeyondOneByte) {
  write_steps(120, 300, -1);
  write_steps(200, 200, 199);
  EXPECT_EQ(records(), 1u + 80 + 1);
}

TEST_F(EventFileTest, HistogramsOfNothingAreNotWritten) {
  EventFile file(folder_ / "events", -1);
  file.write_histogram(1, "h", {});
  file.write_histogram(1, "h", std::vector{std::numeric_limits<double>::quiet_NaN()});
  EXPECT_EQ(records(), 1u);
  file.write_histogram(1, "h", std::vector{2.0, 2.0});
  EXPECT_EQ(records(), 2u);
}

TEST(MetricNames, TheCommonOnesAndOurOwn) {
  EXPECT_EQ(common_metric_name("reward/mean"), "critic/rewards/mean");
  EXPECT_EQ(common_metric_name("sampling/unique_share"), "sampling/unique_share");
}

}  // namespace
}  // namespace treepo
