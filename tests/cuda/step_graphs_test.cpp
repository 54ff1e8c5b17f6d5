// Steps that are padded to sizes which recur and replayed as CUDA graphs, held against the same
// steps without. Emulated graphs keep what hands a step over, so that whatever a replay takes from
// the step that was recorded, and not from memory, shows.

#include "model/step_graphs.h"

#include <algorithm>
#include <cmath>

#include "each_device.h"
#include "model/random_adapters.h"
#include "model/tiny_models.h"
#include "model/tree_step_model.h"
#include "rollout/engine.h"
#include "support/expect_error.h"

namespace treepo {
namespace {

TREEPO_EACH_DEVICE(CudaStepGraphs);

ModelConfig config_of(const std::string& family) {
  ModelConfig config = tiny_config(family);
  config.head_dim = 64;
  config.initializer_range = 0.1;
  return config;
}

void expect_same(const std::vector<DrawnToken>& actual, const std::vector<DrawnToken>& expected,
                 double tolerance) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i) {
    EXPECT_EQ(actual[i].token, expected[i].token) << "draw " << i;
    EXPECT_NEAR(actual[i].logprob, expected[i].logprob, tolerance) << "draw " << i;
    EXPECT_NEAR(actual[i].entropy, expected[i].entropy, tolerance) << "draw " << i;
    EXPECT_NEAR(actual[i].cut_mass, expected[i].cut_mass, tolerance) << "draw " << i;
  }
}

// Takes each step with graphs and without, and goes on with what the former draws. Padding gives
// products other shapes, so that sums may be rounded otherwise: rarely, a draw falls to the
// neighbouring token.
class Twin : public StepModel {
 public:
  Twin(const Decoder& decoder, double tolerance)
      : graphs_(decoder),
        each_(decoder, KernelChoice::best, CudaGraphs::off),
        tolerance_(tolerance) {}

  int32_t vocab_size() const override { return graphs_.vocab_size(); }
  int32_t max_positions() const override { return graphs_.max_positions(); }
  int64_t bytes_per_page(int32_t tokens) const override { return graphs_.bytes_per_page(tokens); }
  void allocate_pages(int32_t num_pages, int32_t page_tokens) override {
    graphs_.allocate_pages(num_pages, page_tokens);
    each_.allocate_pages(num_pages, page_tokens);
  }
  StepProfile profile() const override { return graphs_.profile(); }

  void step(const StepBatch& batch, std::vector<DrawnToken>& drawn) override {
    std::vector<DrawnToken> expected;
    graphs_.step(batch, drawn);
    each_.step(batch, expected);
    ++steps;
    prefills += batch.num_rows() > static_cast<int32_t>(batch.draws.size());
    silent += batch.draws.empty();
    ASSERT_EQ(drawn.size(), expected.size());
    for (size_t i = 0; i < drawn.size(); ++i) {
      ++draws;
      forks += i > 0 && batch.draws[i].row == batch.draws[i - 1].row;
      EXPECT_NEAR(drawn[i].entropy, expected[i].entropy, tolerance_) << "step " << steps;
      if (drawn[i].token != expected[i].token)
        ++other_tokens;
      else
        EXPECT_NEAR(drawn[i].logprob, expected[i].logprob, tolerance_) << "step " << steps;
    }
  }

  int64_t steps = 0, prefills = 0, silent = 0, draws = 0, forks = 0, other_tokens = 0;

 private:
  TreeStepModel graphs_, each_;
  double tolerance_;
};

// Prompts of several lengths, branching paths whose contexts grow, fallback: what a rollout brings.
TEST_P(CudaStepGraphs, RolloutsEqualThoseWithout) {
  int64_t silent = 0;
  for (const char* family : {"llama", "qwen3"}) {
    SCOPED_TRACE(family);
    emulated_multiprocessors = family == std::string("llama") ? 100 : 2;
    const Decoder decoder = Decoder::random(config_of(family), 3, device, at::kBFloat16);
    Twin twin(decoder, 20 * rounding(at::kBFloat16));
    RolloutSettings settings{
        .growth = {.width = 6, .depth = 4, .segment_tokens = 6},
        .engine = {.max_rows = 10, .max_step_tokens = 24, .page_tokens = 4, .cache_mib = 1},
        .eos_ids = {1},
        .seed = 5};
    settings.sampling.top_p = family == std::string("llama") ? 1 : 0.9;
    RolloutEngine engine(twin, settings);
    std::vector<Query> queries;
    for (uint64_t id = 0; id < 3; ++id)
      queries.push_back({.id = id, .prompt = std::vector<int32_t>(57 - 25 * id, 9)});
    engine.run(queries);
    EXPECT_GT(twin.prefills, 0);
    EXPECT_GT(twin.forks, 0);
    EXPECT_LE(twin.other_tokens, twin.draws / 20);
    EXPECT_GT(twin.profile().replayed_steps, twin.steps / 4) << "of " << twin.steps;
    silent += twin.silent;
  }
  EXPECT_GT(silent, 0);
}

