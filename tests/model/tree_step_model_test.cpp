// Holds cached decoding against the packed forward pass: random trees in pages of random size, run
// in random batches of prefill and decode, by kernels and by tensor operations.

#include "model/tree_step_model.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "model/packed_forward.h"
#include "one_token_batch.h"
#include "random_tree.h"
#include "support/expect_error.h"
#include "tiny_models.h"

#ifdef __SANITIZE_ADDRESS__
// One test asks for more memory than there is, which AddressSanitizer takes for a bug by default.
extern "C" const char* __asan_default_options() {
  return "allocator_may_return_null=1";
}
#endif

namespace treepo {
namespace {

// A random tree cut into chains without branches, each on pages of its own.
class PagedTree {
 public:
  PagedTree(const RandomTrees& trees, int32_t page_tokens, uint64_t seed)
      : trees_(trees), page_tokens_(page_tokens), stream_(seed, Purpose::generate) {
    const auto count = static_cast<size_t>(trees.packed.size());
    std::vector<int32_t> children(count);
    for (const int32_t parent : trees.parent)
      if (parent >= 0) ++children[static_cast<size_t>(parent)];
    for (size_t i = 0; i < count; ++i) {
      const int32_t parent = trees.parent[i];
      const bool continues = parent >= 0 && children[static_cast<size_t>(parent)] == 1;
      chain_.push_back(continues ? chain_[static_cast<size_t>(parent)] : num_chains_++);
      offset_.push_back(continues ? offset_[static_cast<size_t>(parent)] + 1 : 0);
      pages_.resize(static_cast<size_t>(num_chains_));
      auto& pages = pages_[static_cast<size_t>(chain_[i])];
      if (offset_[i] % page_tokens == 0) pages.push_back(num_pages_++);
    }
    std::vector<int32_t> shuffled(static_cast<size_t>(num_pages_));
    for (size_t i = 0; i < shuffled.size(); ++i) shuffled[i] = static_cast<int32_t>(i);
    for (size_t i = shuffled.size(); i > 1; --i)
      std::swap(shuffled[i - 1],
                shuffled[static_cast<size_t>(
                    stream_.integer(0, static_cast<int64_t>(i) - 1, 0, static_cast<uint32_t>(i)))]);
    for (auto& pages : pages_)
      for (int32_t& page : pages) page = shuffled[static_cast<size_t>(page)];
  }

  int32_t num_pages() const { return num_pages_; }

  // The tokens as rows, in this order; stored or, where stored before, only run again.
  StepBatch batch(const std::vector<int32_t>& tokens, const std::vector<bool>& stored) const {
    StepBatch batch;
    TreeAttentionWork& work = batch.attention;
    work.page_tokens = page_tokens_;
    std::vector<std::vector<std::pair<int32_t, int32_t>>> seen(static_cast<size_t>(num_chains_));
    for (const int32_t token : tokens) {
      const auto at = static_cast<size_t>(token);
      const int32_t slot =
          pages_[static_cast<size_t>(chain_[at])][static_cast<size_t>(offset_[at] / page_tokens_)] *
              page_tokens_ +
          offset_[at] % page_tokens_;
      const int32_t row = batch.num_rows();
      for (int32_t i = token; i >= 0;) {  // from chain to chain
        const auto here = static_cast<size_t>(i);
        seen[static_cast<size_t>(chain_[here])].emplace_back(row, offset_[here] + 1);
        for (int32_t back = offset_[here]; back >= 0; --back)
          i = trees_.parent[static_cast<size_t>(i)];
      }
      batch.tokens.push_back(trees_.packed.tokens[at]);
      batch.positions.push_back(trees_.packed.positions[at]);
      batch.slots.push_back(stored[at] ? -1 : slot);
    }
    for (size_t chain = 0; chain < seen.size(); ++chain) {
      if (seen[chain].empty()) continue;
      int32_t most = 0;
      for (const auto& [row, visible] : seen[chain]) {
        work.pair_query.push_back(row);
        work.pair_visible.push_back(visible);
        most = std::max(most, visible);
      }
      work.run_pair_begin.push_back(static_cast<int32_t>(work.pair_query.size()));
      for (int32_t first = 0; first < most; first += page_tokens_) {
        work.piece_page.push_back(pages_[chain][static_cast<size_t>(first / page_tokens_)]);
        work.piece_tokens.push_back(std::min(page_tokens_, most - first));
      }
      work.run_piece_begin.push_back(static_cast<int32_t>(work.piece_page.size()));
      work.run_tokens.push_back(most);
    }
    return batch;
  }

