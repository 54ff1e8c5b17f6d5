#include "text/chat_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/files.h"
#include "support/assets.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"

namespace treepo {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

// transformers' own strings: every case of oracles/chat-templates, word for word.
TEST(ChatTemplate, RendersAsTransformersDoes) {
  const std::string assets = std::string(TREEPO_ASSETS) + "/";
  if (!file_system().exists(assets + "oracles/chat-templates")) GTEST_SKIP() << no_assets();
  size_t cases = 0;
  for (const std::string name : {"qwen2.5.json", "qwen3.json"}) {
    const std::string path = assets + "oracles/chat-templates/" + name;
    const OrderedJson oracle = OrderedJson::parse(read_file(path));
    auto chat_template =
        ChatTemplate::find(assets + oracle["template_source"].get<std::string>()).value();
    std::vector<std::string> chats, expected;
    for (OrderedJson one : oracle["cases"]) {
      expected.push_back(one["expected"]);
      one.erase("expected");
      chats.push_back(dump_json(one));
    }
    const auto rendered = chat_template.render(chats);
    for (size_t i = 0; i < chats.size(); ++i) {
      EXPECT_EQ(rendered[i].error, "") << name << " " << chats[i];
      EXPECT_EQ(rendered[i].text, expected[i]) << name << " " << chats[i];
    }
    cases += chats.size();
  }
  EXPECT_GT(cases, 20u);
}

class OwnTemplateTest : public ::testing::Test {
 protected:
  void write(const std::string& name, const std::string& text) {
    write_file_atomically(folder_ / name, text);
  }
  RenderedChat render(const std::string& chat, const std::string& choice = "") {
    auto found = ChatTemplate::find(folder_.path(), choice);
    return found.value().render(std::vector<std::string>{chat}).at(0);
  }
  std::string text(const std::string& content, const std::string& chat) {
    write("chat_template.jinja", content);
    const RenderedChat result = render(chat);
    return result.error.empty() ? result.text : "error: " + result.error;
  }

  TemporaryDirectory folder_;
  const std::string chat_ = R"({"messages": [{"role": "user", "content": "q"}]})";
};

// What transformers sets besides Jinja's defaults.
TEST_F(OwnTemplateTest, HasTheSettingsOfTransformers) {
  EXPECT_EQ(text("a\n  {% if true %}\nb\n  {% endif %}\nc", chat_), "a\nb\nc") << "trim, lstrip";
  EXPECT_EQ(text("{% for m in [1, 2, 3] %}{% if m == 2 %}{% break %}{% endif %}{{ m }}{% endfor %}",
                 chat_),
            "1")
      << "loop controls";
  EXPECT_EQ(
      text("{{ messages[0] | tojson }}", R"({"messages": [{"z": "é<&>", "a": [1, {"b": null}]}]})"),
      R"({"z": "é<&>", "a": [1, {"b": null}]})");
  EXPECT_EQ(text("{{ {'b': 1, 'a': 2} | tojson(indent=1, sort_keys=true) }}", chat_),
            "{\n \"a\": 2,\n \"b\": 1\n}");
  EXPECT_EQ(text("{{ tools is none }}{{ documents is none }}{{ add_generation_prompt }}", chat_),
            "TrueTrueFalse");
  EXPECT_EQ(text("{{ strftime_now('%Y') | length }}", chat_), "4");
  EXPECT_EQ(text("{{ own }}", R"({"messages": [], "own": "x"})"), "x");
}

TEST_F(OwnTemplateTest, IsSandboxed) {
  EXPECT_THAT(text("{{ ''.__class__.__mro__ }}", chat_), HasSubstr("SecurityError"));
  EXPECT_THAT(text("{{ messages.append(1) }}", chat_), HasSubstr("SecurityError"));
}

TEST_F(OwnTemplateTest, KnowsTheSpecialTokens) {
  write("special_tokens_map.json", R"({"bos_token": "<map>", "unk_token": {"content": "<u>"}})");
  write("tokenizer_config.json",
        R"({"bos_token": {"content": "<s>"}, "eos_token": "</s>", "pad_token": null,
            "add_bos_token": true, "additional_special_tokens": ["<x>"]})");
  EXPECT_EQ(text("{{ bos_token }}{{ eos_token }}{{ unk_token }}{{ pad_token }}"
                 "{{ additional_special_tokens[0] }}",
                 chat_),
            "<s></s><u><x>");
}

TEST_F(OwnTemplateTest, ErrorsSayWhatTheTemplateSays) {
  EXPECT_EQ(text("{{ raise_exception('roles must alternate') }}", chat_),
            "error: the template says: roles must alternate");
  EXPECT_THAT(text("a\n{% if %}", chat_), HasSubstr("line 2 of the template"));
  EXPECT_THAT(text("{{ messages[3].content }}", chat_), HasSubstr("UndefinedError"));
  EXPECT_THAT(text("{{ 1 }}", R"({"messages": 3, "continue_final_message": true})"),
              HasSubstr("TypeError"));
}