// Eight rows of two trees decode at their `step`th token: a prompt of 10 tokens, then up to 16 of
// their own in two pages. Each array of the step has a size that is not rounded up, so that with
// graphs and without, products have the same shapes and results are the same bits.
StepBatch decoding(int32_t step) {
  constexpr int32_t kPageTokens = 16, kShared = 10;
  StepBatch batch;
  TreeAttentionWork& work = batch.attention;
  work.page_tokens = kPageTokens;
  int32_t page = 0;
  const auto add_run = [&](int32_t tokens, int32_t first, int32_t rows) {
    work.piece_page.push_back(page++);
    work.piece_tokens.push_back(tokens);
    work.run_piece_begin.push_back(static_cast<int32_t>(work.piece_page.size()));
    work.run_tokens.push_back(tokens);
    for (int32_t row = first; row < first + rows; ++row) {
      work.pair_query.push_back(row);
      work.pair_visible.push_back(tokens);
    }
    work.run_pair_begin.push_back(static_cast<int32_t>(work.pair_query.size()));
  };
  for (int32_t tree = 0; tree < 2; ++tree) {
    add_run(kShared, 4 * tree, 4);
    for (int32_t row = 4 * tree; row < 4 * tree + 4; ++row) {
      batch.tokens.push_back((7 * row + 11 * step) % 50);
      batch.positions.push_back(kShared + step);
      batch.slots.push_back(page * kPageTokens + step);
      batch.draws.push_back({.row = row, .uniform = (row + 0.5) / 8});
      add_run(step + 1, row, 1);
    }
  }
  return batch;
}

TEST_P(CudaStepGraphs, AReplayReadsWhatIsThere) {
  Decoder decoder = Decoder::random(config_of("qwen2"), 3, device, at::kBFloat16);
  TreeStepModel graphs(decoder), each(decoder, KernelChoice::best, CudaGraphs::off);
  graphs.allocate_pages(10, 16);
  each.allocate_pages(10, 16);
  std::vector<DrawnToken> drawn, expected;
  const auto compare = [&](int32_t step) {
    SCOPED_TRACE(testing::Message() << "step " << step);
    graphs.step(decoding(step), drawn);
    each.step(decoding(step), expected);
    expect_same(drawn, expected, 0);
  };
  for (int32_t step = 0; step < 8; ++step) compare(step);
  EXPECT_EQ(graphs.profile().replayed_steps, 7) << "all but the first";
  EXPECT_EQ(each.profile().replayed_steps, 0);
  {
    const at::NoGradGuard no_gradients;
    decoder.parameters().values().mul_(0.8);  // as an update does it
  }
  for (int32_t step = 8; step < 12; ++step) compare(step);
  EXPECT_EQ(graphs.profile().replayed_steps, 11);
  graphs.allocate_pages(20, 16);  // keys and values lie elsewhere
  each.allocate_pages(20, 16);
  for (int32_t step = 0; step < 3; ++step) compare(step);
  EXPECT_EQ(graphs.profile().replayed_steps, 13);
}

TEST_P(CudaStepGraphs, AdaptersAreSeen) {
  Decoder decoder = Decoder::random(config_of("llama"), 3, device, at::kBFloat16);
  TreeStepModel graphs(decoder), each(decoder, KernelChoice::best, CudaGraphs::off);
  graphs.allocate_pages(10, 16);
  each.allocate_pages(10, 16);
  std::vector<DrawnToken> drawn, expected, without;
  const auto compare = [&](int32_t step) {
    graphs.step(decoding(step), drawn);
    each.step(decoding(step), expected);
    expect_same(drawn, expected, 0);
  };
  for (int32_t step = 0; step < 3; ++step) compare(step);
  decoder.add_adapters({.rank = 4, .alpha = 8}, "base", 1);
  randomize_adapters(decoder, 2);
  for (int32_t step = 3; step < 6; ++step) compare(step);
  const AdaptersOff off(decoder);
  compare(6);
  EXPECT_EQ(graphs.profile().replayed_steps, 2 + 2 + 1) << "the first graph serves again";
}

