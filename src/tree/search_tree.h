#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string_view>
#include <vector>

namespace treepo {

// Why a path stopped. The first three count as finished, the others as failed.
enum class StopReason : uint8_t {
  none,         // still decoded, or an inner node
  answer,       // an answer was found in the last segment
  eos,          // end-of-sequence token
  stop_string,  // one of the stop strings was written
  length,       // response length reached
  depth,        // largest number of segments reached
  repetition,   // the text of the segment repeats itself
  pruned,       // given up in favour of other paths
};
std::string_view stop_reason_name(StopReason reason);
StopReason stop_reason_from_name(std::string_view name);  // throws Error on an unknown name
bool is_finished(StopReason reason);                      // answer, eos, stop_string

// One segment. Node 0 is the root: it stands for the prompt and has no decoded tokens.
struct TreeNode {
  int32_t parent = -1;
  int32_t depth = 0;               // segments on the path, this one included; the root has 0
  int32_t parent_used_tokens = 0;  // how many tokens of the parent's segment lie on this path:
                                   // all of them, or fewer after a fallback into the segment
  int32_t num_tokens = 0;          // decoded so far
  int32_t prefix_tokens = 0;       // response tokens on the path before this segment
  StopReason stop = StopReason::none;
  bool discarded = false;  // no trajectory: stopped below the minimum length, or pruned for good
  bool fallback = false;   // begins a path that restarted inside the tree
  // What policies may ask for; NaN where none did.
  double score = std::numeric_limits<double>::quiet_NaN();  // of the trajectory that ends here
  double next_entropy = std::numeric_limits<double>::quiet_NaN();  // of the token after the last
};

// All that is sampled for one query: an arena of segments that knows nothing of how it grows.
//
//      prompt         node 0   (depth 0)
//      ├─ AAAA        node 1   parent 0
//      │  ├─ BBB.     node 3   parent 1                    trajectory AAAABBB.
//      │  └─ CCCC     node 4   parent 1, still active
//      │  └─ DDD.     node 5   parent 1, parent_used_tokens 2: fallback inside a segment,
//      │                       trajectory AADDD.
//      └─ EE.         node 2   parent 0                    trajectory EE.
//
// Tokens, log-probs and entropies of node n lie in slots [n * segment_tokens, (n + 1) *
// segment_tokens) of three arrays, so that all active paths grow at once without moving anything.
class SearchTree {
 public:
  SearchTree(std::vector<int32_t> prompt, int32_t segment_tokens);

  // --- growing
  // New empty node below `parent`; keeps the first parent_used_tokens of its segment (-1: all).
  int32_t add_child(int32_t parent, int32_t parent_used_tokens = -1, bool fallback = false);
  void append(int32_t node, int32_t token, double logprob, double entropy);
  // Records the stop; a node that is not discarded becomes the next trajectory.
  void stop(int32_t node, StopReason reason, bool discarded = false);
  void set_score(int32_t leaf, double score);
  void set_next_entropy(int32_t node, double entropy);
  void shrink_to_fit();  // gives back spare memory once nothing grows any more

  // --- reading
  int32_t segment_tokens() const { return segment_tokens_; }
  int32_t num_nodes() const { return static_cast<int32_t>(nodes_.size()); }
  const TreeNode& node(int32_t id) const { return nodes_[static_cast<size_t>(id)]; }
  std::span<const int32_t> prompt() const { return prompt_; }
  std::span<const int32_t> tokens(int32_t node) const;    // [num_tokens]
  std::span<const double> logprobs(int32_t node) const;   // [num_tokens]
  std::span<const double> entropies(int32_t node) const;  // [num_tokens]
  // Nodes of the trajectories in the order in which they stopped. Node ids, not indices 0…w-1.
  const std::vector<int32_t>& leaves() const { return leaves_; }
  // Response tokens on the path down to `node`, its own included.
  int32_t path_tokens(int32_t node) const;
  // [0, …, node]: every node passed through, the root first.
  std::vector<int32_t> path(int32_t node) const;
  // How many tokens of each node of path(node) lie on the path: the last node counts whole.
  std::vector<int32_t> path_used_tokens(int32_t node) const;
  // Tokens (or log-probs, entropies) of the response, root to `node`.
  std::vector<int32_t> response(int32_t node) const;
  std::vector<double> response_logprobs(int32_t node) const;
  std::vector<double> response_entropies(int32_t node) const;

  int64_t unique_tokens() const;      // decoded tokens
  int64_t trajectory_tokens() const;  // sum of the trajectories' lengths

  void check_invariants() const;  // throws CheckFailure

 private:
  size_t first_slot(int32_t node) const {
    return static_cast<size_t>(node) * static_cast<size_t>(segment_tokens_);
  }
  void resize_slots();

  std::vector<int32_t> prompt_;
  int32_t segment_tokens_;
  std::vector<TreeNode> nodes_;
  std::vector<int32_t> tokens_;
  std::vector<double> logprobs_, entropies_;
  std::vector<int32_t> leaves_;
};

}  // namespace treepo
