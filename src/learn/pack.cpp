#include "learn/pack.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"

namespace treepo {
namespace {

// Sums over trajectories.
struct Sums {
  double positive = 0, negative = 0, weight = 0;
  int32_t positive_leaves = 0, negative_leaves = 0, leaves = 0;

  Sums& operator+=(const Sums& other) {
    positive += other.positive;
    negative += other.negative;
    weight += other.weight;
    positive_leaves += other.positive_leaves;
    negative_leaves += other.negative_leaves;
    leaves += other.leaves;
    return *this;
  }
};

Sums sums_of_leaf(double advantage, int64_t num_tokens, LeafWeight weighting) {
  const double weight = weighting == LeafWeight::one ? 1.0 : 1.0 / static_cast<double>(num_tokens);
  return {.positive = weight * std::max(advantage, 0.0),
          .negative = weight * std::min(advantage, 0.0),
          .weight = weight,
          .positive_leaves = advantage > 0,
          .negative_leaves = advantage < 0,
          .leaves = 1};
}

// All leaves through a token share the advantage of its node.
Sums with_advantage(Sums sums, double advantage) {
  sums.positive = sums.weight * std::max(advantage, 0.0);
  sums.negative = sums.weight * std::min(advantage, 0.0);
  sums.positive_leaves = advantage > 0 ? sums.leaves : 0;
  sums.negative_leaves = advantage < 0 ? sums.leaves : 0;
  return sums;
}

struct Target {
  int64_t source = 0;  // packed index
  int32_t token = 0;
  Sums sums;
  double sampled_logprob = 0, old_logprob = 0, reference_logprob = 0;
  int32_t tree = 0;
  int64_t slot = 0;
};

// Where a path stands while its tokens are laid out.
struct Cursor {
  int32_t source = -1;   // packed index of the last token on the path
  int32_t position = 0;  // tokens on the path
};

class PackBuilder {
 public:
  // Appends a token to the sequence and moves the cursor onto it. Its subtree is open until
  // `close`.
  void run(int32_t token, Cursor& cursor) {
    cursor.source = size();
    packed_.sequence.tokens.push_back(token);
    packed_.sequence.positions.push_back(cursor.position++);
    packed_.sequence.subtree_end.push_back(0);
  }

  void close(int32_t begin, int32_t end) {
    std::fill(packed_.sequence.subtree_end.begin() + begin,
              packed_.sequence.subtree_end.begin() + end, size());
  }

  Cursor run_prompt(std::span<const int32_t> prompt) {
    if (prompt.empty()) {
      throw Error("a prompt without tokens: nothing predicts the first token of its responses",
                  "give every prompt at least one token, for example the BOS token");
    }
    Cursor cursor;
    for (const int32_t token : prompt) run(token, cursor);
    return cursor;
  }

  void add_target(const Target& target) { targets_.push_back(target); }
  int32_t size() const { return packed_.sequence.size(); }

  PackedTrees finish(bool with_reference) {
    std::stable_sort(targets_.begin(), targets_.end(),
                     [](const Target& a, const Target& b) { return a.source < b.source; });
    for (const Target& t : targets_) {
      if (packed_.source_row.empty() || packed_.source_row.back() != t.source) {
        packed_.source_row.push_back(t.source);
      }
      packed_.target_source.push_back(packed_.num_sources() - 1);
      packed_.target_token.push_back(t.token);
      packed_.positive.push_back(t.sums.positive);
      packed_.negative.push_back(t.sums.negative);
      packed_.weight.push_back(t.sums.weight);
      packed_.positive_leaves.push_back(t.sums.positive_leaves);
      packed_.negative_leaves.push_back(t.sums.negative_leaves);
      packed_.num_leaves.push_back(t.sums.leaves);
      packed_.sampled_logprob.push_back(t.sampled_logprob);
      packed_.old_logprob.push_back(t.old_logprob);
      if (with_reference) packed_.reference_logprob.push_back(t.reference_logprob);
      packed_.target_tree.push_back(t.tree);
      packed_.target_slot.push_back(t.slot);
    }
    return std::move(packed_);
  }

