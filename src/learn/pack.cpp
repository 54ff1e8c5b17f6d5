#include "learn/pack.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "learn/pack_builder.h"

namespace treepo {
namespace {

// Depth-first walk over the nodes that the leaves pass through.
class TreePacker {
 public:
  explicit TreePacker(TreeWriter writer)
      : writer_(std::move(writer)), nodes_(static_cast<size_t>(writer_.tree().num_nodes())) {
    const TrainingTree& training = writer_.training();
    for (size_t i = 0; i < training.leaves.size(); ++i) {
      if (!writer_.is_packed(i)) continue;
      const int32_t leaf = training.leaves[i];
      const PackSums sums = writer_.leaf_sums(i);
      at(leaf).ending += sums;
      at(leaf).ending_leaves.push_back(i);
      mark_path(leaf, sums);
    }
    for (Node& node : nodes_) sort_children(node);
  }

  void pack() {
    if (at(0).children.empty()) return;
    const int32_t begin = writer_.builder().size();
    const PackCursor cursor = writer_.builder().run_prompt(writer_.tree().prompt());
    const int32_t end = writer_.builder().size();
    for (const int32_t child : at(0).children) visit(child, cursor);
    writer_.builder().close(begin, end);
  }

 private:
  struct Node {
    bool kept = false;
    std::vector<int32_t> children;      // kept ones, by the place where they leave
    PackSums below;                     // all leaves here and below
    PackSums ending;                    // the leaf that ends here, if any…
    std::vector<size_t> ending_leaves;  // …and where it stands among the tree's
  };

  Node& at(int32_t node) { return nodes_[static_cast<size_t>(node)]; }
  int32_t leaves_at(int32_t child) const { return writer_.tree().node(child).parent_used_tokens; }

  void mark_path(int32_t leaf, const PackSums& sums) {
    for (int32_t node = leaf; node != 0; node = writer_.tree().node(node).parent) {
      at(node).below += sums;
      if (!at(node).kept) at(writer_.tree().node(node).parent).children.push_back(node);
      at(node).kept = true;
    }
  }

  void sort_children(Node& node) const {
    std::sort(node.children.begin(), node.children.end(), [&](int32_t a, int32_t b) {
      return std::pair(leaves_at(a), a) < std::pair(leaves_at(b), b);
    });
  }

  void visit(int32_t id, PackCursor cursor) {
    const Node& node = at(id);
    const size_t num_children = node.children.size();
    // through[i]: leaves through the tokens between the (i-1)-th and the i-th child's cut.
    std::vector<PackSums> through(num_children + 1, node.ending);
    for (size_t i = num_children; i-- > 0;) {
      through[i] = through[i + 1];
      through[i] += at(node.children[i]).below;
    }

    std::vector<std::pair<int32_t, int32_t>> runs;  // packed ranges of this node's tokens
    int32_t offset = 0;
    const auto write_until = [&](int32_t end, const PackSums& sums, bool last_is_run) {
      const int32_t begin = writer_.builder().size();
      writer_.write({.node = id, .begin = offset, .end = end, .sums = sums}, last_is_run, cursor);
      runs.emplace_back(begin, writer_.builder().size());
      offset = end;
    };
    for (size_t i = 0; i < num_children; ++i) {
      write_until(leaves_at(node.children[i]), through[i], true);
      visit(node.children[i], cursor);
    }
    if (node.ending.leaves > 0) write_until(writer_.tree().node(id).num_tokens, node.ending, false);
    for (const size_t leaf : node.ending_leaves) writer_.add_trajectory(leaf);
    for (const auto& [begin, end] : runs) writer_.builder().close(begin, end);
  }

