#include "kernels/cuda_tree_plan.h"

#include <algorithm>
#include <bit>

#include "base/error.h"

namespace treepo {

namespace {

class Planner {
 public:
  Planner(const TreeAttentionWork& work, const AttentionShape& shape, CudaTreePlan& plan)
      : work_(work), group_(shape.num_heads / shape.num_kv_heads), plan_(plan) {}

  int32_t chunk_tokens(int32_t kv_heads, int32_t wanted_blocks) const {
    constexpr int32_t kLeast = 128;
    for (int32_t tokens = kCudaMostKeys; tokens > kLeast; tokens /= 2) {
      int64_t blocks = 0;
      for (int32_t run = 0; run < work_.num_runs(); ++run)
        blocks += up(work_.run_tokens[at(run)], tokens) * up(num_pairs(run) * group_, 64);
      if (blocks * kv_heads >= wanted_blocks) return tokens;
    }
    return kLeast;
  }

  void list_tiles(int32_t chunk_tokens) {
    for (int32_t run = 0; run < work_.num_runs(); ++run) {
      int32_t key = 0;
      int32_t piece = work_.run_piece_begin[at(run)];
      for (int32_t p = piece; p < work_.run_piece_begin[at(run) + 1]; ++p) {
        plan_.piece_first_key.push_back(key);
        key += work_.piece_tokens[at(p)];
      }
      for (int32_t first = 0; first < work_.run_tokens[at(run)]; first += chunk_tokens) {
        const int32_t end = std::min(first + chunk_tokens, work_.run_tokens[at(run)]);
        while (plan_.piece_first_key[at(piece)] + work_.piece_tokens[at(piece)] <= first) ++piece;
        int32_t end_piece = piece;
        while (end_piece < work_.run_piece_begin[at(run) + 1] &&
               plan_.piece_first_key[at(end_piece)] < end)
          ++end_piece;
        add_chunk(run, {.first_piece = piece,
                        .end_piece = end_piece,
                        .first_key = first,
                        .num_keys = end - first,
                        .first_entry = plan_.num_parts(),
                        .first_row = 0,
                        .num_rows = 0});
      }
    }
    const auto longer = [](const CudaTreeTile& a, const CudaTreeTile& b) {
      return a.num_keys > b.num_keys;
    };
    const auto large = std::stable_partition(
        plan_.tiles.begin(), plan_.tiles.end(),
        [](const CudaTreeTile& tile) { return tile.num_rows <= kCudaSmallRows; });
    plan_.num_small_tiles = static_cast<int32_t>(large - plan_.tiles.begin());
    std::stable_sort(plan_.tiles.begin(), large, longer);
    std::stable_sort(large, plan_.tiles.end(), longer);
  }

  // Numbers the parts of each query in the order of its entries.
  void number_parts(int32_t num_queries) {
    plan_.part_begin.assign(at(num_queries) + 1, 0);
    for (const int32_t query : plan_.entry_query) ++plan_.part_begin[at(query) + 1];
    for (size_t i = 1; i < plan_.part_begin.size(); ++i)
      plan_.part_begin[i] += plan_.part_begin[i - 1];
    std::vector<int32_t> next(plan_.part_begin.begin(), plan_.part_begin.end() - 1);
    for (size_t entry = 0; entry < plan_.entry_query.size(); ++entry)
      plan_.entry_part[entry] = next[at(plan_.entry_query[entry])]++;
  }

 private:
  static size_t at(int32_t i) { return static_cast<size_t>(i); }
  static int64_t up(int64_t a, int64_t b) { return (a + b - 1) / b; }
  int32_t num_pairs(int32_t run) const {
    return work_.run_pair_begin[at(run) + 1] - work_.run_pair_begin[at(run)];
  }