// A chat for which the template would run for hours is given up; those in its request are not.
TEST_F(OwnTemplateTest, OneChatOfManyTakesForEver) {
  write(
      "chat_template.jinja",
      "{% if messages[0].content == 'bad' %}{% for i in range(99999) %}{% for j in range(99999) %}"
      "{% endfor %}{% endfor %}{% endif %}{{ messages[0].content }}");
  std::vector<std::string> chats(5, chat_);
  chats[3] = R"({"messages": [{"role": "user", "content": "bad"}]})";
  ChatTemplate found = ChatTemplate::find(folder_.path()).value();
  found.set_time_limit(1);
  const std::vector<RenderedChat> rendered = found.render(chats);
  ASSERT_EQ(rendered.size(), 5u);
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(rendered[i].error.empty(), i != 3) << rendered[i].error;
    EXPECT_EQ(rendered[i].text, i == 3 ? "" : "q");
  }
}

// One chat that fails leaves those beside it as they are.
TEST_F(OwnTemplateTest, OneChatOfManyFails) {
  write("chat_template.jinja",
        "{% if messages[0].content == 'bad' %}{{ raise_exception('no') }}{% endif %}"
        "{{ messages[0].content }}");
  std::vector<std::string> chats(200, chat_);
  chats[70] = R"({"messages": [{"role": "user", "content": "bad"}]})";
  const auto rendered = ChatTemplate::find(folder_.path()).value().render(chats);
  ASSERT_EQ(rendered.size(), 200u);
  for (size_t i = 0; i < 200; ++i) {
    EXPECT_EQ(rendered[i].error, i == 70 ? "the template says: no" : "");
    EXPECT_EQ(rendered[i].text, i == 70 ? "" : "q");
  }
}

TEST_F(OwnTemplateTest, NamedTemplatesAreChosenByToolsOrByName) {
  write("tokenizer_config.json",
        R"({"chat_template": [{"name": "default", "template": "plain"},
                              {"name": "tool_use", "template": "tools"},
                              {"name": "rag", "template": "rag"}]})");
  EXPECT_EQ(render(chat_).text, "plain");
  EXPECT_EQ(render(R"({"messages": [], "tools": [{"name": "f"}]})").text, "tools");
  EXPECT_EQ(render(R"({"messages": [], "tools": [{"name": "f"}]})", "rag").text, "rag");
  write("other.jinja", "other");
  EXPECT_EQ(render(chat_, folder_ / "other.jinja").text, "other");
  EXPECT_THAT(error_of([&] { render(chat_, "raag"); }),
              AllOf(HasSubstr("prompt.chat_template = \"raag\" is no file"),
                    HasSubstr("one of default, rag, tool_use")));
}

TEST_F(OwnTemplateTest, FilesGoBeforeTheConfiguration) {
  EXPECT_FALSE(ChatTemplate::find(folder_.path()));
  write("tokenizer_config.json", R"({"chat_template": "config"})");
  EXPECT_EQ(render(chat_).text, "config");
  file_system().make_directories(folder_ / "additional_chat_templates");
  write("additional_chat_templates/short.jinja", "short");
  EXPECT_EQ(render(chat_, "short").text, "short");
  write("chat_template.jinja", "file");
  EXPECT_EQ(render(chat_).text, "file");
}

// Places are bytes of the text: é has two.
TEST_F(OwnTemplateTest, GenerationBlocksTellTheAssistantsWords) {
  write("chat_template.jinja",
        "{% for m in messages %}<{{ m.role }}>{% if m.role == 'assistant' %}"
        "{% generation %}{{ m.content }}.{% endgeneration %}{% else %}{{ m.content }}{% endif %}"
        "{% endfor %}");
  const RenderedChat result = render(R"({"messages": [{"role": "user", "content": "é"},
                              {"role": "assistant", "content": "à"},
                              {"role": "assistant", "content": ""}]})");
  EXPECT_EQ(result.text, "<user>é<assistant>à.<assistant>.");
  EXPECT_THAT(result.assistant, ElementsAre(Pair(19, 22), Pair(33, 34)));
}

TEST_F(OwnTemplateTest, AFinalMessageIsGoneOnWith) {
  write("chat_template.jinja", "{% for m in messages %}<{{ m.content | trim }}|end>{% endfor %}");
  const auto gone_on = [&](const std::string& final) {
    return render(
               R"({"continue_final_message": true, "messages": [{"content": "a"}, {"content": ")" +
               final + "\"}]}")
        .text;
  };
  EXPECT_EQ(gone_on("Let me"), "<a|end><Let me");
  EXPECT_EQ(gone_on(" Let me "), "<a|end><Let me") << "blanks that the template does not write";
}

}  // namespace
}  // namespace treepo