  TreeWriter writer_;
  std::vector<Node> nodes_;
};

// Whether the trees bring values of their own in this list: all of them or none.
bool all_have(std::span<const TrainingTree> trees, std::vector<double> TrainingTree::*values) {
  const auto has = [&](const TrainingTree& t) { return !(t.*values).empty(); };
  const bool any = std::any_of(trees.begin(), trees.end(), has);
  TREEPO_CHECK(!any || std::all_of(trees.begin(), trees.end(), has),
               "log-probs or advantages of nodes for some of the trees only");
  return any;
}

PackedTrees finish(PackBuilder& builder, std::span<const TrainingTree> trees) {
  PackedTrees packed = builder.finish(all_have(trees, &TrainingTree::reference_logprobs),
                                      all_have(trees, &TrainingTree::node_advantages));
  packed.old_recomputed = all_have(trees, &TrainingTree::old_logprobs);
  return packed;
}

void pack_chains(TreeWriter writer) {
  const TrainingTree& training = writer.training();
  for (size_t i = 0; i < training.leaves.size(); ++i) {
    if (!writer.is_packed(i)) continue;
    const int32_t leaf = training.leaves[i];
    const int32_t begin = writer.builder().size();
    PackCursor cursor = writer.builder().run_prompt(writer.tree().prompt());
    const auto path = writer.tree().path(leaf);
    const auto used = writer.tree().path_used_tokens(leaf);
    const PackSums sums = writer.leaf_sums(i);
    for (size_t n = 1; n < path.size(); ++n) {
      writer.write({.node = path[n], .begin = 0, .end = used[n], .sums = sums}, n + 1 < path.size(),
                   cursor);
    }
    writer.add_trajectory(i);
    writer.builder().close(begin, writer.builder().size());
  }
}

}  // namespace

int64_t PackedTrees::trajectory_tokens() const {
  return std::accumulate(num_leaves.begin(), num_leaves.end(), int64_t{0});
}

void PackedTrees::check_invariants() const {
  sequence.check_invariants();
  const size_t m = target_source.size();
  for (const size_t size : {target_token.size(), positive.size(), negative.size(), weight.size(),
                            positive_leaves.size(), negative_leaves.size(), num_leaves.size(),
                            masked_leaves.size(), sampled_logprob.size(), old_logprob.size(),
                            target_tree.size(), target_slot.size(), first_trajectory.size()}) {
    TREEPO_CHECK(size == m, "{} values for {} targets", size, m);
  }
  for (const auto* values : {&reference_logprob, &node_advantage})
    TREEPO_CHECK(values->empty() || values->size() == m, "{} values for {} targets", values->size(),
                 m);
  for (size_t s = 0; s < source_row.size(); ++s) {
    TREEPO_CHECK(source_row[s] < sequence.size() && (s == 0 || source_row[s - 1] < source_row[s]),
                 "source {} at row {}", s, source_row[s]);
  }
  for (size_t t = 0; t < m; ++t) {
    const int64_t step = target_source[t] - (t == 0 ? -1 : target_source[t - 1]);
    TREEPO_CHECK((step == 1) || (t > 0 && step == 0), "target {} has source {}", t,
                 target_source[t]);
    TREEPO_CHECK(positive[t] >= 0 && negative[t] <= 0 && weight[t] > 0, "target {}", t);
    TREEPO_CHECK(num_leaves[t] >= positive_leaves[t] + negative_leaves[t] + masked_leaves[t] &&
                     num_leaves[t] > 0,
                 "target {}", t);
    TREEPO_CHECK(0 <= first_trajectory[t] && static_cast<size_t>(first_trajectory[t]) +
                                                     static_cast<size_t>(num_leaves[t]) <=
                                                 trajectories.size(),
                 "target {} of {} trajectories from {}", t, num_leaves[t], first_trajectory[t]);
  }
  TREEPO_CHECK(m == 0 || target_source[m - 1] + 1 == num_sources(), "a source without targets");
}

PackedTrees pack_trees(std::span<const TrainingTree> trees, LeafWeight weighting,
                       MaskedLeaves masked) {
  PackBuilder builder;
  for (size_t i = 0; i < trees.size(); ++i) {
    TreePacker(TreeWriter(trees[i], static_cast<int32_t>(i), weighting, masked, builder)).pack();
  }
  return finish(builder, trees);
}

PackedTrees pack_apart(std::span<const TrainingTree> trees, LeafWeight weighting,
                       MaskedLeaves masked) {
  PackBuilder builder;
  for (size_t i = 0; i < trees.size(); ++i) {
    pack_chains(TreeWriter(trees[i], static_cast<int32_t>(i), weighting, masked, builder));
  }
  return finish(builder, trees);
}

namespace {

bool is_learned(const Example& example, size_t t) {
  return example.learned.empty() || example.learned[t];
}

// One past the last token that is learned: nothing looks at what follows.
size_t end_of_learned(const Example& example) {
  size_t end = example.response.size();
  while (end > 0 && !is_learned(example, end - 1)) --end;
  return end;
}

}  // namespace

PackedTrees pack_examples(std::span<const Example> examples) {
  PackBuilder builder;
  const PackSums sums = sums_of_leaf(1.0, 1.0, /*masked=*/false);
  for (size_t i = 0; i < examples.size(); ++i) {
    const auto& response = examples[i].response;
    const size_t end = end_of_learned(examples[i]);
    if (end == 0) continue;
    const int32_t begin = builder.size();
    PackCursor cursor = builder.run_prompt(examples[i].prompt);
    int64_t num_learned = 0;
    for (size_t t = 0; t < end; ++t) {
      if (is_learned(examples[i], t)) {
        ++num_learned;
        builder.add_target({.source = cursor.source,
                            .token = response[t],
                            .sums = sums,
                            .tree = static_cast<int32_t>(i),
                            .slot = static_cast<int64_t>(t)});
      }
      if (t + 1 < end) builder.run(response[t], cursor);
    }
    builder.add_trajectory({.advantage = 1, .weight = 1, .num_tokens = num_learned});
    builder.close(begin, builder.size());
  }
  return builder.finish(/*with_reference=*/false, /*with_node_advantages=*/false);
}

}  // namespace treepo
