#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "app/command_line.h"
#include "app/run_program.h"
#include "base/json.h"
#include "support/assets.h"

namespace treepo {
namespace {

using testing::AllOf;
using testing::HasSubstr;

TEST(PromptCommand, WritesAPromptForEachChat) {
  const TemporaryDirectory model;
  write_text(model / "chat_template.jinja",
             "{% for m in messages %}[{{ m.content }}]{% endfor %}{{ mood }}");
  const ProgramResult result = run_program(
      {"prompt", "--model", model.path()},
      "{\"messages\": [{\"role\": \"user\", \"content\": \"é\\n\"}], \"mood\": \"glad\"}\n\n"
      "{\"messages\": []}");
  EXPECT_EQ(result.code, kExitSuccess);
  EXPECT_EQ(result.out, "{\"prompt\":\"[é\\n]glad\"}\n{\"prompt\":\"\"}\n") << result.err;
}

// The keys that the oracle's cases have, through the program.
TEST(PromptCommand, QwensThinkingIsAVariable) {
  const std::string path = TREEPO_ASSETS "/oracles/chat-templates/qwen3.json";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << no_assets();
  const Json oracle = read_json_file(path);
  const std::string source = TREEPO_ASSETS "/" + oracle["template_source"].get<std::string>();
  std::string input, expected;
  for (Json one : oracle["cases"]) {
    expected += dump_json(Json{{"prompt", one["expected"]}}) + "\n";
    if (one.contains("tools"))
      one.erase("tools");  // their keys lose their order in a Json
    else
      input += dump_json(one) + "\n";
  }
  const ProgramResult result = run_program({"prompt", "--model", source}, input);
  EXPECT_EQ(result.code, kExitSuccess) << result.err;
  size_t lines = 0;
  for (size_t at = 0; at < result.out.size(); ++lines) {
    const size_t end = result.out.find('\n', at) + 1;
    EXPECT_THAT(expected, HasSubstr(result.out.substr(at, end - at)));
    at = end;
  }
  EXPECT_GT(lines, 5u);
}

TEST(PromptCommand, WhatIsWrongIsNamed) {
  const TemporaryDirectory model;
  const Words command = {"prompt", "--model", model.path()};
  const auto error = [&](const Words& words, const std::string& input) {
    const ProgramResult result = run_program(words, input);
    EXPECT_EQ(result.code, kExitError);
    return result.err;
  };
  EXPECT_THAT(error(command, ""), HasSubstr("brings no chat template"));
  EXPECT_THAT(error({"prompt", "--model", model / "absent"}, ""), HasSubstr("does not exist"));
  write_text(model / "chat_template.jinja",
             "{% if not messages %}{{ raise_exception('no message') }}{% endif %}");
  EXPECT_THAT(error(command, "{\"messages\": [1]}\n{\"messages\": []}\n"),
              AllOf(HasSubstr("standard input, line 2"), HasSubstr("chat_template.jinja"),
                    HasSubstr("no message")));
  EXPECT_THAT(error(command, "\n[]\n"), HasSubstr("line 2: a JSON object was expected"));
  EXPECT_THAT(error(command, "{\"chat\": []}\n"), HasSubstr("\"messages\" is missing"));
  EXPECT_THAT(error(command, "{\n"), HasSubstr("line 1"));
}

}  // namespace
}  // namespace treepo
