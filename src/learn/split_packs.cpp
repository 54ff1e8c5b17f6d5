#include <algorithm>
#include <cstddef>
#include <numeric>

#include "learn/pack.h"

namespace treepo {
namespace {

// Parent of each packed token, -1 for the first of a tree.
std::vector<int32_t> parents_of(const PackedSequence& sequence) {
  std::vector<int32_t> parents, open;
  for (int32_t i = 0; i < sequence.size(); ++i) {
    while (!open.empty() && sequence.subtree_end[static_cast<size_t>(open.back())] <= i) {
      open.pop_back();
    }
    parents.push_back(open.empty() ? -1 : open.back());
    open.push_back(i);
  }
  return parents;
}

template <typename T>
std::vector<T> slice(const std::vector<T>& values, size_t begin, size_t end) {
  if (values.empty()) {
    return {};
  }
  return {values.begin() + static_cast<std::ptrdiff_t>(begin),
          values.begin() + static_cast<std::ptrdiff_t>(end)};
}

// The trajectories through targets [first, last).
void take_trajectories(const PackedTrees& whole, size_t first, size_t last, PackedTrees& part) {
  part.first_trajectory = slice(whole.first_trajectory, first, last);
  if (first == last) return;
  const int32_t begin =
      *std::min_element(part.first_trajectory.begin(), part.first_trajectory.end());
  int32_t end = begin;
  for (size_t t = first; t < last; ++t)
    end = std::max(end, whole.first_trajectory[t] + whole.num_leaves[t]);
  part.trajectories =
      slice(whole.trajectories, static_cast<size_t>(begin), static_cast<size_t>(end));
  part.trajectory_offset = whole.trajectory_offset + begin;
  for (int32_t& trajectory : part.first_trajectory) trajectory -= begin;
}

// The packed range [begin, end) with the prefix of its first token in front.
PackedTrees extract(const PackedTrees& whole, const std::vector<int32_t>& parents, int32_t begin,
                    int32_t end) {
  std::vector<int32_t> rows;
  for (int32_t i = parents[static_cast<size_t>(begin)]; i >= 0;
       i = parents[static_cast<size_t>(i)]) {
    rows.push_back(i);
  }
  std::reverse(rows.begin(), rows.end());
  const auto shift = static_cast<int32_t>(rows.size()) - begin;
  rows.resize(rows.size() + static_cast<size_t>(end - begin));
  std::iota(rows.end() - (end - begin), rows.end(), begin);

  PackedTrees part;
  for (const int32_t row : rows) {
    const auto i = static_cast<size_t>(row);
    part.sequence.tokens.push_back(whole.sequence.tokens[i]);
    part.sequence.positions.push_back(whole.sequence.positions[i]);
    part.sequence.subtree_end.push_back(std::min(whole.sequence.subtree_end[i], end) + shift);
  }
  const auto source_at = [&](int32_t row) {
    return std::lower_bound(whole.source_row.begin(), whole.source_row.end(), row) -
           whole.source_row.begin();
  };
  const int64_t first_source = source_at(begin), last_source = source_at(end);
  for (int64_t s = first_source; s < last_source; ++s) {
    part.source_row.push_back(whole.source_row[static_cast<size_t>(s)] + shift);
  }
  const auto target_at = [&](int64_t source) {
    return static_cast<size_t>(
        std::lower_bound(whole.target_source.begin(), whole.target_source.end(), source) -
        whole.target_source.begin());
  };
  const size_t first = target_at(first_source), last = target_at(last_source);
  part.target_source = slice(whole.target_source, first, last);
  for (int64_t& source : part.target_source) source -= first_source;
  part.target_token = slice(whole.target_token, first, last);
  part.positive = slice(whole.positive, first, last);
  part.negative = slice(whole.negative, first, last);
  part.weight = slice(whole.weight, first, last);
  part.positive_leaves = slice(whole.positive_leaves, first, last);
  part.negative_leaves = slice(whole.negative_leaves, first, last);
  part.num_leaves = slice(whole.num_leaves, first, last);
  part.masked_leaves = slice(whole.masked_leaves, first, last);
  part.sampled_logprob = slice(whole.sampled_logprob, first, last);
  part.old_logprob = slice(whole.old_logprob, first, last);
  part.reference_logprob = slice(whole.reference_logprob, first, last);
  part.node_advantage = slice(whole.node_advantage, first, last);
  part.old_recomputed = whole.old_recomputed;
  part.target_tree = slice(whole.target_tree, first, last);
  part.target_slot = slice(whole.target_slot, first, last);
  take_trajectories(whole, first, last, part);
  return part;
}

// Where the part that starts with arm `first` ends. `arms`: packed index of the first token of each
// arm (the unshared rest of a path down to its end), then the sequence's size.
size_t choose_cut(const std::vector<int32_t>& arms, const std::vector<int32_t>& positions,
                  size_t first, int64_t max_tokens) {
  const size_t end = arms.size() - 1;
  const auto prefix = [&](size_t arm) {
    return arm == end ? 0 : positions[static_cast<size_t>(arms[arm])];
  };
  size_t reach = first + 1;
  while (reach < end && int64_t{prefix(first)} + arms[reach + 1] - arms[first] <= max_tokens) {
    ++reach;
  }
  for (size_t cut = reach; cut > first; --cut)
    if (prefix(cut) == 0) return cut;
  // Inside a tree: the shortest prefix to run again among the cuts that fill the pack by half.
  size_t best = reach;
  for (size_t cut = reach;
       cut > first && 2 * (arms[cut] - arms[first]) >= arms[reach] - arms[first]; --cut) {
    if (prefix(cut) < prefix(best)) best = cut;
  }
  return best;
}

}  // namespace

std::vector<PackedTrees> split_packs(const PackedTrees& packed, int64_t max_tokens) {
  const std::vector<int32_t> parents = parents_of(packed.sequence);
  std::vector<int32_t> arms;
  for (int32_t i = 0; i < packed.sequence.size(); ++i) {
    if (i == 0 || parents[static_cast<size_t>(i)] != i - 1) arms.push_back(i);
  }
  const size_t num_arms = arms.size();
  arms.push_back(packed.sequence.size());
  std::vector<PackedTrees> packs;
  for (size_t arm = 0; arm < num_arms;) {
    const size_t cut = choose_cut(arms, packed.sequence.positions, arm, max_tokens);
    packs.push_back(extract(packed, parents, arms[arm], arms[cut]));
    arm = cut;
  }
  return packs;
}

}  // namespace treepo
