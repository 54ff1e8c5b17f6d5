#include "data/row_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "base/files.h"
#include "base/json.h"
#include "base/python_interpreter.h"
#include "support/assets.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"

namespace treepo {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

class RowReaderTest : public ::testing::Test {
 protected:
  std::vector<std::string> read(const std::string& name) {
    std::vector<std::string> texts;
    places_.clear();
    const auto reader = open_rows(folder_ / name);
    while (reader->next()) {
      texts.emplace_back(reader->text());
      places_.push_back(reader->where());
    }
    return texts;
  }
  std::vector<std::string> read(const std::string& name, const std::string& content) {
    write_file_atomically(folder_ / name, content);
    return read(name);
  }
  std::string error(const std::string& content) {
    return error_of([&] { read("a.json", content); });
  }
  // Writes rows.parquet from Python text that names the rows.
  void write_parquet(const std::string& rows) {
    const std::string program = folder_ / "write.py";
    write_file_atomically(program,
                          "import sys, datetime, pyarrow, pyarrow.parquet\nrows = " + rows +
                              "\npyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), "
                              "sys.argv[1], row_group_size=300)\n");
    const std::string command =
        python_interpreter("") + " " + program + " " + (folder_ / "rows.parquet");
    ASSERT_EQ(std::system(command.c_str()), 0) << "scripts/bootstrap --workers installs pyarrow";
  }

  TemporaryDirectory folder_;
  std::vector<std::string> places_;
};

TEST_F(RowReaderTest, AnArrayIsCutIntoItsRows) {
  EXPECT_THAT(read("a.json", " [\n {\"a\": \"],{\\\"\\\\\"},\n\n[1, [2]] ,3,\n\"x\"\n]\n"),
              ElementsAre("{\"a\": \"],{\\\"\\\\\"}", "[1, [2]]", "3", "\"x\""));
  EXPECT_THAT(places_[0], HasSubstr("a.json, line 2"));
  EXPECT_THAT(places_[1], HasSubstr("a.json, line 4"));
  EXPECT_THAT(places_[3], HasSubstr("a.json, line 5"));
  EXPECT_TRUE(read("a.json", "[ ]").empty());
}

TEST_F(RowReaderTest, ARowThatIsNoJsonLeavesTheOthersAlone) {
  EXPECT_THAT(read("a.json", "[{\"a\": 1}, {'a'}, oops, {\"a\": 2}]"),
              ElementsAre("{\"a\": 1}", "{'a'}", "oops", "{\"a\": 2}"));
}

TEST_F(RowReaderTest, ArraysThatDoNotCloseAreNamedWithTheirLastRow) {
  for (const std::string content : {"[", "[{\"a\": 1}", "[{\"a\": 1},", "[{\"a", "[{\"a\\"})
    EXPECT_THAT(error(content), AllOf(HasSubstr("a.json"), HasSubstr("the array is not closed")))
        << content;
  EXPECT_THAT(error("[1,\n2,\n{\"a\": 3"), HasSubstr("its last row begins on line 3"));
  EXPECT_THAT(error("[1]\n\n{}"), HasSubstr("line 3: something follows the array"));
}

// Any array that nlohmann reads is cut into the same elements.
TEST_F(RowReaderTest, ArraysOfTheAssetsReadAsAWholeOrInRows) {
  const std::string path = std::string(TREEPO_ASSETS) + "/data/deepscaler/train_math.json";
  if (!file_system().exists(path)) GTEST_SKIP() << no_assets();
  const Json whole = read_json_file(path);
  const auto reader = open_rows(path);
  size_t count = 0;
  for (; reader->next(); ++count)
    ASSERT_EQ(parse_json(reader->text(), reader->where()), whole.at(count));
  EXPECT_EQ(count, whole.size());
}

TEST_F(RowReaderTest, ParquetRowsAreTheirJson) {
  write_parquet(
      "[{'prompt': [{'role': 'user', 'content': 'é'}], 'reward_model': {'ground_truth': '7', "
      "'style': 'rule'}, 'n': None, 'x': 0.5}, {'prompt': [], 'x': float('nan')}]");
  EXPECT_THAT(read("rows.parquet"),
              ElementsAre(R"({"prompt": [{"role": "user", "content": "é"}], "reward_model": )"
                          R"({"ground_truth": "7", "style": "rule"}, "n": null, "x": 0.5})",
                          R"({"prompt": [], "reward_model": null, "n": null, "x": null})"));
  EXPECT_THAT(places_[1], HasSubstr("rows.parquet, row 2"));
}

// More rows than one request takes, in several row groups.
TEST_F(RowReaderTest, ParquetRowsComeInTheirOrder) {
  write_parquet("[{'i': i} for i in range(1000)]");
  const auto texts = read("rows.parquet");
  ASSERT_EQ(texts.size(), 1000u);
  for (int i = 0; i < 1000; ++i)
    ASSERT_EQ(texts[static_cast<size_t>(i)], "{\"i\": " + std::to_string(i) + "}");
}

TEST_F(RowReaderTest, BrokenParquetFilesAreNamed) {
  EXPECT_THAT(error_of([&] { read("x.parquet", "no parquet"); }),
              AllOf(HasSubstr("x.parquet: can't be read as Parquet"), HasSubstr("ArrowInvalid")));
  EXPECT_THAT(error_of([&] { read("absent.parquet"); }), HasSubstr("absent.parquet"));
}

}  // namespace
}  // namespace treepo