 private:
  const RandomTrees& trees_;
  int32_t page_tokens_;
  RandomStream stream_;
  std::vector<int32_t> chain_, offset_;      // by token: its chain, and its place in it
  std::vector<std::vector<int32_t>> pages_;  // by chain
  int32_t num_chains_ = 0, num_pages_ = 0;
};

at::Tensor packed_logprobs(const Decoder& decoder, const PackedSequence& packed) {
  const at::NoGradGuard no_gradients;
  return packed_hidden(decoder, packed)
      .mm(decoder.head_weight().t())
      .to(at::kDouble)
      .log_softmax(-1);
}

// Runs the whole tree in random batches, some rows twice, and compares what is drawn at random
// rows. Returns the largest difference of a log-prob or an entropy.
double run_and_compare(const Decoder& decoder, KernelChoice kernels, uint64_t seed) {
  const RandomStream stream(seed, Purpose::train);
  auto integer = [&, count = 0u](int64_t low, int64_t high) mutable {
    return static_cast<int32_t>(stream.integer(low, high, 0, count++));
  };
  const int32_t num_tokens = integer(1, 150);
  const RandomTrees trees =
      random_trees(seed, num_tokens, integer(2, 40), decoder.config().vocab_size);
  const at::Tensor expected = packed_logprobs(decoder, trees.packed);
  const int32_t page_tokens = integer(0, 1) == 0 ? 16 : integer(1, 20);
  const PagedTree paged(trees, page_tokens, seed);
  TreeStepModel model(decoder, kernels);
  model.allocate_pages(paged.num_pages(), page_tokens);

  std::vector<bool> stored(static_cast<size_t>(num_tokens));
  std::vector<DrawnToken> drawn;
  double worst = 0;
  int32_t num_draws = 0;
  for (int32_t begin = 0; begin < num_tokens;) {
    const int32_t end = std::min(num_tokens, begin + integer(1, 40));
    std::vector<int32_t> tokens;
    for (int32_t i = begin; i < end; ++i) tokens.push_back(i);
    if (begin > 0 && integer(0, 1) == 0) tokens.push_back(integer(0, begin - 1));
    StepBatch batch = paged.batch(tokens, stored);
    batch.attention.check_invariants(batch.num_rows());
    for (int32_t row = 0; row < batch.num_rows(); ++row)
      for (int32_t copies = integer(-1, 2); copies > 0; --copies)
        batch.draws.push_back(
            {.row = row, .uniform = stream.uniform(1, static_cast<uint32_t>(num_draws++))});
    model.step(batch, drawn);
    EXPECT_EQ(drawn.size(), batch.draws.size());
    for (size_t i = 0; i < drawn.size(); ++i) {
      const int32_t token = tokens[static_cast<size_t>(batch.draws[i].row)];
      const at::Tensor logprobs = expected.select(0, token);
      const double entropy = -(logprobs.exp() * logprobs).sum().item<double>();
      worst = std::max({worst, std::abs(drawn[i].entropy - entropy),
                        std::abs(drawn[i].logprob - logprobs[drawn[i].token].item<double>())});
    }
    for (int32_t i = begin; i < end; ++i) stored[static_cast<size_t>(i)] = true;
    begin = end;
  }
  return worst;
}

class TreeStep : public testing::TestWithParam<const char*> {};

TEST_P(TreeStep, EqualsPackedForwardInFloat64) {
  const Decoder decoder = Decoder::random(tiny_config(GetParam()), 3, at::kCPU, at::kDouble);
  for (uint64_t seed = 0; seed < 25; ++seed) {
    EXPECT_LT(run_and_compare(decoder, KernelChoice::best, seed), 1e-12) << "seed " << seed;
    EXPECT_LT(run_and_compare(decoder, KernelChoice::tensor_operations, seed), 1e-12)
        << "seed " << seed;
  }
}

// Half-width weights: keys and values are stored as they come out, so that only the rounding of
// each layer's output, 1 part in 256, may fall to either side.
TEST_P(TreeStep, EqualsPackedForwardInNarrowTypes) {
  for (const auto& [dtype, tolerance] :
       {std::pair(at::kFloat, 1e-4), std::pair(at::kBFloat16, 0.5), std::pair(at::kHalf, 0.05)}) {
    const Decoder decoder = Decoder::random(tiny_config(GetParam()), 3, at::kCPU, dtype);
    for (uint64_t seed = 0; seed < 4; ++seed)
      for (const KernelChoice kernels : {KernelChoice::best, KernelChoice::tensor_operations})
        EXPECT_LT(run_and_compare(decoder, kernels, seed), tolerance)
            << "seed " << seed << " " << c10::toString(dtype);
  }
}

INSTANTIATE_TEST_SUITE_P(Families, TreeStep, testing::Values("llama", "qwen2", "qwen3", "mistral"));

TEST(TreeStepModel, PagesAreKeptWhereTheySuffice) {
  const Decoder decoder = Decoder::random(tiny_config("llama"), 3, at::kCPU, at::kFloat);
  TreeStepModel model(decoder);
  EXPECT_EQ(model.vocab_size(), 50);
  EXPECT_EQ(model.max_positions(), 256);
  EXPECT_EQ(model.bytes_per_page(16), 2 * 2 * 2 * 10 * 16 * 4);  // k and v, layers, heads, dim
  const Decoder half = Decoder::random(tiny_config("llama"), 3, at::kCPU, at::kBFloat16);
  EXPECT_EQ(TreeStepModel(half).bytes_per_page(16), 2 * 2 * 2 * 10 * 16 * 2);
  StepBatch batch = one_token_batch(/*page_tokens=*/4, /*page=*/2);
  batch.draws = {{.row = 0, .uniform = 0.5}};
  std::vector<DrawnToken> first, second;
  model.allocate_pages(4, 4);
  model.step(batch, first);
  model.allocate_pages(3, 4);
  batch.slots = {-1};
  model.step(batch, second);  // its key is still there
  EXPECT_EQ(first[0].token, second[0].token);
  EXPECT_EQ(first[0].logprob, second[0].logprob);
}

TEST(TreeStepModel, BadBatchesAndWeightsAreNamed) {
  Decoder decoder = Decoder::random(tiny_config("llama"), 3, at::kCPU, at::kFloat);
  TreeStepModel model(decoder);
  model.allocate_pages(1, 4);
  StepBatch good = one_token_batch();
  good.draws = {{.row = 0, .uniform = 0.5}};
  std::vector<DrawnToken> drawn;
  model.step(good, drawn);
  StepBatch bad = good;
  bad.tokens = {50};
  EXPECT_THROW(model.step(bad, drawn), CheckFailure);
  bad = good;
  bad.positions = {256};
  EXPECT_THROW(model.step(bad, drawn), CheckFailure);
  bad = good;
  bad.slots = {4};
  EXPECT_THROW(model.step(bad, drawn), CheckFailure);
  bad = good;
  bad.draws = {{.row = 1, .uniform = 0.5}};
  EXPECT_THROW(model.step(bad, drawn), CheckFailure);

  decoder.parameters().values().fill_(std::numeric_limits<float>::quiet_NaN());
  EXPECT_NE(error_of([&] { model.step(good, drawn); }).find("nan for token 0"), std::string::npos);
  TreeStepModel plain(decoder, KernelChoice::tensor_operations);
  plain.allocate_pages(1, 4);
  EXPECT_NE(error_of([&] { plain.step(good, drawn); }).find("nan for token 0"), std::string::npos);
  EXPECT_NE(error_of([&] { model.allocate_pages(1 << 30, 1 << 10); }).find("engine.cache_mib"),
            std::string::npos);
}

}  // namespace
}  // namespace treepo
