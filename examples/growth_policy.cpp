// A growth policy of one's own: all children that are free go to the path that was least certain of
// its last segment. Prints the tree that it grows beside the one that an even split grows.
#include <treepo/base/error.h>
#include <treepo/config/load.h>
#include <treepo/report/tree_text.h>
#include <treepo/train/tree_record.h>
#include <treepo/train/tree_sampler.h>

#include <algorithm>
#include <iostream>
#include <numeric>

using namespace treepo;

// At least 1 child for each active path, in their order, together at most `budget`.
std::vector<int32_t> to_the_least_certain(const Query&, const SearchTree& tree,
                                          std::span<const int32_t> active, int32_t budget) {
  const auto uncertainty = [&](int32_t node) {
    const std::span<const double> entropies = tree.entropies(node);
    return std::accumulate(entropies.begin(), entropies.end(), 0.0) / double(entropies.size());
  };
  const auto least_certain = std::ranges::max_element(active, {}, uncertainty) - active.begin();
  std::vector<int32_t> children(active.size(), 1);
  children[size_t(least_certain)] += budget - int32_t(active.size());
  return children;
}

// Children of the node that has most of them, the prompt left out.
size_t widest_split(const LoggedTree& tree) {
  size_t widest = 0;
  const auto children = tree.children();
  for (size_t node = 1; node < children.size(); ++node)
    widest = std::max(widest, children[node].size());
  return widest;
}

int main() try {
  const RunOptions options =
      load_options("", {"rollout.width=12", "rollout.depth=3", "rollout.segment_tokens=6",
                        "rollout.branching_factor=4", "rollout.first_split_min=3",
                        "rollout.first_split_max=3", "model.initializer_range=0.1"});
  TreeSampler sampler(options, /*scratch_dir=*/"fresh-tokenizer");
  Problem problem;
  problem.prompt = "8+5+4-8+3*6:";
  const TrainingQuery query = make_training_query(problem, 0, 0, sampler.text().tokenizer);

  const auto grow = [&](const RolloutCallbacks& callbacks) {
    const SearchTree tree = sampler.sample({&query, 1}, callbacks).front();
    const OrderedJson record = unscored_record(query, tree, sampler.text());
    LoggedTree logged = read_logged_tree(record, "the tree");
    std::cout << tree_text(logged, 100) << "\n";
    return logged;
  };
  const size_t even = widest_split(grow({}));
  const size_t own = widest_split(grow({.split_budget = to_the_least_certain}));
  std::cout << "widest split: even " << even << ", to the least certain " << own << "\n";
  return own > even ? 0 : 1;
} catch (const Error& error) {
  std::cerr << error.what() << "\n" << error.hint() << "\n";
  return 1;
}
