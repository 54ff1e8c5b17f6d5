#include "data/source_spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/files.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"

namespace treepo {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

TEST(SourceSpec, PartsInTheirOrder) {
  const SourceSpec all = parse_source("set=0.5*math:dir.v2/a=b*c:d.jsonl?level=3..5&answer=x.y");
  EXPECT_EQ(all.name, "set");
  EXPECT_EQ(all.weight, 0.5);
  EXPECT_EQ(all.preset, "math");
  EXPECT_EQ(all.path, "dir.v2/a=b*c:d.jsonl");
  EXPECT_THAT(all.arguments, ElementsAre(Pair("level", "3..5"), Pair("answer", "x.y")));

  const SourceSpec weighted = parse_source("2*dir/train.json");
  EXPECT_EQ(weighted.name, "train");
  EXPECT_EQ(weighted.weight, 2);
  EXPECT_EQ(weighted.path, "dir/train.json");

  const SourceSpec plain = parse_source("/dir/aime.24.jsonl");
  EXPECT_EQ(plain.name, "aime.24");
  EXPECT_FALSE(plain.weight);
  EXPECT_EQ(plain.path, "/dir/aime.24.jsonl");
}

TEST(SourceSpec, AFileOfThatVeryNameIsMeant) {
  const TemporaryDirectory folder;
  const std::string path = folder / "x=3*y?a=b.jsonl";
  write_file_atomically(path, "{}");
  EXPECT_EQ(parse_source(path).path, path);
  EXPECT_TRUE(parse_source(path).arguments.empty());
}

TEST(SourceSpec, WhatIsWrongIsNamed) {
  const std::pair<std::string, std::string> cases[] = {
      {"", "an empty text names no file"},
      {"gsm9k:a.jsonl", "there is no preset gsm9k, and no file of this name | one of gsm8k, math"},
      {"0*a.jsonl", "the weight 0 is no number above 0"},
      {"1e999*a.jsonl", "the weight 1e999 is no number above 0"},
      {"1.2.3*a.jsonl", "the weight 1.2.3 is no number"},
      {"math:", "names no file"},
      {"a.jsonl?level", "\"level\" behind ? is not FIELD=VALUE"},
      {"a.jsonl?level=", "is not FIELD=VALUE"},
      {"a.jsonl?=3", "is not FIELD=VALUE"},
  };
  for (const auto& [text, message] : cases)
    EXPECT_THAT(error_of([&, &source = text] { parse_source(source); }), HasSubstr(message));
}

TEST(SourceSpec, NamesOfAListDiffer) {
  const auto sources = parse_sources({"gsm8k/train.jsonl", "math/train.jsonl", "own.jsonl"});
  EXPECT_EQ(sources[0].name, "gsm8k/train");
  EXPECT_EQ(sources[1].name, "math/train");
  EXPECT_EQ(sources[2].name, "own");
  EXPECT_THAT(error_of([] {
                parse_sources({"a/t.jsonl", "b/a/t.jsonl"});
              }),
              HasSubstr("two sources are named a/t: a/t.jsonl and b/a/t.jsonl"));
  EXPECT_THAT(error_of([] {
                parse_sources({"2*a.jsonl", "b.jsonl"});
              }),
              HasSubstr("1 of 2 sources have a weight"));
}

}  // namespace
}  // namespace treepo
