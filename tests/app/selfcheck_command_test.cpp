#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <limits>

#include "app/command_line.h"
#include "app/tiny_run.h"
#include "base/json.h"
#include "support/assets.h"

namespace treepo {
namespace {

using testing::AllOf;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

const std::string kOracles = TREEPO_ASSETS "/oracles";

// Writes `value` over the first number of a float64 tensor of a safetensors file.
void damage(const std::string& path, const std::string& tensor, double value) {
  std::string bytes = read_text(path);
  uint64_t header = 0;
  std::memcpy(&header, bytes.data(), sizeof(header));
  const Json entry = Json::parse(bytes.substr(8, header))[tensor];
  ASSERT_EQ(entry["dtype"], "F64");
  const size_t at = 8 + header + entry["data_offsets"][0].get<size_t>();
  std::memcpy(bytes.data() + at, &value, sizeof(value));
  std::filesystem::permissions(path, std::filesystem::perms::owner_write,
                               std::filesystem::perm_options::add);
  write_text(path, bytes);
}

TEST(SelfcheckCommand, PassesWhatItWroteItself) {
  const TinyModelDirectory model;
  const std::string file = model / "oracle.safetensors";
  const ProgramResult written =
      run_program({"selfcheck", "--model", model.path(), "--write", file});
  EXPECT_EQ(written.code, kExitSuccess) << written.err;
  EXPECT_EQ(written.out, file + " written\n");
  const Words check = {"selfcheck", "--model", model.path(), "--oracle", file, "--dtype"};
  for (const ProgramResult& checked : run_programs(
           {check + Words{"float64"}, check + Words{"float32"}, check + Words{"bfloat16"}})) {
    EXPECT_EQ(checked.code, kExitSuccess) << checked.out << checked.err;
    EXPECT_THAT(checked.out, AllOf(HasSubstr(" compared, "), HasSubstr(": passed\n")));
  }
}

TEST(SelfcheckCommand, ExitsWithThreeWhereANumberIsOff) {
  const TinyModelDirectory model;
  const std::string file = model / "oracle.safetensors";
  const Words check = {"selfcheck", "--model", model.path(), "--oracle", file};
  ASSERT_EQ(run_program({"selfcheck", "--model", model.path(), "--write", file}).code, 0);
  const std::string whole = read_text(file);
  const std::vector<std::pair<std::string, double>> cases = {
      {"logits", 100},
      {"logits", std::numeric_limits<double>::quiet_NaN()},
      {"loss", std::numeric_limits<double>::infinity()},
      {"grad.model.norm.weight", 100},
  };
  for (const auto& [tensor, value] : cases) {
    write_text(file, whole);
    damage(file, tensor, value);
    const ProgramResult result = run_program(check);
    EXPECT_EQ(result.code, kExitCheckFailed) << tensor;
    EXPECT_THAT(result.out, AllOf(ContainsRegex(tensor + " [^\n]*  FAILED\n"),
                                  HasSubstr(": FAILED\n"), Not(HasSubstr("passed"))));
    EXPECT_EQ(lines_of(result.out).size() - 3, 15u);  // the rest is compared all the same
  }
}

TEST(SelfcheckCommand, HoldsPublishedOracles) {
  if (!std::filesystem::exists(kOracles)) GTEST_SKIP() << no_assets(kOracles);
  const std::string model = kOracles + "/hf-models/qwen3";
  const Words check = {"selfcheck", "--model", model, "--oracle"};
  const ProgramResult good = run_program(check + Words{model + "/oracle.safetensors"});
  EXPECT_EQ(good.code, kExitSuccess) << good.out << good.err;
  EXPECT_THAT(good.out, HasSubstr("28 compared, 0 skipped: passed"));

  // Both implementations side by side on the way.
  const ProgramResult checked = run_program(
      check + Words{model + "/oracle.safetensors", "--device", "checked", "--dtype", "float32"});
  EXPECT_EQ(checked.code, kExitSuccess) << checked.out << checked.err;

  const TemporaryDirectory folder;
  const std::string copy = folder / "oracle.safetensors";
  std::filesystem::copy(model + "/oracle.safetensors", copy);
  damage(copy, "grad.model.layers.1.mlp.up_proj.weight", 1.0);
  const ProgramResult bad = run_program(check + Words{copy});
  EXPECT_EQ(bad.code, kExitCheckFailed);
  EXPECT_THAT(bad.out, ContainsRegex("layers.1.mlp.up_proj.weight [^\n]*FAILED"));

  const ProgramResult other =
      run_program(check + Words{kOracles + "/hf-models/mistral/oracle.safetensors"});
  EXPECT_EQ(other.code, kExitError);
  EXPECT_THAT(other.err, HasSubstr("belongs to another model"));
}

TEST(SelfcheckCommand, HoldsPublishedUpdatesAndAdvantages) {
  if (!std::filesystem::exists(kOracles)) GTEST_SKIP() << no_assets(kOracles);
  const ProgramResult result =
      run_program({"selfcheck", "--policy-gradient", kOracles + "/treepo/policy-gradient/binary",
                   "--advantages", kOracles + "/treepo/advantages.json"});
  EXPECT_EQ(result.code, kExitSuccess) << result.out << result.err;
  size_t passed = 0;
  for (const std::string& line : lines_of(result.out)) passed += line.ends_with(": passed");
  EXPECT_EQ(passed, 2u);
}

TEST(SelfcheckCommand, NamesWhatItCannotReadOrWrite) {
  const TinyModelDirectory model;
  const std::vector<std::pair<Words, std::string>> cases = {
      {{"--oracle", "/no/such/file"}, "/no/such/file"},
      {{"--write", "/dev/full"}, "No space left on device"},
      {{"--write", "/no/such/folder/file"}, "/no/such/folder/file"},
      {{"--oracle", model / "model.safetensors"}, "input_ids"},
      {{"--write", "/dev/null", "--dtype", "int8"}, "int8"},
      {{"--write", "/dev/null", "--device", "abacus"}, "abacus"},
  };
  std::vector<Words> commands;
  for (const auto& [arguments, message] : cases) {
    commands.push_back(Words{"selfcheck", "--model", model.path()} + arguments);
  }
  const std::vector<ProgramResult> results = run_programs(commands);
  for (size_t i = 0; i < cases.size(); ++i) {
    EXPECT_EQ(results[i].code, kExitError) << cases[i].second;
    EXPECT_THAT(results[i].err, HasSubstr(cases[i].second));
  }
}

}  // namespace
}  // namespace treepo
