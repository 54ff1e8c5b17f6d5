#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "model/packed_sequence.h"
#include "tree/search_tree.h"

namespace treepo {

// What the update takes from one tree. Per-token arrays are laid out as the tree's own: the token
// at `offset` of node n lies in slot n * segment_tokens + offset.
struct TrainingTree {
  const SearchTree* tree = nullptr;
  std::vector<int32_t> leaves = {};          // nodes of the trajectories that take part
  std::vector<double> advantages = {};       // one for each of `leaves`
  std::vector<double> node_advantages = {};  // by node, for its tokens; empty: `advantages` count
  std::vector<bool> masked = {};             // of `leaves`: no part of the policy loss; empty: none
  int64_t left_out = 0;  // trajectories without any loss, which divisors of trajectories count
  std::vector<double> old_logprobs = {};        // before the update, by slot; empty: as sampled
  std::vector<double> reference_logprobs = {};  // of the reference model, by slot; empty: none
};

// How much a token of a trajectory weighs in sums over trajectories.
enum class LeafWeight {
  one,                  // token mean (DAPO), constant length (Dr. GRPO)
  inverse_length,       // mean over each trajectory first (GRPO)
  inverse_tree_tokens,  // mean over the tokens of a query's trajectories first (BNPO)
};

// Whether what TrainingTree::masked names is packed: it has no policy loss, but may have other
// terms.
enum class MaskedLeaves { packed, dropped };

// A trajectory as ratios of sequences need it.
struct PackedTrajectory {
  double advantage = 0;
  double weight = 0;       // of its tokens in the policy loss; 0 where it is masked
  int64_t num_tokens = 0;  // of its response, wherever they are packed
};

// Trees (or chains) as one forward pass runs them, with everything a loss needs to know of them.
// A *target* is a decoded token; its *source* is the token before it on its path, whose hidden
// state predicts it. Sums "through" a target go over the trajectories that contain it. A token that
// is no source is not run: nothing looks at it.
//
// Example: prompt [5, 6], trajectories [7, 8] (advantage 1) and [9] (advantage -0.5):
//   sequence.tokens  = [5, 6, 7]
//   source_row       = [1, 2]            packed index of each source, ascending
//   target_source    = [0, 0, 1]         index into source_row, ascending: 6 predicts 7 and 9
//   target_token     = [7, 9, 8]
//   positive         = [1, 0, 1]         sum of weight * max(advantage, 0)
//   negative         = [0, -0.5, 0]      sum of weight * min(advantage, 0)
//   weight           = [1, 1, 1]         sum of weights
//   trajectories     = [{1, 1, 2}, {-0.5, 1, 1}]
//   first_trajectory = [0, 1, 0]         with num_leaves = [1, 1, 1]: those through it
struct PackedTrees {
  PackedSequence sequence;
  std::vector<int64_t> source_row;                        // [S]
  std::vector<int64_t> target_source;                     // [M]
  std::vector<int64_t> target_token;                      // [M]
  std::vector<double> positive, negative, weight;         // [M]
  std::vector<int32_t> positive_leaves, negative_leaves;  // [M] trajectories of either sign
  std::vector<int32_t> num_leaves;     // [M] trajectories, advantage 0 and masked ones included
  std::vector<int32_t> masked_leaves;  // [M] those of them that are masked
  std::vector<double> sampled_logprob, old_logprob;  // [M]
  std::vector<double> reference_logprob;             // [M], or empty
  std::vector<double> node_advantage;                // [M] of its segment, or empty
  bool old_recomputed = false;                       // old_logprob is not just as sampled
  std::vector<int32_t> target_tree;                  // [M] index of the training tree
  std::vector<int64_t> target_slot;                  // [M] slot in that tree
  // Numbered so that those through a token stand together: target t is a token of
  // trajectories[first_trajectory[t]] and the num_leaves[t] - 1 after it.
  std::vector<PackedTrajectory> trajectories;
  std::vector<int32_t> first_trajectory;  // [M]
  // Packs of one batch number trajectories through: this is the number of trajectories[0].
  int32_t trajectory_offset = 0;

  int64_t num_sources() const { return static_cast<int64_t>(source_row.size()); }
  int64_t num_targets() const { return static_cast<int64_t>(target_source.size()); }
  int64_t trajectory_tokens() const;  // sum of num_leaves
  void check_invariants() const;      // throws CheckFailure
};

// Each shared token once. A tree is cut at every point where a child leaves its parent's segment;
// tokens that none of the leaves passes through are left out; depth-first order, at a cut the
// branches come before the rest of the segment. Equal siblings stay apart.
// Throws Error on an empty prompt. All trees bring old (or reference) log-probs, or none does.
// Dropped leaves still count in LeafWeight::inverse_tree_tokens.
PackedTrees pack_trees(std::span<const TrainingTree> trees, LeafWeight weighting = LeafWeight::one,
                       MaskedLeaves masked = MaskedLeaves::packed);

// Every trajectory as a chain of its own: the same sums of losses, each shared token run once for
// each trajectory through it.
PackedTrees pack_apart(std::span<const TrainingTree> trees, LeafWeight weighting = LeafWeight::one,
                       MaskedLeaves masked = MaskedLeaves::packed);

// A prompt and the response to learn. In a chat what follows the first prompt is a response of
// which some tokens are read only, those of later questions.
struct Example {
  std::vector<int32_t> prompt = {}, response = {};
  std::vector<bool> learned = {};  // [response.size()]; empty: all of it
  std::string where = {};          // it comes from, for messages: "FILE, line 12"
};

// Every example as a chain; each learned token has weight and advantage 1.
PackedTrees pack_examples(std::span<const Example> examples);

// Splits packed trees into packs of at most max_tokens: between trees where possible, else within a
// tree, whose part then repeats the prefix of its first token (run again, not counted again). Every
// target is in exactly one pack and keeps its sums over all trajectories, so the losses of the
// packs add up to that of the whole. A trajectory whose tokens lie in several packs is listed in
// each. A path that is longer than max_tokens alone makes a larger pack.
std::vector<PackedTrees> split_packs(const PackedTrees& packed, int64_t max_tokens);

}  // namespace treepo
