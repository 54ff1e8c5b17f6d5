#include "report/tree_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include "base/format.h"
#include "report/small_log.h"

namespace treepo {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

TEST(TreeText, DrawsTheSmallTree) {
  EXPECT_EQ(tree_text(read_logged_tree(small_tree_line(), "here"), 100),
            "step 4  query q   2 leaves   mean reward 0.5   6 tokens decoded for 7 (86 %)\n"
            "prompt  p?\n"
            "└─ 2 tok  -1.00  ab\n"
            "   ├─ 2 tok  cd   eos  reward 1  advantage +0.5\n"
            "   └╌ 2 tok  ef   length  reward 0  after 1 tokens\n");
}

TEST(TreeText, LinesKeepToTheWidth) {
  Json line = small_tree_line();
  line["prompt_text"] = std::string(500, 'p');
  for (Json& node : line["nodes"]) node["text"] = std::string(300, 'w');
  for (const int width : {70, 90, 200}) {
    std::istringstream lines(tree_text(read_logged_tree(line, "here"), width));
    std::string one;
    std::getline(lines, one);  // the heading is not cut
    while (std::getline(lines, one)) EXPECT_LE(character_count(one), width) << one;
  }
}

TEST(TreeText, NothingMovesTheCursorOrTurnsTheText) {
  EXPECT_EQ(visible_line("a\nb\tc\x1b[31m\x07"), "a↵b→c␛[31m␇");
  EXPECT_EQ(visible_line("x\u202Ey\u200Fz\uFEFF\u0085"), "x<U+202E>y<U+200F>z<U+FEFF><U+0085>");
  EXPECT_EQ(visible_line("שלום 😀 é"), "שלום 😀 é");
  Json line = small_tree_line();
  line["prompt_text"] = line["query_id"] = line.at("nodes").at(1)["text"] = "\x1b]0;title\x07\r\n";
  EXPECT_THAT(tree_text(read_logged_tree(line, "here"), 80),
              AllOf(Not(HasSubstr("\x1b")), Not(HasSubstr("\r")), Not(HasSubstr("\x07"))));
}

TEST(TreeText, AThousandSegmentsDeep) {
  Json line = small_tree_line();
  line["leaves"] = Json::array();
  line["nodes"] = Json::parse(R"([{"id": 0, "parent": -1, "tokens": []}])");
  for (int i = 1; i <= 1000; ++i)
    line["nodes"].push_back(
        Json::parse(fmt::format(R"({{"id": {}, "parent": {}, "tokens": [1]}})", i, i - 1)));
  const std::string text = tree_text(read_logged_tree(line, "here"), 80);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1002);
}

}  // namespace
}  // namespace treepo
