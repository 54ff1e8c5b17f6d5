#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "rollout/engine.h"
#include "rollout/fake_model.h"
#include "tree/picture.h"

namespace treepo {
namespace {

// Whole trees, drawn. "." is EOS; the prompt is "p". The script tells what the model writes after
// what; where a branching point has several children, the lines' order is that of the children.
struct DrawnTree {
  GrowthOptions growth;
  StopOptions stop{};
  std::vector<ScriptedModel::Line> script;
  std::string expected;
  std::vector<std::string> trajectories;            // in the order of their end
  std::optional<std::vector<int32_t>> fallbacks{};  // nodes that begin one; none: not looked at
};

StopOptions with_lengths(int64_t shortest, int64_t longest) {
  StopOptions stop;
  stop.min_response_tokens = shortest;
  stop.response_tokens = longest;
  return stop;
}

void expect_tree(const DrawnTree& drawn, const RolloutCallbacks& callbacks = {}) {
  ScriptedModel model(drawn.script);
  RolloutSettings settings{.growth = drawn.growth, .stop = drawn.stop, .eos_ids = {'.'}};
  RolloutEngine engine(model, settings);
  const std::vector<Query> queries = {{.id = 1, .prompt = {'p'}}};
  const std::vector<SearchTree> trees = engine.run(queries, callbacks);
  const SearchTree& tree = trees[0];
  tree.check_invariants();
  EXPECT_EQ(picture(tree), drawn.expected);
  std::vector<std::string> trajectories;
  for (const int32_t leaf : tree.leaves()) {
    const std::vector<int32_t> tokens = tree.response(leaf);
    trajectories.emplace_back(tokens.begin(), tokens.end());
  }
  EXPECT_EQ(trajectories, drawn.trajectories);
  EXPECT_EQ(model.unused(), 0u);
  if (!drawn.fallbacks) return;
  std::vector<int32_t> fallbacks;
  for (int32_t node = 0; node < tree.num_nodes(); ++node)
    if (tree.node(node).fallback) fallbacks.push_back(node);
  EXPECT_EQ(fallbacks, *drawn.fallbacks);
}

// Two copies of the root, each doubles: width 4 is reached at depth 2.
TEST(DrawnTrees, FullBinary) {
  expect_tree({.growth = {.width = 4, .depth = 2, .segment_tokens = 3},
               .script = {{"p", "aaa"},
                          {"p", "bbb"},
                          {"paaa", "ccc"},
                          {"paaa", "ddd"},
                          {"pbbb", "eee"},
                          {"pbbb", "fff"}},
               .expected = "p\n"
                           "  aaa\n"
                           "    ccc length\n"
                           "    ddd length\n"
                           "  bbb\n"
                           "    eee length\n"
                           "    fff length\n",
               .trajectories = {"aaaccc", "aaaddd", "bbbeee", "bbbfff"},
               .fallbacks = {std::vector<int32_t>{}}});
}

// One of two paths stops early: A = 1, f = 1, F = 1, so that the other may have
// min(4 - 1, 2 * 1 + 2 * 1) = 3 children. All three stop: the tree is complete, without fallback.
TEST(DrawnTrees, BudgetIsTransferred) {
  expect_tree(
      {.growth = {.width = 4, .depth = 3, .segment_tokens = 3},
       .script = {{"p", "a."}, {"p", "bbb"}, {"pbbb", "c."}, {"pbbb", "dd."}, {"pbbb", "."}},
       .expected = "p\n"
                   "  a. eos\n"
                   "  bbb\n"
                   "    c. eos\n"
                   "    dd. eos\n"
                   "    . eos\n",
       .trajectories = {"a.", "bbbc.", "bbbdd.", "bbb."}});
}

// 5 paths from 2: the remainder goes to the last one.
TEST(DrawnTrees, RemainderGoesToTheLast) {
  expect_tree({.growth = {.width = 5, .depth = 2, .segment_tokens = 2, .branching_factor = 3},
               .script = {{"p", "aa"},
                          {"p", "bb"},
                          {"paa", "cc"},
                          {"paa", "dd"},
                          {"pbb", "ee"},
                          {"pbb", "ff"},
                          {"pbb", "gg"}},
               .expected = "p\n"
                           "  aa\n"
                           "    cc length\n"
                           "    dd length\n"
                           "  bb\n"
                           "    ee length\n"
                           "    ff length\n"
                           "    gg length\n",
               .trajectories = {"aacc", "aadd", "bbee", "bbff", "bbgg"}});
}

// Width 1: a single path, which never branches and never falls back.
TEST(DrawnTrees, WidthOne) {
  expect_tree({.growth = {.width = 1, .depth = 3, .segment_tokens = 2, .first_split_max = 8},
               .script = {{"p", "aa"}, {"paa", "bb"}, {"paabb", "c."}},
               .expected = "p\n"
                           "  aa\n"
                           "    bb\n"
                           "      c. eos\n",
               .trajectories = {"aabbc."}});
}

// Depth 1: nothing branches below the first segments; what is missing restarts from the prompt, for
// every boundary is there: b = 2 for each of the two candidates, of which one is needed.
TEST(DrawnTrees, DepthOne) {
  expect_tree({.growth = {.width = 3, .depth = 1, .segment_tokens = 2},
               .script = {{"p", "aa"}, {"p", "b."}, {"p", "cc"}},
               .expected = "p\n"
                           "  aa length\n"
                           "  b. eos\n"
                           "  cc length\n",
               .trajectories = {"aa", "b.", "cc"}});
}

// GRPO's sampling: all copies at the root, none later, no budget moves.
TEST(DrawnTrees, Sequential) {
  expect_tree(
      {.growth = {.width = 3, .depth = 3, .segment_tokens = 2, .sequential = true},
       .script =
           {{"p", "a."}, {"p", "bb"}, {"p", "cc"}, {"pbb", "d."}, {"pcc", "ee"}, {"pccee", "ff"}},
       .expected = "p\n"
                   "  a. eos\n"
                   "  bb\n"
                   "    d. eos\n"
                   "  cc\n"
                   "    ee\n"
                   "      ff length\n",
       .trajectories = {"a.", "bbd.", "cceeff"}});
}

// A trajectory shorter than a window leaves nothing: b = 2 new paths restart from the prompt.
TEST(DrawnTrees, FallbackToThePrompt) {
  expect_tree({.growth = {.width = 3,
                          .depth = 4,
                          .segment_tokens = 3,
                          .first_split_min = 1,
                          .first_split_max = 1},
               .script = {{"p", "a."}, {"p", "bb."}, {"p", "c."}},
               .expected = "p\n"
                           "  a. eos\n"
                           "  bb. eos\n"
                           "  c. eos\n",
               .trajectories = {"a.", "bb.", "c."}});
}

// Two segments and a bit; one window is dropped, which leaves the two segments. With b = 1 the only
// trajectory gives one path, then one of the two trajectories another.
TEST(DrawnTrees, FallbackAtASegmentBoundary) {
  expect_tree({.growth = {.width = 3,
                          .depth = 4,
                          .segment_tokens = 3,
                          .branching_factor = 1,
                          .first_split_min = 1,
                          .first_split_max = 1,
                          .fallback_max_windows = 1},
               .script = {{"p", "aaa"},
                          {"paaa", "bbb"},
                          {"paaabbb", "c."},
                          {"paaabbb", "dd."},  // fallback from the only trajectory
                          {"paaabbb", "eee"},  // one from two: both leave 2 segments
                          {"paaabbbeee", "f."}},
               .expected = "p\n"
                           "  aaa\n"
                           "    bbb\n"
                           "      c. eos\n"
                           "      dd. eos\n"
                           "      eee\n"
                           "        f. eos\n",
               .trajectories = {"aaabbbc.", "aaabbbdd.", "aaabbbeeef."},
               .fallbacks = {{4, 5}}});
}

// Window 2 in segments of 4: 7 tokens are 4 windows, one is dropped, 6 are kept: 2 of the second
// segment. The new path goes on in segments of 4 from there.
TEST(DrawnTrees, FallbackInsideASegment) {
  expect_tree({.growth = {.width = 2,
                          .depth = 4,
                          .segment_tokens = 4,
                          .branching_factor = 2,
                          .first_split_min = 1,
                          .first_split_max = 1,
                          .fallback_window = 2,
                          .fallback_max_windows = 1},
               .script = {{"p", "aa."}, {"paa", "bbbb"}, {"paabbbb", "c."}},
               .expected = "p\n"
                           "  aa. eos\n"
                           "    @2 bbbb\n"
                           "      c. eos\n",
               .trajectories = {"aa.", "aabbbbc."},
               .fallbacks = {{2}}});
}

// A full path of the largest depth: every cut inside its last segment leaves no depth, and is moved
// up to the end of the segment before.
TEST(DrawnTrees, FallbackThatLeavesNoDepthMovesUp) {
  expect_tree({.growth = {.width = 2,
                          .depth = 2,
                          .segment_tokens = 4,
                          .branching_factor = 1,
                          .first_split_min = 1,
                          .first_split_max = 1,
                          .fallback_window = 1,
                          .fallback_max_windows = 1},
               .script = {{"p", "aaaa"}, {"paaaa", "bbbb"}, {"paaaa", "cccc"}},
               .expected = "p\n"
                           "  aaaa\n"
                           "    bbbb length\n"
                           "    cccc length\n",
               .trajectories = {"aaaabbbb", "aaaacccc"}});
}

// The response length ends paths in the middle of a segment.
TEST(DrawnTrees, ResponseLength) {
  expect_tree({.growth = {.width = 2, .depth = 3, .segment_tokens = 4},
               .stop = with_lengths(0, 6),
               .script = {{"p", "aaaa"}, {"p", "bbbb"}, {"paaaa", "cc"}, {"pbbbb", "dd"}},
               .expected = "p\n"
                           "  aaaa\n"
                           "    cc length\n"
                           "  bbbb\n"
                           "    dd length\n",
               .trajectories = {"aaaacc", "bbbbdd"}});
}

// Paths below the minimum are discarded and replaced; their budget goes to the path that is left.
TEST(DrawnTrees, TooShortPathsAreDiscarded) {
  expect_tree(
      {.growth = {.width = 3, .depth = 2, .segment_tokens = 3},
       .stop = with_lengths(4, 0),
       .script = {{"p", "a."}, {"p", "bbb"}, {"pbbb", "c."}, {"pbbb", "dd."}, {"pbbb", "eee"}},
       .expected = "p\n"
                   "  a. eos (discarded)\n"
                   "  bbb\n"
                   "    c. eos\n"
                   "    dd. eos\n"
                   "    eee length\n",
       .trajectories = {"bbbc.", "bbbdd.", "bbbeee"}});
}

// Facts of the text: an answer in a segment ("x") ends the path at the segment's end, a repetition
// ("r" twice) before everything else; the stop string ("!") at once.
TEST(DrawnTrees, AnswersRepetitionAndStopStrings) {
  RolloutCallbacks callbacks;
  callbacks.judge_segment = [](const Query&, const SearchTree& tree, int32_t node) {
    const auto tokens = tree.tokens(node);
    return SegmentFacts{.answer = std::ranges::count(tokens, 'x') > 0,
                        .repetition = std::ranges::count(tokens, 'r') > 1};
  };
  callbacks.ends_with_stop_string = [](const Query&, const SearchTree& tree, int32_t node) {
    return tree.tokens(node).back() == '!';
  };
  StopOptions stop;
  stop.answer = "boxed";
  stop.repetition = true;
  stop.stop_strings = {"!"};
  expect_tree({.growth = {.width = 5,
                          .depth = 2,
                          .segment_tokens = 4,
                          .first_split_min = 5,
                          .first_split_max = 5},
               .stop = stop,
               .script = {{"p", "axaa"},
                          {"p", "b!"},
                          {"p", "rrx."},
                          {"p", "cx."},
                          {"p", "dddd"},
                          {"pdddd", "eeee"}},
               .expected = "p\n"
                           "  axaa answer\n"
                           "  b! stop_string\n"
                           "  rrx. repetition\n"
                           "  cx. answer\n"
                           "  dddd\n"
                           "    eeee length\n",
               .trajectories = {"axaa", "b!", "rrx.", "cx.", "ddddeeee"}},
              callbacks);
}

}  // namespace
}  // namespace treepo