  void add_chunk(int32_t run, CudaTreeTile tile) {
    for (int32_t pair = work_.run_pair_begin[at(run)]; pair < work_.run_pair_begin[at(run) + 1];
         ++pair) {
      const int32_t visible = work_.pair_visible[at(pair)] - tile.first_key;
      if (visible <= 0) continue;
      plan_.entry_query.push_back(work_.pair_query[at(pair)]);
      plan_.entry_visible.push_back(std::min(visible, tile.num_keys));
      plan_.entry_part.push_back(0);
    }
    const int32_t rows = (plan_.num_parts() - tile.first_entry) * group_;
    for (int32_t row = 0; row < rows; row += kCudaLargeRows) {
      CudaTreeTile part = tile;
      part.first_row = row;
      part.num_rows = std::min(kCudaLargeRows, rows - row);
      const int32_t last_entry = tile.first_entry + (row + part.num_rows - 1) / group_;
      part.num_keys =
          *std::max_element(plan_.entry_visible.begin() + tile.first_entry + row / group_,
                            plan_.entry_visible.begin() + last_entry + 1);
      plan_.tiles.push_back(part);
    }
  }

  const TreeAttentionWork& work_;
  int32_t group_;
  CudaTreePlan& plan_;
};

}  // namespace

void plan_cuda_tree(const TreeAttentionWork& work, const AttentionShape& shape, int32_t num_queries,
                    int32_t wanted_blocks, CudaTreePlan& plan) {
  plan.tiles.clear();
  plan.piece_first_key.clear();
  plan.entry_query.clear();
  plan.entry_visible.clear();
  plan.entry_part.clear();
  Planner planner(work, shape, plan);
  planner.list_tiles(planner.chunk_tokens(shape.num_kv_heads, wanted_blocks));
  planner.number_parts(num_queries);
}

CudaTreeSizes sizes_of(const CudaTreePlan& plan) {
  return {.num_queries = static_cast<int32_t>(plan.part_begin.size()) - 1,
          .num_small_tiles = plan.num_small_tiles,
          .num_large_tiles = plan.num_large_tiles(),
          .num_parts = plan.num_parts(),
          .num_pieces = static_cast<int32_t>(plan.piece_first_key.size())};
}

int32_t rounded_up(int32_t n, int32_t steps) {
  constexpr int32_t kFine = 8, kLeastStep = 4;
  const auto above = static_cast<int32_t>(std::bit_ceil(static_cast<uint32_t>(n)));
  if (n <= kFine) return n == 0 ? 0 : above;
  const int32_t step = std::max(kLeastStep, above / 2 / steps);
  return (n + step - 1) / step * step;
}

CudaTreeSizes rounded_up(const CudaTreeSizes& sizes) {
  constexpr int32_t kRowSteps = 8, kTileSteps = 4;
  return {.num_queries = rounded_up(sizes.num_queries, kRowSteps),
          .num_small_tiles = rounded_up(sizes.num_small_tiles, kTileSteps),
          .num_large_tiles = rounded_up(sizes.num_large_tiles, kTileSteps),
          .num_parts = rounded_up(sizes.num_parts, 1),
          .num_pieces = rounded_up(sizes.num_pieces, 1)};
}

void pad_cuda_tree(CudaTreePlan& plan, const CudaTreeSizes& sizes) {
  const CudaTreeSizes before = sizes_of(plan);
  TREEPO_CHECK(sizes.num_queries >= before.num_queries &&
                   sizes.num_small_tiles >= before.num_small_tiles &&
                   sizes.num_large_tiles >= before.num_large_tiles &&
                   sizes.num_parts >= before.num_parts && sizes.num_pieces >= before.num_pieces,
               "a plan of {} queries and {} parts does not fit {} and {}", before.num_queries,
               before.num_parts, sizes.num_queries, sizes.num_parts);
  const auto size = [](int32_t n) { return static_cast<size_t>(n); };
  plan.tiles.insert(plan.tiles.begin() + before.num_small_tiles,
                    size(sizes.num_small_tiles - before.num_small_tiles), CudaTreeTile{});
  plan.num_small_tiles = sizes.num_small_tiles;
  plan.tiles.resize(size(sizes.num_small_tiles + sizes.num_large_tiles));
  plan.piece_first_key.resize(size(sizes.num_pieces));
  plan.entry_query.resize(size(sizes.num_parts));
  plan.entry_visible.resize(size(sizes.num_parts));
  plan.entry_part.resize(size(sizes.num_parts));
  plan.part_begin.resize(size(sizes.num_queries) + 1, before.num_parts);
}

}  // namespace treepo
