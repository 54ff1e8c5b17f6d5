// Holds the decoder, packed and cached, against logits, loss, gradients and greedy tokens that
// Hugging Face transformers computed (oracles/hf-models, models/hf-logits).

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "base/json.h"
#include "model/decoder.h"
#include "model/oracle_check.h"
#include "model/packed_forward.h"
#include "support/assets.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"

namespace treepo {
namespace {

const std::string kAssets = TREEPO_ASSETS;

#define SKIP_WITHOUT_ASSETS() \
  if (!std::filesystem::exists(kAssets + "/oracles/hf-models")) GTEST_SKIP() << no_assets(kAssets)

double largest_error(const CheckReport& report, const std::string& prefix) {
  double most = 0;
  for (const CheckReport::Row& row : report.rows)
    if (row.name.starts_with(prefix)) most = std::max(most, row.error);
  return most;
}

void expect_passed(const CheckReport& report) {
  EXPECT_TRUE(report.passed());
  for (const CheckReport::Row& row : report.rows)
    EXPECT_TRUE(row.passed) << row.name << ": " << row.error << " > " << row.tolerance;
  testing::Test::RecordProperty("logits", std::to_string(largest_error(report, "logits")));
  std::printf("  logits %.1e, gradients %.1e, cached log-probs %.1e\n",
              largest_error(report, "logits"), largest_error(report, "grad."),
              largest_error(report, "cached"));
}

class HuggingFaceOracle : public testing::TestWithParam<const char*> {
 protected:
  std::string directory() const { return kAssets + "/oracles/hf-models/" + GetParam(); }
  CheckReport check(c10::ScalarType dtype) const {
    return check_model_oracle(directory(), directory() + "/oracle.safetensors", "cpu", dtype);
  }
};

// logits 1e-9, gradients 1e-8 of their norm, greedy tokens equal
TEST_P(HuggingFaceOracle, Float64) {
  SKIP_WITHOUT_ASSETS();
  const CheckReport report = check(at::kDouble);
  expect_passed(report);
  EXPECT_EQ(report.skipped, 0);
}

// 24 bits of mantissa and logits below 10: 1e-4 is what a few hundred roundings may add up to
TEST_P(HuggingFaceOracle, Float32) {
  SKIP_WITHOUT_ASSETS();
  expect_passed(check(at::kFloat));
}

// 8 bits of mantissa: 5 % of the largest logit, gradients 20 % of their norm
TEST_P(HuggingFaceOracle, BFloat16) {
  SKIP_WITHOUT_ASSETS();
  const CheckReport report = check(at::kBFloat16);
  expect_passed(report);
  EXPECT_EQ(report.skipped, 1);  // greedy
}

TEST_P(HuggingFaceOracle, WriterAgreesWithReader) {
  SKIP_WITHOUT_ASSETS();
  const TemporaryDirectory scratch;
  write_model_oracle(directory(), scratch / "own.safetensors", "cpu", at::kDouble);
  const CheckReport report =
      check_model_oracle(directory(), scratch / "own.safetensors", "cpu", at::kDouble);
  EXPECT_EQ(largest_error(report, "logits"), 0);
  EXPECT_EQ(largest_error(report, "grad."), 0);
  EXPECT_TRUE(report.passed());
}

INSTANTIATE_TEST_SUITE_P(Dense, HuggingFaceOracle,
                         testing::Values("qwen2", "qwen2-untied-sharded", "qwen3",
                                         "llama-gqa-llama3rope", "llama-tied-bf16", "mistral"),
                         [](const auto& parameter) {
                           std::string name = parameter.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(ModelOracle, MixtureOfExpertsIsUnsupported) {
  SKIP_WITHOUT_ASSETS();
  const std::string message = error_of(
      [] { Decoder::load(kAssets + "/oracles/hf-models/qwen3_moe", at::kCPU, at::kFloat); });
  EXPECT_NE(message.find("qwen3_moe"), std::string::npos) << message;
  EXPECT_NE(message.find("not supported"), std::string::npos) << message;
}

TEST(ModelOracle, AnotherModelsFileIsAnError) {
  SKIP_WITHOUT_ASSETS();
  const std::string models = kAssets + "/oracles/hf-models/";
  const std::string message = error_of([&] {
    check_model_oracle(models + "mistral", models + "qwen2/oracle.safetensors", "cpu", at::kDouble);
  });
  EXPECT_NE(message.find("oracle.safetensors"), std::string::npos) << message;
}

// Logits of stock transformers in float32, rows of full length.
TEST(ModelOracle, HuggingFaceLogitsInFloat32) {
  SKIP_WITHOUT_ASSETS();
  for (const char* name : {"tiny_llama", "tiny_qwen3"}) {
    const std::string directory = kAssets + "/models/hf-logits/" + name;
    const Json cases = read_json_file(directory + "/golden.json").at("cases");
    const Decoder decoder = Decoder::load(directory, at::kCPU, at::kFloat);
    const at::NoGradGuard no_gradients;
    for (const auto& [case_name, golden] : cases.items()) {
      PackedSequence packed;
      for (const Json& row : golden.at("input_ids")) {
        const int32_t end = packed.size() + static_cast<int32_t>(row.size());
        for (size_t i = 0; i < row.size(); ++i) {
          packed.tokens.push_back(row[i].get<int32_t>());
          packed.positions.push_back(static_cast<int32_t>(i));
          packed.subtree_end.push_back(end);
        }
      }
      const at::Tensor logits = packed_hidden(decoder, packed).mm(decoder.head_weight().t());
      const auto expected = golden.at("logits").get<std::vector<float>>();
      ASSERT_EQ(logits.numel(), static_cast<int64_t>(expected.size()));
      const at::Tensor wanted = at::tensor(at::ArrayRef<float>(expected)).view(logits.sizes());
      EXPECT_LT((logits - wanted).abs().max().item<double>(), 1e-4) << name << " " << case_name;
    }
  }
}

}  // namespace
}  // namespace treepo