TEST_P(CudaStepGraphs, LogitsThatAreNotFiniteAreNamed) {
  Decoder decoder = Decoder::random(config_of("llama"), 3, device, at::kBFloat16);
  TreeStepModel model(decoder);
  model.allocate_pages(10, 16);
  std::vector<DrawnToken> drawn;
  for (int32_t step = 0; step < 3; ++step) model.step(decoding(step), drawn);
  {
    const at::NoGradGuard no_gradients;
    decoder.parameters().values().fill_(std::nanf(""));
  }
  EXPECT_NE(error_of([&] { model.step(decoding(3), drawn); }).find("the logit nan for token 0"),
            std::string::npos);
}

// Many rows take the device longer than the host, and those who look on get every layer.
TEST_P(CudaStepGraphs, NoneForManyRows) {
  const Decoder decoder = Decoder::random(config_of("llama"), 3, device, at::kBFloat16);
  TreeStepModel model(decoder);
  model.allocate_pages(1, 1024);
  StepBatch batch;
  batch.attention = {.page_tokens = 1024,
                     .piece_page = {0},
                     .piece_tokens = {1},
                     .run_piece_begin = {0, 1},
                     .run_tokens = {1},
                     .run_pair_begin = {0, CudaStep::kMostGraphRows + 1},
                     .pair_query = {},
                     .pair_visible = {}};
  for (int32_t row = 0; row <= CudaStep::kMostGraphRows; ++row) {
    batch.tokens.push_back(row % 50);
    batch.positions.push_back(0);
    batch.slots.push_back(row == 0 ? 0 : -1);
    batch.attention.pair_query.push_back(row);
    batch.attention.pair_visible.push_back(1);
  }
  std::vector<DrawnToken> drawn;
  for (int i = 0; i < 3; ++i) model.step(batch, drawn);
  EXPECT_EQ(model.profile().replayed_steps, 0);
}

class StepGraphsTest : public testing::Test {
 protected:
  void SetUp() override { emulated_graphs = {}; }
  void TearDown() override { emulated_graphs = {}; }

  static bool run(StepGraphs& graphs, int64_t pages) {
    CudaStepWork work;
    work.num_pages = pages;
    return graphs.run(work, nullptr, [] {});
  }
};

TEST_F(StepGraphsTest, TheLeastRecentlyUsedIsForgotten) {
  StepGraphs graphs(emulated_cuda_kernels(), 0, 2);
  EXPECT_FALSE(run(graphs, 1));
  EXPECT_TRUE(run(graphs, 1));
  EXPECT_FALSE(run(graphs, 2));
  EXPECT_TRUE(run(graphs, 2));
  EXPECT_TRUE(run(graphs, 1));
  EXPECT_FALSE(run(graphs, 3));  // 2 goes
  EXPECT_EQ(emulated_graphs.alive, 1);
  EXPECT_TRUE(run(graphs, 1));
  EXPECT_FALSE(run(graphs, 2));
  EXPECT_TRUE(run(graphs, 2));
  EXPECT_EQ(emulated_graphs.alive, 2);
  EXPECT_EQ(emulated_graphs.recorded, 3);
  EXPECT_EQ(emulated_graphs.replayed, 5);
}

TEST_F(StepGraphsTest, AFailureEndsThemWithOneWarning) {
  StepGraphs graphs(emulated_cuda_kernels(), 0);
  EXPECT_FALSE(run(graphs, 1));
  EXPECT_TRUE(run(graphs, 1));
  emulated_graphs.fail = true;
  EXPECT_FALSE(run(graphs, 2));
  testing::internal::CaptureStderr();
  EXPECT_FALSE(run(graphs, 2));
  EXPECT_FALSE(graphs.on());
  EXPECT_EQ(emulated_graphs.alive, 0);
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(run(graphs, 1));
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_NE(log.find("CUDA graphs are off"), std::string::npos) << log;
  EXPECT_NE(log.find("no capture\n"), std::string::npos) << log;
  EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), 1) << log;
}

TEST(CudaTreeSizes, FewSizesRecur) {
  const std::vector<int32_t> from = {0, 1, 3, 8, 9, 17, 33, 65, 120, 257, 511};
  std::vector<int32_t> fine, coarse;
  for (const int32_t n : from) {
    fine.push_back(rounded_up(n, 8));
    coarse.push_back(rounded_up(n, 1));
  }
  EXPECT_EQ(fine, (std::vector<int32_t>{0, 1, 4, 8, 12, 20, 36, 72, 120, 288, 512}));
  EXPECT_EQ(coarse, (std::vector<int32_t>{0, 1, 4, 8, 16, 32, 64, 128, 128, 512, 512}));
}

}  // namespace
}  // namespace treepo
