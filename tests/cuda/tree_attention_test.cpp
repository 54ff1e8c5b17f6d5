// Holds the CUDA tree attention against softmax over each query's keys in float64, and its plan
// against the example drawn in its header.

#include <algorithm>
#include <cmath>

#include "each_device.h"
#include "model/cuda_attention.h"

namespace treepo {
namespace {

TREEPO_EACH_DEVICE(CudaTreeAttentionTest);

struct Case {
  TreeAttentionWork work;
  AttentionShape shape;
  int32_t num_queries = 0, num_pages = 0;
};

class Maker {
 public:
  explicit Maker(uint64_t seed) : stream_(seed, Purpose::generate) {}

  int32_t integer(int64_t low, int64_t high) {
    return static_cast<int32_t>(stream_.integer(low, high, 0, count_++));
  }

  // A run of `tokens` keys over pages that need not be full. visible(query): how many of its keys
  // the query sees; 0, none.
  template <typename F>
  void add_run(Case& made, int32_t tokens, const F& visible) {
    TreeAttentionWork& work = made.work;
    for (int32_t left = tokens; left > 0;) {
      const int32_t most = std::min(left, work.page_tokens);
      const int32_t here = integer(0, 3) == 0 ? integer(1, most) : most;
      work.piece_page.push_back(made.num_pages++);
      work.piece_tokens.push_back(here);
      left -= here;
    }
    work.run_piece_begin.push_back(static_cast<int32_t>(work.piece_page.size()));
    work.run_tokens.push_back(tokens);
    for (int32_t query = 0; query < made.num_queries; ++query)
      if (const int32_t sees = visible(query); sees > 0) {
        work.pair_query.push_back(query);
        work.pair_visible.push_back(sees);
      }
    work.run_pair_begin.push_back(static_cast<int32_t>(work.pair_query.size()));
  }

  void shuffle_pages(Case& made) {
    auto& pages = made.work.piece_page;
    for (size_t i = pages.size(); i > 1; --i)
      std::swap(pages[i - 1], pages[static_cast<size_t>(integer(0, static_cast<int64_t>(i) - 1))]);
  }