 private:
  PackedTrees packed_;
  std::vector<Target> targets_;
};

// Tokens [begin, end) of a node as targets that carry `sums`.
struct Piece {
  int32_t node = 0, begin = 0, end = 0;
  Sums sums;
};

// Lays out tokens of one tree: each becomes a target, and a source if something follows it.
class TreeWriter {
 public:
  TreeWriter(const TrainingTree& training, int32_t index, PackBuilder& builder)
      : training_(training), tree_(*training.tree), index_(index), builder_(builder) {
    const size_t slots =
        static_cast<size_t>(tree_.num_nodes()) * static_cast<size_t>(tree_.segment_tokens());
    for (const auto* values : {&training.old_logprobs, &training.reference_logprobs}) {
      TREEPO_CHECK(values->empty() || values->size() == slots, "{} log-probs for {} slots",
                   values->size(), slots);
    }
    TREEPO_CHECK(training.leaves.size() == training.advantages.size(), "{} leaves, {} advantages",
                 training.leaves.size(), training.advantages.size());
    TREEPO_CHECK(training.node_advantages.empty() ||
                     training.node_advantages.size() == static_cast<size_t>(tree_.num_nodes()),
                 "{} advantages for {} nodes", training.node_advantages.size(), tree_.num_nodes());
    for (const int32_t leaf : training.leaves) {
      TREEPO_CHECK(leaf > 0 && leaf < tree_.num_nodes() && tree_.node(leaf).num_tokens > 0,
                   "leaf {} is no trajectory of tree {}", leaf, index);
    }
  }

  void write(const Piece& piece, bool last_is_run, Cursor& cursor) {
    const auto tokens = tree_.tokens(piece.node);
    const auto sampled = tree_.logprobs(piece.node);
    const std::vector<double>& by_node = training_.node_advantages;
    const Sums sums = by_node.empty()
                          ? piece.sums
                          : with_advantage(piece.sums, by_node[static_cast<size_t>(piece.node)]);
    for (int32_t offset = piece.begin; offset < piece.end; ++offset) {
      const auto i = static_cast<size_t>(offset);
      const int64_t slot = int64_t{piece.node} * tree_.segment_tokens() + offset;
      Target target{.source = cursor.source,
                    .token = tokens[i],
                    .sums = sums,
                    .sampled_logprob = sampled[i],
                    .old_logprob = sampled[i],
                    .tree = index_,
                    .slot = slot};
      const auto s = static_cast<size_t>(slot);
      if (!training_.old_logprobs.empty()) target.old_logprob = training_.old_logprobs[s];
      if (!training_.reference_logprobs.empty()) {
        target.reference_logprob = training_.reference_logprobs[s];
      }
      builder_.add_target(target);
      if (last_is_run || offset + 1 < piece.end) builder_.run(tokens[i], cursor);
    }
  }

  const TrainingTree& training() const { return training_; }
  const SearchTree& tree() const { return tree_; }
  PackBuilder& builder() { return builder_; }

  Sums leaf_sums(size_t i, LeafWeight weighting) const {
    return sums_of_leaf(training_.advantages[i], tree_.path_tokens(training_.leaves[i]), weighting);
  }

 private:
  const TrainingTree& training_;
  const SearchTree& tree_;
  int32_t index_;
  PackBuilder& builder_;
};

// Depth-first walk over the nodes that the leaves pass through.
class TreePacker {
 public:
  TreePacker(TreeWriter writer, LeafWeight weighting)
      : writer_(std::move(writer)), nodes_(static_cast<size_t>(writer_.tree().num_nodes())) {
    const TrainingTree& training = writer_.training();
    for (size_t i = 0; i < training.leaves.size(); ++i) {
      const int32_t leaf = training.leaves[i];
      const Sums sums = writer_.leaf_sums(i, weighting);
      at(leaf).ending += sums;
      mark_path(leaf, sums);
    }
    for (Node& node : nodes_) sort_children(node);
  }

  void pack() {
    if (at(0).children.empty()) return;
    const int32_t begin = writer_.builder().size();
    const Cursor cursor = writer_.builder().run_prompt(writer_.tree().prompt());
    const int32_t end = writer_.builder().size();
    for (const int32_t child : at(0).children) visit(child, cursor);
    writer_.builder().close(begin, end);
  }

 private:
  struct Node {
    bool kept = false;
    std::vector<int32_t> children;  // kept ones, by the place where they leave
    Sums below;                     // all leaves here and below
    Sums ending;                    // the leaf that ends here, if any
  };

  Node& at(int32_t node) { return nodes_[static_cast<size_t>(node)]; }
  int32_t leaves_at(int32_t child) const { return writer_.tree().node(child).parent_used_tokens; }

