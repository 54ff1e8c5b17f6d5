#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <memory>

#include "app/command_line.h"
#include "app/run_program.h"
#include "base/files.h"
#include "base/json.h"
#include "support/temporary_directory.h"

namespace treepo {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;

// What bash would offer after these words, the last of which is being typed.
Words offered(const Words& words) {
  const TemporaryDirectory folder;
  write_file_atomically(folder / "completion", run_program({"completion", "bash"}).out);
  std::string line = "COMP_WORDS=(treepo";
  for (const std::string& word : words) line += " '" + word + "'";
  write_file_atomically(folder / "ask", "compopt() { :; }; source " + (folder / "completion") +
                                            "\n" + line +
                                            ")\nCOMP_CWORD=" + std::to_string(words.size()) +
                                            "\n_treepo\nprintf '%s\\n' \"${COMPREPLY[@]}\"\n");
  const std::unique_ptr<FILE, int (*)(FILE*)> bash(
      ::popen(("bash " + (folder / "ask")).c_str(), "r"),
      [](FILE* file) { return ::pclose(file); });
  std::string text(1 << 16, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), bash.get()));
  return lines_of(text);
}

TEST(Completion, BashOffersCommandsFlagsAndKeys) {
  EXPECT_THAT(offered({"tr"}), testing::ElementsAre("train"));
  EXPECT_THAT(offered({""}),
              testing::AllOf(Contains("sft"), Contains("report"), Contains("doctor")));
  EXPECT_THAT(offered({"train", "--re"}), testing::ElementsAre("--resume"));
  EXPECT_THAT(offered({"bench", "sa"}), testing::ElementsAre("sample"));
  EXPECT_THAT(offered({"bench", "sample", "--wid"}), testing::ElementsAre("--widths"));
  EXPECT_THAT(offered({"train", "x", "--set", "rollout.wid"}), Contains("rollout.width="));
  EXPECT_THAT(offered({"options", "--set"}), Not(Contains("--set")));
}

TEST(Completion, ZshScriptNamesEveryCommand) {
  const ProgramResult result = run_program({"completion", "zsh"});
  EXPECT_EQ(result.code, kExitSuccess);
  EXPECT_THAT(result.out, testing::StartsWith("#compdef treepo\n"));
  for (const char* part :
       {"_treepo_train()", "_treepo_bench_sample()", "'*--resume[", "rollout.width="})
    EXPECT_THAT(result.out, HasSubstr(part));
  EXPECT_EQ(run_program({"completion", "fish"}).code, kExitUsage);
}

TEST(Doctor, SaysWhatWorks) {
  const ProgramResult result = run_program({"doctor"});
  EXPECT_EQ(result.code, kExitSuccess) << result.err;
  for (const char* part : {"CPU", "memory", "disk", "PyTorch", "GPU", "Python"})
    EXPECT_THAT(result.out, HasSubstr(part));
  const Json found = Json::parse(run_program({"doctor", "--json"}).out);
  EXPECT_EQ(found.size(), 7u);
  for (const Json& one : found) EXPECT_FALSE(one["meaning"].get<std::string>().empty());
}

}  // namespace
}  // namespace treepo
