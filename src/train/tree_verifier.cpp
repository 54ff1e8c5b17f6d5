#include "train/tree_verifier.h"

#include <utility>

namespace treepo {

namespace {

constexpr size_t kMostOnTheirWay = 64;  // trees

}  // namespace

void TreeVerifier::begin(size_t index, TrainingQuery query, const SearchTree& tree,
                         LeafVerdicts known) {
  if (begun_.size() >= kMostOnTheirWay) hand_on_oldest();
  Begun& begun = begun_.emplace_back(Begun{index, std::move(query), tree, {}});
  begun.verification =
      start_verification(begun.query.problem, begun.tree, text_, verifier_, std::move(known));
}

void TreeVerifier::finish() {
  while (!begun_.empty()) hand_on_oldest();
}

void TreeVerifier::hand_on_oldest() {
  Begun& oldest = begun_.front();
  ScoredTree scored = finish_verification(oldest.query, std::move(oldest.tree),
                                          std::move(oldest.verification), options_);
  const size_t index = oldest.index;
  begun_.pop_front();
  done_(index, std::move(scored));
}

}  // namespace treepo
