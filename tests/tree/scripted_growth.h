#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "tree/growth.h"
#include "tree/picture.h"
#include "tree/stop_rules.h"

namespace treepo {

// Letters as tokens, which show what policies look at:
//   a, b, c, …  log-prob 0, -1, -2, …, entropy 0
//   A, B, C, …  log-prob 0, entropy 0, 1, 2, …
//   "." and "!" end of sequence; a trajectory that ends with "!" is verified (score 1)
//   "x"         an answer (with stop.answer = boxed); "z" twice in a segment: it repeats itself
inline double letter_logprob(int32_t letter) {
  return letter >= 'a' && letter <= 'w' ? 'a' - letter : 0;
}
inline double letter_entropy(int32_t letter) {
  return letter >= 'A' && letter <= 'Z' ? letter - 'A' : 0;
}

inline void append_letters(SearchTree& tree, int32_t node, const std::string& letters) {
  for (const char letter : letters) {
    tree.append(node, letter, letter_logprob(letter), letter_entropy(letter));
  }
}

// A tree that grows by a script, without model or engine: the twin of a barrier in live_tree.cpp.
struct ScriptedGrowth {
  struct Line {
    std::string after;    // text of the path, the prompt "p" included
    std::string segment;  // of its next child
  };
  GrowthOptions growth;
  StopOptions stop{};
  GrowthFacts facts{};
  SplitBudget split{};
  std::vector<Line> script;  // lines with the same `after` go to the children in their order
  std::string expected;      // picture of the tree

  void check() const {
    Lines next = lines();
    EXPECT_EQ(grow(next, 1), expected);
    for (const auto& [after, left] : next) {
      EXPECT_TRUE(left.empty()) << "unused: after " << after << ": " << left.front();
    }
  }

  // The picture with other random numbers; lines may be left over.
  std::string picture_of(uint64_t seed) const {
    Lines next = lines();
    return grow(next, seed);
  }

 private:
  using Lines = std::map<std::string, std::vector<std::string>>;

  Lines lines() const {
    Lines next;
    for (const Line& line : script) next[line.after].push_back(line.segment);
    return next;
  }

  std::string grow(Lines& next, uint64_t seed) const {
    const StopRules rules = make_stop_rules(growth, stop);
    SearchTree tree({'p'}, rules.segment_tokens);
    TreeGrowth policy(growth, seed, 2, 3, facts);
    std::vector<int32_t> active;
    int32_t stopped = 0;
    for (std::vector<Branch> branches = policy.start(); !branches.empty();
         branches = policy.next(tree, active, stopped, split)) {
      const int32_t first = tree.num_nodes();
      for (const Branch& branch : branches) {
        for (int32_t i = 0; i < branch.copies; ++i) {
          const int32_t node = tree.add_child(branch.parent, branch.parent_used_tokens);
          std::vector<std::string>& left = next[text(tree, node)];
          if (left.empty()) {
            ADD_FAILURE() << "nothing (more) after \"" << text(tree, node) << "\"";
            return picture(tree);
          }
          append_letters(tree, node, left.front());
          left.erase(left.begin());
        }
      }
      active.clear();
      stopped = 0;
      for (int32_t node = first; node < tree.num_nodes(); ++node) {
        judge(tree, rules, node, active, stopped);
      }
      for (const int32_t node : policy.prune(tree, active)) {
        tree.stop(node, StopReason::pruned, !growth.train_pruned);
        std::erase(active, node);
        ++stopped;
      }
      if (!policy.needs_next_entropies(tree, active, stopped)) continue;
      for (const int32_t node : active) {
        tree.set_next_entropy(node, letter_entropy(next[text(tree, node)].at(0).front()));
      }
    }
    tree.check_invariants();
    return picture(tree);
  }

  static std::string text(const SearchTree& tree, int32_t node) {
    std::string text = "p";
    for (const int32_t letter : tree.response(node)) text += static_cast<char>(letter);
    return text;
  }

  static void judge(SearchTree& tree, const StopRules& rules, int32_t node,
                    std::vector<int32_t>& active, int32_t& stopped) {
    const auto tokens = tree.tokens(node);
    const TokenFacts last{.eos = tokens.back() == '.' || tokens.back() == '!'};
    ASSERT_TRUE(ends_segment(rules, tree.node(node), last)) << picture(tree);
    const SegmentFacts facts{.answer = std::ranges::count(tokens, 'x') > 0,
                             .repetition = std::ranges::count(tokens, 'z') > 1};
    const StopReason reason = judge_segment(rules, tree.node(node), last, facts);
    if (reason == StopReason::none) return active.push_back(node);
    ++stopped;
    const bool discarded = is_too_short(rules, tree.node(node));
    tree.stop(node, reason, discarded);
    if (!discarded && is_finished(reason)) tree.set_score(node, tokens.back() == '!' ? 1 : 0);
  }
};

}  // namespace treepo
