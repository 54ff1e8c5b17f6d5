#include <algorithm>
#include <queue>

#include "text/bpe.h"

namespace treepo {

namespace {

// A token of the piece, linked to its neighbours by index; -1 at the ends.
struct Link {
  int32_t id;
  int32_t previous, next;
  bool alive = true;
};

struct Candidate {
  uint32_t rank;
  int32_t left;    // index of the left token
  int32_t joined;  // id of the two joined

  bool operator>(const Candidate& other) const {
    return rank != other.rank ? rank > other.rank : left > other.left;
  }
};

}  // namespace

void merge_by_scanning(const MergeTable& merges, std::vector<int32_t>& ids, size_t begin) {
  if (ids.size() < begin + 2) return;
  size_t size = ids.size() - begin;
  int32_t* const tokens = &ids[begin];
  std::vector<MergeTable::Merge> pairs(size - 1);  // pairs[i]: of tokens i and i + 1
  for (size_t i = 0; i + 1 < size; ++i) pairs[i] = merges.find(tokens[i], tokens[i + 1]);
  const auto lower_rank = [](const auto& a, const auto& b) { return a.rank < b.rank; };
  while (size > 1) {
    const auto best = std::min_element(pairs.begin(), pairs.end(), lower_rank);  // leftmost
    if (best->rank == MergeTable::kNoRank) break;
    const auto i = static_cast<size_t>(best - pairs.begin());
    tokens[i] = best->joined;
    std::copy(tokens + i + 2, tokens + size, tokens + i + 1);
    pairs.erase(best);
    --size;
    if (i > 0) pairs[i - 1] = merges.find(tokens[i - 1], tokens[i]);
    if (i + 1 < size) pairs[i] = merges.find(tokens[i], tokens[i + 1]);
  }
  ids.resize(begin + size);
}

void merge_by_heap(const MergeTable& merges, std::vector<int32_t>& ids, size_t begin) {
  std::vector<Link> links;
  const auto count = static_cast<int32_t>(ids.size() - begin);
  links.reserve(static_cast<size_t>(count));
  for (int32_t i = 0; i < count; ++i) {
    links.push_back({.id = ids[begin + static_cast<size_t>(i)],
                     .previous = i - 1,
                     .next = i + 1 < count ? i + 1 : -1});
  }
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue;
  const auto offer = [&](int32_t left) {
    if (left < 0 || links[left].next < 0) return;
    const MergeTable::Merge merge = merges.find(links[left].id, links[links[left].next].id);
    if (merge.rank == MergeTable::kNoRank) return;
    queue.push({.rank = merge.rank, .left = left, .joined = merge.joined});
  };
  for (int32_t i = 0; i < count; ++i) offer(i);

  while (!queue.empty()) {
    const Candidate best = queue.top();
    queue.pop();
    Link& left = links[best.left];
    if (!left.alive || left.next < 0) continue;
    Link& right = links[left.next];
    // An older candidate at this place: its pair is gone.
    if (merges.find(left.id, right.id).rank != best.rank) continue;
    left.id = best.joined;
    right.alive = false;
    left.next = right.next;
    if (left.next >= 0) links[left.next].previous = best.left;
    offer(left.previous);
    offer(best.left);
  }

  ids.resize(begin);
  for (int32_t i = count > 0 ? 0 : -1; i >= 0; i = links[i].next) ids.push_back(links[i].id);
}

}  // namespace treepo
