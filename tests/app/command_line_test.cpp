#include "app/command_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "app/run_program.h"

// The program as users meet it: what it prints where, and its exit codes. Each command has a file
// of its own beside this one.

namespace treepo {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

TEST(CommandLine, AloneItExplainsItselfAndFails) {
  const ProgramResult result = run_program({});
  EXPECT_EQ(result.code, kExitUsage);
  EXPECT_EQ(result.out, "");
  for (const char* command : {"train", "sample", "tokenize", "bench", "options", "selfcheck"}) {
    EXPECT_THAT(result.err, HasSubstr(std::string("\n  ") + command + " "));
  }
}

TEST(CommandLine, HelpGoesToStandardOutput) {
  const ProgramResult all = run_program({"--help"});
  EXPECT_EQ(all.code, kExitSuccess);
  EXPECT_THAT(all.out, AllOf(HasSubstr("Subcommands:"), HasSubstr("./quickstart")));
  EXPECT_EQ(all.err, "");
  for (const ProgramResult& one : run_programs({{"train", "--help"},
                                                {"sample", "--help"},
                                                {"tokenize", "--help"},
                                                {"bench", "--help"},
                                                {"options", "--help"},
                                                {"selfcheck", "--help"},
                                                {"bench", "sample", "--help"}})) {
    EXPECT_EQ(one.code, kExitSuccess);
    EXPECT_THAT(one.out, HasSubstr("Usage: "));
    EXPECT_EQ(one.err, "");
  }
}

TEST(CommandLine, VersionIsOneLine) {
  const ProgramResult result = run_program({"--version"});
  EXPECT_EQ(result.code, kExitSuccess);
  EXPECT_THAT(result.out, testing::MatchesRegex("[0-9]+\\.[0-9]+\\.[0-9]+\n"));
}

TEST(CommandLine, AnUnknownCommandIsNamedWithTheNearest) {
  const ProgramResult far = run_program({"frobnicate"});
  EXPECT_EQ(far.code, kExitUsage);
  EXPECT_THAT(far.err, AllOf(HasSubstr("\"frobnicate\""), Not(HasSubstr("did you mean"))));
  EXPECT_THAT(run_program({"trian"}).err, HasSubstr("did you mean train?"));
  const ProgramResult below = run_program({"bench", "smaple"});
  EXPECT_EQ(below.code, kExitUsage);
  EXPECT_THAT(below.err, HasSubstr("did you mean sample?"));
}

TEST(CommandLine, WrongFlagsAreUsageErrors) {
  const std::vector<std::pair<Words, std::string>> cases = {
      {{"--nonsense"}, "A subcommand is required"},
      {{"options", "rollout", "more"}, "more"},
      {{"tokenize"}, "--model is required"},
      {{"sample"}, "--prompts is required"},
      {{"sample", "--prompts", "x", "--wrong"}, "--wrong"},
      {{"train"}, "a configuration file, or --resume DIR is required"},
      {{"train", "x", "--resume", "x"}, "excludes --resume"},
      {{"selfcheck"}, "one of --oracle, --write, --policy-gradient, --advantages is required"},
      {{"selfcheck", "--oracle", "x"}, "--model is required"},
      {{"bench", "sample"}, "one of --model and --random-model is required"},
      {{"bench", "sample", "--rounds", "0"}, "not in range 1 to 10000"},
  };
  std::vector<Words> commands;
  for (const auto& [arguments, message] : cases) commands.push_back(arguments);
  const std::vector<ProgramResult> results = run_programs(commands);
  for (size_t i = 0; i < cases.size(); ++i) {
    const ProgramResult& result = results[i];
    const std::string& message = cases[i].second;
    EXPECT_EQ(result.code, kExitUsage) << message;
    EXPECT_EQ(result.out, "") << message;
    EXPECT_THAT(result.err, AllOf(HasSubstr(message), HasSubstr("--help")));
  }
}

TEST(OptionsCommand, AFilterLeavesTheKeysThatContainIt) {
  const ProgramResult all = run_program({"options"});
  EXPECT_EQ(all.code, kExitSuccess);
  EXPECT_THAT(all.out, AllOf(HasSubstr("[model]"), HasSubstr("[evaluate]")));
  const ProgramResult some = run_program({"options", "engine.max_"});
  EXPECT_EQ(some.code, kExitSuccess);
  EXPECT_THAT(some.out, AllOf(HasSubstr("engine.max_rows = 256   (1 or more)"),
                              HasSubstr("engine.max_step_tokens"), Not(HasSubstr("cache_mib")),
                              Not(HasSubstr("[model]"))));
}

TEST(OptionsCommand, AFilterWithoutMatchIsAnError) {
  const ProgramResult result = run_program({"options", "widht"});
  EXPECT_EQ(result.code, kExitError);
  EXPECT_EQ(result.out, "");
  EXPECT_THAT(result.err,
              AllOf(HasSubstr("no option contains \"widht\""), HasSubstr("rollout.width")));
  EXPECT_THAT(run_program({"options", "xyzzy"}).err, Not(HasSubstr("did you mean")));
}

}  // namespace
}  // namespace treepo
