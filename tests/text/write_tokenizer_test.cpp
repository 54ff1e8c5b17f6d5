#include "text/write_tokenizer.h"

#include "text/tokenizer_support.h"

namespace treepo {
namespace {

using Ids = std::vector<int32_t>;

TEST(WriteTokenizer, ReadsBack) {
  const TemporaryDirectory directory;
  write_character_tokenizer(directory.path(), {.special_tokens = {"<pad>", "<eos>", "?"},
                                               .characters = "01+=é",
                                               .prefix = {},
                                               .suffix = {"<eos>"},
                                               .bos_token = {},
                                               .eos_token = "<eos>",
                                               .pad_token = "<pad>",
                                               .unk_token = "?"});
  const Tokenizer tokenizer = Tokenizer::load(directory.path());
  EXPECT_EQ(tokenizer.vocab_size(), 8);
  EXPECT_EQ(tokenizer.encode("1+1=é", false), (Ids{4, 5, 4, 6, 7}));
  EXPECT_EQ(tokenizer.encode("1x<pad>", true), (Ids{4, 2, 0, 1}));
  EXPECT_EQ(tokenizer.decode(Ids{4, 5, 1}, false), "1+<eos>");
  EXPECT_EQ(tokenizer.decode(Ids{4, 5, 1, 0}, true), "1+");
  EXPECT_TRUE(tokenizer.is_special(1));
  const Json config = read_json_file(directory / "tokenizer_config.json");
  EXPECT_EQ(config["eos_token"], "<eos>");
  EXPECT_EQ(config["pad_token"], "<pad>");
  EXPECT_FALSE(config.contains("bos_token"));
}

// A file that transformers has written for a task of the same kind has the same members.
TEST(WriteTokenizer, WritesWhatTransformersWrites) {
  SKIP_WITHOUT_ASSETS();
  const TemporaryDirectory directory;
  write_character_tokenizer(directory.path(), {.special_tokens = {"S", "E", "P", "U"},
                                               .characters = "0123456789,:",
                                               .prefix = {},
                                               .suffix = {"S"},
                                               .bos_token = {},
                                               .eos_token = {},
                                               .pad_token = {},
                                               .unk_token = "U"});
  EXPECT_EQ(read_json_file(directory / "tokenizer.json"),
            read_json_file(kAssets + "/models/verl-arith-seq-llama/tokenizer.json"));
}

TEST(WriteTokenizer, RefusesRolesOutsideTheVocabulary) {
  const TemporaryDirectory directory;
  CharacterVocabulary vocabulary;
  vocabulary.special_tokens = {"<eos>"};
  vocabulary.characters = "abca";
  EXPECT_THROW(write_character_tokenizer(directory.path(), vocabulary), CheckFailure);
  vocabulary.characters = "abc";
  vocabulary.suffix = {"<end>"};
  EXPECT_THROW(write_character_tokenizer(directory.path(), vocabulary), CheckFailure);
}

}  // namespace
}  // namespace treepo
