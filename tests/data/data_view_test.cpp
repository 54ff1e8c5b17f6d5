#include "data/data_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace treepo {
namespace {

using testing::HasSubstr;

TEST(DataView, HistogramsHaveRoundBins) {
  EXPECT_EQ(histogram_text(std::vector<int32_t>{0, 1, 4, 5, 9, 14, 14, 14}, 3),
            "   0 –  4  ████████████████████████████████████████ 3\n"
            "   5 –  9  ███████████████████████████ 2\n"
            "  10 – 14  ████████████████████████████████████████ 3\n");
  EXPECT_EQ(histogram_text(std::vector<int32_t>{3}, 12),
            "  0 – 0  0\n  1 – 1  0\n  2 – 2  0\n  3 – 3  "
            "████████████████████████████████████████ 1\n");
}

LoadedSource source(const std::string& name, std::optional<double> weight, int problems) {
  LoadedSource loaded;
  loaded.spec.name = name;
  loaded.spec.weight = weight;
  loaded.problems.resize(static_cast<size_t>(problems));
  loaded.prompt_lengths.assign(static_cast<size_t>(problems), 7);
  loaded.report.rows = problems + 1;
  loaded.report.unanswered = 1;
  return loaded;
}

TEST(DataView, SharesAndVisitsOfAnEpoch) {
  const std::string text = sources_text({source("a", 1, 30), source("b", 3, 10)}, "tokens");
  EXPECT_THAT(text, HasSubstr("a             31        30         1   25.0 %      0.33×  7, 7, 7"));
  EXPECT_THAT(text, HasSubstr("b             11        10         1   75.0 %      3.00×"));
  EXPECT_THAT(text, HasSubstr("a: 1 of 31 rows left out: 1 without an answer"));
  EXPECT_THAT(sources_text({source("a", {}, 30), source("b", {}, 10)}, "tokens"),
              HasSubstr("25.0 %      1.00×"));
}

}  // namespace
}  // namespace treepo