 private:
  RandomStream stream_;
  uint32_t count_ = 0;
};

Case random_case(uint64_t seed, const AttentionShape& shape, int32_t most_queries,
                 int32_t longest_run) {
  Maker maker(seed);
  Case made{.work = {}, .shape = shape, .num_queries = maker.integer(1, most_queries)};
  made.work.page_tokens = maker.integer(0, 1) != 0 ? 16 : maker.integer(1, 40);
  const int32_t first = maker.integer(1, longest_run);
  maker.add_run(made, first, [&](int32_t) { return maker.integer(1, first); });
  for (int32_t run = maker.integer(0, 4); run > 0; --run) {
    const int32_t tokens = maker.integer(1, longest_run);
    const int32_t sure = maker.integer(0, made.num_queries - 1);
    maker.add_run(made, tokens, [&](int32_t query) {
      return query == sure || maker.integer(0, 2) == 0 ? maker.integer(1, tokens) : 0;
    });
  }
  maker.shuffle_pages(made);
  made.work.check_invariants(made.num_queries);
  return made;
}

struct Tensors {
  at::Tensor queries;       // [num_queries, heads + some, dim]
  at::Tensor keys, values;  // [pages, kv heads, page_tokens, dim]
};

Tensors random_tensors(const Case& c, double spread, c10::ScalarType dtype) {
  const std::vector<int64_t> pages = {c.num_pages, c.shape.num_kv_heads, c.work.page_tokens,
                                      c.shape.head_dim};
  return {(spread * normals(1, {c.num_queries, c.shape.num_heads + 2, c.shape.head_dim})).to(dtype),
          normals(2, pages).to(dtype), normals(3, pages).to(dtype)};
}

// [num_queries, heads, dim] in float64.
at::Tensor dense(const Case& c, const Tensors& t, double scale) {
  const TreeAttentionWork& work = c.work;
  std::vector<std::vector<int64_t>> pages(static_cast<size_t>(c.num_queries));
  std::vector<std::vector<int64_t>> offsets = pages;
  for (size_t run = 0; run < work.run_tokens.size(); ++run)
    for (auto p = static_cast<size_t>(work.run_pair_begin[run]);
         p < static_cast<size_t>(work.run_pair_begin[run + 1]); ++p) {
      int32_t left = work.pair_visible[p];
      for (auto piece = static_cast<size_t>(work.run_piece_begin[run]); left > 0; ++piece)
        for (int32_t i = 0; i < work.piece_tokens[piece] && left > 0; ++i, --left) {
          pages[static_cast<size_t>(work.pair_query[p])].push_back(work.piece_page[piece]);
          offsets[static_cast<size_t>(work.pair_query[p])].push_back(i);
        }
    }
  const int64_t group = c.shape.num_heads / c.shape.num_kv_heads;
  const at::Tensor queries = wide(t.queries), keys = wide(t.keys), values = wide(t.values);
  std::vector<at::Tensor> out;
  for (int64_t query = 0; query < c.num_queries; ++query) {
    const at::Tensor page = at::tensor(pages[static_cast<size_t>(query)], at::kLong);
    const at::Tensor offset = at::tensor(offsets[static_cast<size_t>(query)], at::kLong);
    const auto seen = [&](const at::Tensor& x) {  // [heads, keys, dim]
      return x.permute({0, 2, 1, 3})
          .index({page, offset})
          .transpose(0, 1)
          .repeat_interleave(group, 0);
    };
    const at::Tensor q = queries[query].narrow(0, 0, c.shape.num_heads).unsqueeze(1);
    const at::Tensor weights = (scale * q.matmul(seen(keys).transpose(1, 2))).softmax(-1);
    out.push_back(weights.matmul(seen(values)).squeeze(1));
  }
  return at::stack(out);
}

at::Tensor run(const Case& c, const Tensors& host, double scale, c10::Device device) {
  const CudaKernels& kernels = *cuda_kernels_for(device, host.queries.scalar_type());
  CudaTreePlan plan;
  plan_cuda_tree(c.work, c.shape, c.num_queries, wanted_cuda_blocks(kernels, device), plan);
  StagedArrays arrays;
  const StagedTreeWork staged = stage_tree_work(arrays, c.work, plan);
  arrays.upload(device);
  const at::Tensor queries = host.queries.to(device), keys = host.keys.to(device),
                   values = host.values.to(device);
  const int64_t dim = c.shape.head_dim;
  const at::Tensor scratch = at::full({plan.num_parts() * c.shape.num_heads * (dim + 2)}, NAN,
                                      queries.options().dtype(at::kFloat));
  const at::Tensor out = at::full({c.num_queries, c.shape.num_heads, dim}, 99, queries.options());
  CudaTreeAttention work = tree_attention_work(arrays, staged, plan, c.shape);
  work.type = cuda_type(queries.scalar_type());
  work.scale = static_cast<float>(scale);
  work.queries = queries.const_data_ptr();
  work.query_stride = queries.stride(0);
  work.keys = keys.const_data_ptr();
  work.values = values.const_data_ptr();
  work.out = out.mutable_data_ptr();
  work.scratch = scratch.mutable_data_ptr<float>();
  check_cuda(kernels, kernels.tree_attention(CudaStream(device), work));
  return out.to(at::kCPU);
}

// Weights are rounded before they meet the values, results after: one rounding each of numbers
// whose values are some units large.
void compare(const Case& c, c10::Device device, double spread = 2) {
  const double scale = 1 / std::sqrt(static_cast<double>(c.shape.head_dim));
  for (const c10::ScalarType dtype : kNarrow) {
    const Tensors tensors = random_tensors(c, spread, dtype);
    const at::Tensor expected = dense(c, tensors, scale);
    const at::Tensor actual = run(c, tensors, scale, device);
    EXPECT_LT(largest_difference(actual, expected), 4 * rounding(dtype)) << c10::toString(dtype);
    EXPECT_LT(relative_difference(actual, expected), rounding(dtype)) << c10::toString(dtype);
    if (dtype != at::kHalf) continue;
    EXPECT_TRUE(at::equal(run(c, tensors, scale, device), actual)) << "on a second run";
  }
}

TEST_P(CudaTreeAttentionTest, EqualsDenseOnRandomWork) {
  const AttentionShape shapes[] = {{2, 1, 64}, {7, 1, 128}, {4, 4, 64}, {6, 2, 128}};
  for (uint64_t seed = 0; seed < 8; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    emulated_multiprocessors = seed % 3 == 0 ? 100 : 1;
    compare(random_case(seed, shapes[seed % 4], seed % 2 == 0 ? 9 : 30, seed % 5 == 0 ? 300 : 80),
            device);
  }
}

// One query, one key; and one query that a whole run but for its first key is hidden from.
TEST_P(CudaTreeAttentionTest, SingleKeys) {
  for (const int32_t tokens : {1, 16, 17, 64, 65, 129}) {
    Case c{.work = {}, .shape = {3, 1, 64}, .num_queries = 2};
    c.work.page_tokens = 16;
    Maker(5).add_run(c, tokens, [&](int32_t query) { return query == 0 ? 1 : tokens; });
    compare(c, device);
  }
}

// A prefill of 90 tokens below a prompt, beside decoding rows: query i sees i + 1 keys of its run.
TEST_P(CudaTreeAttentionTest, PrefillBesideDecoding) {
  Case c{.work = {}, .shape = {4, 2, 64}, .num_queries = 96};
  c.work.page_tokens = 16;
  Maker maker(6);
  maker.add_run(c, 200, [](int32_t) { return 200; });
  maker.add_run(c, 90, [](int32_t query) { return query < 90 ? query + 1 : 0; });
  maker.add_run(c, 30, [](int32_t query) { return query >= 90 ? 30 : 0; });
  maker.shuffle_pages(c);
  for (const int32_t multiprocessors : {1, 100}) {
    emulated_multiprocessors = multiprocessors;
    compare(c, device);
  }
}

// Two prompts prefilled at once by models whose groups of seven heads do not fill a tile.
TEST_P(CudaTreeAttentionTest, PrefillOfTwoPrompts) {
  Case c{.work = {}, .shape = {14, 2, 64}, .num_queries = 300};
  c.work.page_tokens = 16;
  Maker maker(9);
  maker.add_run(c, 150, [](int32_t query) { return query < 150 ? query + 1 : 0; });
  maker.add_run(c, 150, [](int32_t query) { return query >= 150 ? query - 149 : 0; });
  maker.shuffle_pages(c);
  emulated_multiprocessors = 1;
  compare(c, device);
}

TEST_P(CudaTreeAttentionTest, SurvivesLargeScores) {
  compare(random_case(3, {4, 2, 64}, 20, 150), device, 300);
}

// What lies in slots that no run lists may be anything.
TEST_P(CudaTreeAttentionTest, ReadsListedSlotsOnly) {
  Case c{.work = {}, .shape = {4, 2, 64}, .num_queries = 3};
  c.work.page_tokens = 32;
  Maker(8).add_run(c, 20, [](int32_t) { return 20; });
  c.work.piece_page = {1};
  c.work.piece_tokens = {20};
  c.work.run_piece_begin = {0, 1};
  c.num_pages = 2;
  Tensors tensors = random_tensors(c, 2, at::kBFloat16);
  const at::Tensor expected = dense(c, tensors, 0.125);
  for (at::Tensor pages : {tensors.keys, tensors.values}) {
    pages[0].fill_(NAN);
    pages[1].narrow(1, 20, 12).fill_(NAN);
  }
  EXPECT_LT(largest_difference(run(c, tensors, 0.125, device), expected), 0.01);
}

TEST(CudaTreePlan, Example) {
  TreeAttentionWork work;
  work.page_tokens = 4;
  work.piece_page = {7, 4, 9};
  work.piece_tokens = {3, 2, 1};
  work.run_piece_begin = {0, 1, 2, 3};
  work.run_tokens = {3, 2, 1};
  work.run_pair_begin = {0, 2, 3, 4};
  work.pair_query = {0, 1, 0, 1};
  work.pair_visible = {3, 3, 2, 1};
  CudaTreePlan plan;
  plan_cuda_tree(work, {.num_heads = 1, .num_kv_heads = 1, .head_dim = 64}, 2, 1, plan);
  EXPECT_EQ(plan.num_small_tiles, 3);
  EXPECT_EQ(plan.entry_query, (std::vector<int32_t>{0, 1, 0, 1}));
  EXPECT_EQ(plan.entry_visible, (std::vector<int32_t>{3, 3, 2, 1}));
  EXPECT_EQ(plan.entry_part, (std::vector<int32_t>{0, 2, 1, 3}));
  EXPECT_EQ(plan.part_begin, (std::vector<int32_t>{0, 2, 4}));
}

}  // namespace
}  // namespace treepo
