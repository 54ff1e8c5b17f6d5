#include "learn/policy_gradient_check.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "support/assets.h"

namespace treepo {
namespace {

const std::string kOracles = TREEPO_ASSETS "/oracles/treepo/policy-gradient";
const c10::Device kCpu(c10::kCPU);

class PolicyGradientOracle : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(kOracles)) GTEST_SKIP() << no_assets();
  }
  std::string directory() const { return kOracles + "/" + GetParam(); }
};

TEST_P(PolicyGradientOracle, PassesInFloat64) {
  const CheckReport report = check_policy_gradient(directory(), kCpu, at::kDouble);
  int losses = 0, leaves = 0;
  double worst = 0;
  for (const auto& row : report.rows) {
    EXPECT_LE(row.error, 1e-9) << row.name;
    losses += row.name == "loss" || row.name == "kl.loss" || row.name == "gspo.loss";
    leaves += row.name.starts_with("leaf.");
    worst = std::max(worst, row.error);
  }
  EXPECT_TRUE(report.passed());
  const std::string name = GetParam();
  const bool with_kl = name == "mid-segment-fallback" || name == "two-prompts";
  const bool with_gspo = name == "irregular" || name == "two-prompts";
  EXPECT_EQ(losses, 1 + with_kl + with_gspo);
  EXPECT_GE(leaves, 4);
  EXPECT_GT(report.rows.size(), 30u);
  EXPECT_EQ(report.skipped, 0);
  std::cout << "  " << report.rows.size() << " rows, largest error " << worst << "\n";
}

TEST_P(PolicyGradientOracle, PassesInFloat32) {
  for (const auto& row : check_policy_gradient(directory(), kCpu, at::kFloat).rows)
    EXPECT_TRUE(row.passed) << row.name << " " << row.error;
}

TEST_P(PolicyGradientOracle, PassesInBfloat16) {
  for (const auto& row : check_policy_gradient(directory(), kCpu, at::kBFloat16).rows)
    EXPECT_TRUE(row.passed) << row.name << " " << row.error;
}

INSTANTIATE_TEST_SUITE_P(Cases, PolicyGradientOracle,
                         ::testing::Values("binary", "irregular", "leaf-at-inner-node",
                                           "mid-segment-fallback", "shared-node-siblings-only",
                                           "two-prompts"));

// A case with one advantage of the other sign must not pass.
TEST(PolicyGradientCheck, NoticesAWrongAdvantage) {
  namespace fs = std::filesystem;
  if (!fs::exists(kOracles)) GTEST_SKIP() << no_assets();
  const fs::path copy = fs::path(::testing::TempDir()) / "treepo_wrong_advantage";
  fs::remove_all(copy);
  fs::create_directories(copy);
  for (const auto& entry : fs::directory_iterator(kOracles + "/binary"))
    fs::copy_file(entry.path(), copy / entry.path().filename());
  fs::permissions(copy / "case.json", fs::perms::owner_write, fs::perm_options::add);
  auto json = nlohmann::json::parse(std::ifstream(copy / "case.json"));
  auto& advantage = json["trees"][0]["leaves"][0]["advantage"];
  advantage = -advantage.get<double>();
  std::ofstream(copy / "case.json") << json;

  const CheckReport report = check_policy_gradient(copy.string(), kCpu, at::kDouble);
  EXPECT_FALSE(report.passed());
  for (const auto& row : report.rows) {
    if (row.name.starts_with("stats.")) continue;
    EXPECT_EQ(row.passed, row.name.starts_with("leaf.")) << row.name;
  }
  EXPECT_THROW(check_policy_gradient(copy.string() + "/absent", kCpu, at::kDouble), Error);
}

}  // namespace
}  // namespace treepo
