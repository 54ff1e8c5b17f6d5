#pragma once

#include <deque>
#include <functional>

#include "train/batch_collector.h"

namespace treepo {

// Verifies trees as they finish, while others are still decoded, and hands them on in the order in
// which they were begun. Use: begin() from RolloutCallbacks::tree_done, finish() after the rollout.
class TreeVerifier {
 public:
  using Done = std::function<void(size_t index, ScoredTree tree)>;

  // All arguments must outlive it.
  TreeVerifier(const RunOptions& options, const TokenText& text, Verifier& verifier, Done done)
      : options_(options), text_(text), verifier_(verifier), done_(std::move(done)) {}
  TreeVerifier(const TreeVerifier&) = delete;
  TreeVerifier& operator=(const TreeVerifier&) = delete;

  // `index` comes back with the tree. Waits for the oldest where very many are on their way.
  // `known`: verdicts that growth has asked for.
  void begin(size_t index, TrainingQuery query, const SearchTree& tree, LeafVerdicts known = {});
  void finish();

 private:
  struct Begun {
    size_t index;
    TrainingQuery query;
    SearchTree tree;
    TreeVerification verification;
  };

  void hand_on_oldest();

  const RunOptions& options_;
  const TokenText& text_;
  Verifier& verifier_;
  Done done_;
  std::deque<Begun> begun_;  // its elements stay where they are: verification refers to them
};

}  // namespace treepo