  void mark_path(int32_t leaf, const Sums& sums) {
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

  void visit(int32_t id, Cursor cursor) {
    const Node& node = at(id);
    const size_t num_children = node.children.size();
    // through[i]: leaves through the tokens between the (i-1)-th and the i-th child's cut.
    std::vector<Sums> through(num_children + 1, node.ending);
    for (size_t i = num_children; i-- > 0;) {
      through[i] = through[i + 1];
      through[i] += at(node.children[i]).below;
    }

    std::vector<std::pair<int32_t, int32_t>> runs;  // packed ranges of this node's tokens
    int32_t offset = 0;
    const auto write_until = [&](int32_t end, const Sums& sums, bool last_is_run) {
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
    for (const auto& [begin, end] : runs) writer_.builder().close(begin, end);
  }

  TreeWriter writer_;
  std::vector<Node> nodes_;
};

// Whether the trees bring log-probs of their own in `values`: all of them or none.
bool all_have(std::span<const TrainingTree> trees, std::vector<double> TrainingTree::*values) {
  const auto has = [&](const TrainingTree& t) { return !(t.*values).empty(); };
  const bool any = std::any_of(trees.begin(), trees.end(), has);
  TREEPO_CHECK(!any || std::all_of(trees.begin(), trees.end(), has),
               "recomputed log-probs for some of the trees only");
  return any;
}

PackedTrees finish(PackBuilder& builder, std::span<const TrainingTree> trees) {
  PackedTrees packed = builder.finish(all_have(trees, &TrainingTree::reference_logprobs));
  packed.old_recomputed = all_have(trees, &TrainingTree::old_logprobs);
  return packed;
}

void pack_chains(TreeWriter writer, LeafWeight weighting) {
  const TrainingTree& training = writer.training();
  for (size_t i = 0; i < training.leaves.size(); ++i) {
    const int32_t leaf = training.leaves[i];
    const int32_t begin = writer.builder().size();
    Cursor cursor = writer.builder().run_prompt(writer.tree().prompt());
    const auto path = writer.tree().path(leaf);
    const auto used = writer.tree().path_used_tokens(leaf);
    const Sums sums = writer.leaf_sums(i, weighting);
    for (size_t n = 1; n < path.size(); ++n) {
      writer.write({.node = path[n], .begin = 0, .end = used[n], .sums = sums}, n + 1 < path.size(),
                   cursor);
    }
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
  for (const size_t size :
       {target_token.size(), positive.size(), negative.size(), weight.size(),
        positive_leaves.size(), negative_leaves.size(), num_leaves.size(), sampled_logprob.size(),
        old_logprob.size(), target_tree.size(), target_slot.size()}) {
    TREEPO_CHECK(size == m, "{} values for {} targets", size, m);
  }
  TREEPO_CHECK(reference_logprob.empty() || reference_logprob.size() == m, "{} references",
               reference_logprob.size());
  for (size_t s = 0; s < source_row.size(); ++s) {
    TREEPO_CHECK(source_row[s] < sequence.size() && (s == 0 || source_row[s - 1] < source_row[s]),
                 "source {} at row {}", s, source_row[s]);
  }
  for (size_t t = 0; t < m; ++t) {
    const int64_t step = target_source[t] - (t == 0 ? -1 : target_source[t - 1]);
    TREEPO_CHECK((step == 1) || (t > 0 && step == 0), "target {} has source {}", t,
                 target_source[t]);
    TREEPO_CHECK(positive[t] >= 0 && negative[t] <= 0 && weight[t] > 0, "target {}", t);
    TREEPO_CHECK(num_leaves[t] >= positive_leaves[t] + negative_leaves[t] && num_leaves[t] > 0,
                 "target {}", t);
  }
  TREEPO_CHECK(m == 0 || target_source[m - 1] + 1 == num_sources(), "a source without targets");
}

PackedTrees pack_trees(std::span<const TrainingTree> trees, LeafWeight weighting) {
  PackBuilder builder;
  for (size_t i = 0; i < trees.size(); ++i) {
    TreePacker(TreeWriter(trees[i], static_cast<int32_t>(i), builder), weighting).pack();
  }
  return finish(builder, trees);
}

PackedTrees pack_apart(std::span<const TrainingTree> trees, LeafWeight weighting) {
  PackBuilder builder;
  for (size_t i = 0; i < trees.size(); ++i) {
    pack_chains(TreeWriter(trees[i], static_cast<int32_t>(i), builder), weighting);
  }
  return finish(builder, trees);
}

PackedTrees pack_examples(std::span<const Example> examples) {
  PackBuilder builder;
  const Sums sums = sums_of_leaf(1.0, 1, LeafWeight::one);
  for (size_t i = 0; i < examples.size(); ++i) {
    const auto& response = examples[i].response;
    if (response.empty()) continue;
    const int32_t begin = builder.size();
    Cursor cursor = builder.run_prompt(examples[i].prompt);
    for (size_t t = 0; t < response.size(); ++t) {
      builder.add_target({.source = cursor.source,
                          .token = response[t],
                          .sums = sums,
                          .tree = static_cast<int32_t>(i),
                          .slot = static_cast<int64_t>(t)});
      if (t + 1 < response.size()) builder.run(response[t], cursor);
    }
    builder.close(begin, builder.size());
  }
  return builder.finish(false);
}

}  // namespace treepo
