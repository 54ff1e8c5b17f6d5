#include "data/load_sources.h"

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

// Prompts of the carry tokenizer: a token for each character.
class LoadSourcesTest : public ::testing::Test {
 protected:
  LoadSourcesTest() {
    write_carry_tokenizer(folder_.path());
    tokenizer_.emplace(Tokenizer::load(folder_.path()));
    context_ = {.tokenizer = &*tokenizer_, .model_directory = folder_.path(), .check = {}};
  }
  std::string write(const std::string& name, const std::string& text) {
    write_file_atomically(folder_ / name, text);
    return folder_ / name;
  }
  std::vector<LoadedSource> load(const std::vector<std::string>& sources) {
    PromptWriter prompts(prompt_, folder_.path());
    return load_sources(sources, options_, prompts, context_);
  }

  TemporaryDirectory folder_;
  std::optional<Tokenizer> tokenizer_;
  DataOptions options_;
  PromptOptions prompt_;
  DataContext context_;
};

TEST_F(LoadSourcesTest, LongPromptsAreLeftOutByTheirTokens) {
  options_.max_prompt_tokens = 3;
  const auto source =
      write("a.jsonl",
            "{\"prompt\": \"1+1\"}\n{\"prompt\": \"1+12\"}\n{\"ids\": [1, 2, 3, 4]}\n"
            "{\"ids\": [1]}\n");
  const auto loaded = load({source});
  EXPECT_THAT(loaded[0].prompt_lengths, ElementsAre(3, 1));
  EXPECT_EQ(loaded[0].report.too_long, 2);
  EXPECT_EQ(loaded[0].report.kept, 2);
  options_.max_prompt_tokens = 1;
  EXPECT_THAT(load({source})[0].prompt_lengths, ElementsAre(1));
  EXPECT_THAT(error_of([&] { load({write("b.jsonl", "{\"prompt\": \"1+1\"}\n")}); }),
              AllOf(HasSubstr("b.jsonl: no row is left; 1 of 1 rows left out: 1 too long"),
                    HasSubstr("data.max_prompt_tokens")));
}

TEST_F(LoadSourcesTest, WithoutATokenizerLengthsAreCharacters) {
  context_.tokenizer = nullptr;
  EXPECT_THAT(load({write("a.jsonl", "{\"prompt\": \"é→x\"}\n")})[0].prompt_lengths,
              ElementsAre(3));
}

TEST_F(LoadSourcesTest, IdsOfSeveralSourcesBeginWithTheirNames) {
  const auto a = write("a.jsonl", "{\"prompt\": \"1\"}\n");
  const auto loaded = load({a, "x=" + write("b.jsonl", "{\"prompt\": \"1\", \"id\": \"q\"}\n")});
  EXPECT_EQ(loaded[0].problems[0].id, "a/1");
  EXPECT_EQ(loaded[1].problems[0].id, "x/q");
  EXPECT_EQ(loaded[1].problems[0].source, "x");
  EXPECT_EQ(load({a})[0].problems[0].id, "1");
}

// What the verifier or the model can't take is a bad row like any other.
TEST_F(LoadSourcesTest, WhatTheCheckRefusesIsABadRow) {
  context_.check = [](const Problem& problem, std::span<const int32_t> ids) {
    EXPECT_EQ(ids.size(), problem.prompt.size());
    if (!problem.answer) throw Error(problem.where + ": no answer");
  };
  const auto source = write("a.jsonl", "{\"prompt\": \"1\", \"answer\": 1}\n{\"prompt\": \"2\"}\n");
  EXPECT_THAT(error_of([&] { load({source}); }), AllOf(HasSubstr("a.jsonl, line 2: no answer"),
                                                       HasSubstr("data.bad_rows = \"skip\"")));
  options_.bad_rows = "skip";
  const auto loaded = load({source});
  EXPECT_EQ(loaded[0].problems.size(), 1u);
  EXPECT_THAT(loaded[0].report.first_bad, HasSubstr("line 2: no answer"));
}

TEST_F(LoadSourcesTest, AnEmptyPromptIsABadRow) {
  const auto source = write("a.jsonl", "{\"prompt\": \"1\"}\n{\"prompt\": \"\"}\n");
  EXPECT_THAT(error_of([&] { load({source}); }), HasSubstr("a.jsonl, line 2: the prompt is empty"));
  options_.bad_rows = "skip";
  EXPECT_EQ(load({source})[0].report.bad, 1);
}

// A chat's template writes the special tokens; the tokenizer must not add its own.
TEST_F(LoadSourcesTest, ChatPromptsGetNoFurtherSpecialTokens) {
  const std::string llama = std::string(TREEPO_ASSETS) + "/tokenizers/llama3";
  if (!file_system().exists(llama)) GTEST_SKIP() << no_assets();
  const Tokenizer tokenizer = Tokenizer::load(llama);
  Problem problem;
  problem.prompt = "<|begin_of_text|>Hi";
  const auto twice = prompt_ids(problem, tokenizer);
  problem.is_chat = true;
  const auto once = prompt_ids(problem, tokenizer);
  EXPECT_EQ(twice.size(), once.size() + 1);
  EXPECT_EQ(once[0], *tokenizer.token_to_id("<|begin_of_text|>"));
  EXPECT_NE(once[1], once[0]);
}

}  // namespace
}  // namespace treepo
