#include "learn/advantage_check.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "support/assets.h"

namespace treepo {
namespace {

std::string write_oracle(const std::string& text) {
  const std::string file = ::testing::TempDir() + "treepo_advantage_check.json";
  std::ofstream(file) << text;
  return file;
}

TEST(AdvantageCheck, PassesOnTheOracle) {
  const std::string file = TREEPO_ASSETS "/oracles/treepo/advantages.json";
  if (!std::filesystem::exists(file)) GTEST_SKIP() << no_assets();
  const CheckReport report = check_advantages(file);
  EXPECT_EQ(report.rows.size(), 9u);
  EXPECT_EQ(report.skipped, 0);
  EXPECT_TRUE(report.passed());
  for (const auto& row : report.rows) EXPECT_LE(row.error, row.tolerance) << row.name;
}

TEST(AdvantageCheck, WrongValueFailsAndUnknownFieldIsSkipped) {
  const CheckReport report = check_advantages(write_oracle(R"({"cases": [{"name": "one",
      "leaves": [{"path": [0, 1], "reward": 1, "num_tokens": 1},
                 {"path": [0, 2], "reward": 0, "num_tokens": 1}],
      "expected": {"mean": [0.5, -0.5], "grpo": [0.5, -0.6], "median": [0, 0]}}]})"));
  ASSERT_EQ(report.rows.size(), 2u);
  EXPECT_FALSE(report.rows[0].passed);  // grpo
  EXPECT_NEAR(report.rows[0].error, 0.1, 1e-12);
  EXPECT_TRUE(report.rows[1].passed);
  EXPECT_EQ(report.skipped, 1);
  EXPECT_FALSE(report.passed());
}

TEST(AdvantageCheck, FileOfAnotherFormIsAnError) {
  EXPECT_THROW(check_advantages(write_oracle(R"({"cases": 3})")), Error);
  EXPECT_THROW(check_advantages(write_oracle("nonsense")), Error);
  EXPECT_FALSE(check_advantages(write_oracle(R"({"cases": []})")).passed());
}

}  // namespace
}  // namespace treepo
