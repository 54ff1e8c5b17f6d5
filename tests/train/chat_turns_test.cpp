#include "train/chat_turns.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/files.h"
#include "data/carry_task.h"
#include "support/assets.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"

namespace treepo {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

class ChatTurnsTest : public ::testing::Test {
 protected:
  void use_template(const std::string& text) {
    write_file_atomically(folder_ / "chat_template.jinja", text);
  }
  std::vector<LearnedChat> turns(const std::string& messages, const std::string& directory = "") {
    PromptWriter prompts({}, directory.empty() ? folder_.path() : directory);
    return learned_turns(
        std::vector<ChatToLearn>{{"{\"messages\": " + messages + "}", "c.jsonl, line 3"}}, prompts);
  }
  static std::vector<std::string> parts(const LearnedChat& chat) {
    std::vector<std::string> texts;
    for (const auto& [begin, end] : chat.learned)
      texts.push_back(chat.text.substr(begin, end - begin));
    return texts;
  }

  TemporaryDirectory folder_;
  const std::string two_turns_ =
      R"([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"},
          {"role": "user", "content": "c"}, {"role": "assistant", "content": "d"},
          {"role": "user", "content": "e"}])";
  const std::string plain_ =
      "{% for m in messages %}<{{ m.role }}>{{ m.content }};{% endfor %}"
      "{% if add_generation_prompt %}<assistant>{% endif %}";
};

TEST_F(ChatTurnsTest, EachAssistantsTurnIsFoundByItsPrefix) {
  use_template(plain_);
  const auto chats = turns(two_turns_);
  ASSERT_EQ(chats.size(), 1u);
  EXPECT_EQ(chats[0].text, "<user>a;<assistant>b;<user>c;<assistant>d;");
  EXPECT_THAT(parts(chats[0]), ElementsAre("b;", "d;"));
}

TEST_F(ChatTurnsTest, MarksOfTheTemplateGoBeforePrefixes) {
  use_template(
      "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}"
      "{% endgeneration %};{% else %}{{ m.content }};{% endif %}{% endfor %}");
  EXPECT_THAT(parts(turns(two_turns_).at(0)), ElementsAre("b", "d"));
}

// As Qwen3's: what was thought stays in the last turn only.
TEST_F(ChatTurnsTest, TurnsThatLaterOnesChangeAreLearnedApart) {
  use_template(
      "{% for m in messages %}<{{ m.role }}>{% if loop.last and m.role == 'assistant' %}think "
      "{% endif %}{{ m.content }};{% endfor %}{% if add_generation_prompt %}<assistant>{% endif "
      "%}");
  const auto chats = turns(two_turns_);
  ASSERT_EQ(chats.size(), 2u);
  EXPECT_EQ(chats[0].text, "<user>a;<assistant>think b;");
  EXPECT_THAT(parts(chats[0]), ElementsAre("think b;"));
  EXPECT_EQ(chats[1].text, "<user>a;<assistant>b;<user>c;<assistant>think d;");
  EXPECT_THAT(parts(chats[1]), ElementsAre("think d;"));
}

TEST_F(ChatTurnsTest, WhatIsWrongNamesTheRow) {
  use_template(plain_);
  EXPECT_THAT(error_of([&] { turns(R"([{"role": "user", "content": "a"}])"); }),
              HasSubstr("c.jsonl, line 3: no message of the chat is an answer"));
  EXPECT_THAT(error_of([&] { turns("[3]"); }), HasSubstr("line 3: a message without a \"role\""));
  use_template(
      "{% for m in messages %}{{ m.content }}{% endfor %}"
      "{% if add_generation_prompt %}<assistant>{% endif %}");
  EXPECT_THAT(error_of([&] { turns(two_turns_); }),
              AllOf(HasSubstr("line 3"), HasSubstr("does not write an answer behind the prompt"),
                    HasSubstr("{% generation %}")));
  use_template("{{ raise_exception('no') }}");
  EXPECT_THAT(error_of([&] { turns(two_turns_); }), HasSubstr("line 3: chat template"));
}

// 1+2:3! 4:5!  with "!" for EOS: what follows it is read only.
TEST_F(ChatTurnsTest, PartsBecomeTokensUpToTheirLastEos) {
  write_carry_tokenizer(folder_.path());
  const Tokenizer tokenizer = Tokenizer::load(folder_.path());
  const int32_t eos = *tokenizer.token_to_id("!");
  const LearnedChat chat{.text = "1+2:3!;4:5!;", .learned = {{4, 7}, {9, 12}}, .where = {}};
  const Example example = chat_example(chat, tokenizer, std::vector<int32_t>{eos});
  EXPECT_EQ(example.prompt, tokenizer.encode("1+2:", false));
  EXPECT_EQ(example.response, tokenizer.encode("3!;4:5!;", false));
  EXPECT_EQ(example.learned,
            (std::vector<bool>{true, true, false, false, false, true, true, false}));
}

// The real templates: Qwen2.5's turns end with its EOS, the line break behind it is not learned.
TEST_F(ChatTurnsTest, QwensTurnsEndWithEos) {
  const std::string qwen = std::string(TREEPO_ASSETS) + "/tokenizers/qwen2.5";
  if (!file_system().exists(qwen)) GTEST_SKIP() << no_assets();
  const auto chats = turns(two_turns_, qwen);
  ASSERT_EQ(chats.size(), 1u);
  EXPECT_THAT(parts(chats[0]), ElementsAre("b<|im_end|>\n", "d<|im_end|>\n"));
  const Tokenizer tokenizer = Tokenizer::load(qwen);
  const int32_t eos = *tokenizer.token_to_id("<|im_end|>");
  const Example example = chat_example(chats[0], tokenizer, std::vector<int32_t>{eos});
  std::vector<int32_t> learned;
  for (size_t i = 0; i < example.response.size(); ++i)
    if (example.learned[i]) learned.push_back(example.response[i]);
  EXPECT_EQ(tokenizer.decode(learned, false), "b<|im_end|>d<|im_end|>");
}

}  // namespace
}  // namespace treepo
