#include "report/study_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "base/files.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"

namespace treepo {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class StudyReportTest : public testing::Test {
 protected:
  // A run that decodes 1,000 of 3,000 tokens in each of two steps of 2 s, evaluated before and
  // after.
  StudyRunLog run(const std::string& variant, int64_t seed, double before, double after,
                  const std::string& more = "") {
    const std::string path = directory_ / fmt::format("{}-{}.jsonl", variant, seed);
    const std::string step =
        R"("sampling/unique_tokens":1000,"sampling/trajectory_tokens":3000,"time/step":2.0})";
    write_file_atomically(path,
                          fmt::format("{{\"step\":0,\"eval/score\":{0},\"eval/pass@1\":{0}}}\n"
                                      "{{\"step\":1,{1}\n{{\"step\":2,{1}\n"
                                      "{{\"step\":2,\"eval/score\":{2},\"eval/pass@1\":{2}{3}}}\n",
                                      before, step, after, more));
    return {.variant = variant, .seed = seed, .metrics = path};
  }

  TemporaryDirectory directory_;
};

TEST_F(StudyReportTest, MeansAndDeviationsOverSeedsOfTheLastEvaluation) {
  const StudyComparison found = compare_study(std::vector<StudyRunLog>{
      run("b", 1, 0.1, 0.5), run("a", 1, 0.1, 0.3), run("b", 2, 0.1, 0.9)});
  EXPECT_THAT(found.measures, ElementsAre("eval/pass@1", "eval/score"));
  ASSERT_EQ(found.rows.size(), 2u);
  EXPECT_EQ(found.rows[0].variant, "b");
  EXPECT_EQ(found.rows[0].runs, 2);
  EXPECT_DOUBLE_EQ(found.rows[0].measures[0].mean, 0.7);
  EXPECT_DOUBLE_EQ(found.rows[0].measures[0].deviation, std::sqrt(0.08));
  EXPECT_DOUBLE_EQ(found.rows[0].unique_tokens.mean, 2000);
  EXPECT_DOUBLE_EQ(found.rows[0].trajectory_tokens.mean, 6000);
  EXPECT_DOUBLE_EQ(found.rows[0].seconds.mean, 4);
  EXPECT_DOUBLE_EQ(found.rows[0].steps.mean, 2);
  EXPECT_DOUBLE_EQ(found.rows[1].measures[0].mean, 0.3);
  EXPECT_THAT(found.markdown, HasSubstr("| b | 2 | 2 | 70.0 ± 28.3 % | 70.0 ± 28.3 % | 2 k |"));
  EXPECT_THAT(found.markdown, HasSubstr("| a | 1 | 2 | 30.0 % |"));
}

TEST_F(StudyReportTest, CurvesHaveABandFromTheLowestToTheHighestSeed) {
  const StudyComparison found =
      compare_study(std::vector<StudyRunLog>{run("b", 1, 0.0, 0.5), run("b", 2, 0.0, 1.0)});
  // Steps 0 and 2 lie at x 80 and 540; shares 0, 0.5 and 1 at y 284, 162 and 40.
  EXPECT_THAT(found.svg, HasSubstr("points=\"80.0,284.0 540.0,40.0 540.0,162.0 80.0,284.0 \""));
  EXPECT_THAT(found.svg, HasSubstr("points=\"80.0,284.0 540.0,101.0\""));
}

TEST_F(StudyReportTest, TheLargestMajorityHasAColumn) {
  const StudyComparison found = compare_study(
      std::vector<StudyRunLog>{run("a", 1, 0, 0.25, ",\"eval/maj@4\":0.5,\"eval/maj@16\":0.75")});
  EXPECT_THAT(found.measures, ElementsAre("eval/pass@1", "eval/score", "eval/maj@16"));
  EXPECT_DOUBLE_EQ(found.rows[0].measures[2].mean, 0.75);
}

TEST_F(StudyReportTest, RunsThatHaveNotBegunAndALineThatIsBeingWritten) {
  const StudyRunLog begun = run("a", 1, 0.2, 0.4);
  write_file_atomically(begun.metrics, read_file(begun.metrics) + "{\"step\":3,\"eval/sc");
  const StudyComparison found = compare_study(std::vector<StudyRunLog>{
      begun, {.variant = "a", .seed = 2, .metrics = directory_ / "none.jsonl"}});
  EXPECT_EQ(found.rows[0].runs, 1);
  EXPECT_DOUBLE_EQ(found.rows[0].measures[0].mean, 0.4);

  write_file_atomically(begun.metrics, "{\"step\":0}\n{\"step\n");
  EXPECT_THAT(error_of([&] { compare_study(std::vector<StudyRunLog>{begun}); }),
              HasSubstr("line 2"));
}

}  // namespace
}  // namespace treepo
