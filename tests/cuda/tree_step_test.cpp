// Holds rollout's step by the CUDA kernels against the packed forward pass of the same decoder.

#include <cmath>

#include "each_device.h"
#include "model/packed_forward.h"
#include "model/tiny_models.h"
#include "model/tree_step_model.h"

namespace treepo {
namespace {

TREEPO_EACH_DEVICE(CudaTreeStep);

// A prompt of 5 tokens in page 2, prefilled; then two children of it, tokens 30 and 31, decode one
// token each in pages 0 and 3. Pages of 8 tokens.
StepBatch prefill() {
  StepBatch batch;
  batch.tokens = {3, 9, 27, 14, 5};
  batch.positions = {0, 1, 2, 3, 4};
  batch.slots = {16, 17, 18, 19, 20};
  batch.attention = {.page_tokens = 8,
                     .piece_page = {2},
                     .piece_tokens = {5},
                     .run_piece_begin = {0, 1},
                     .run_tokens = {5},
                     .run_pair_begin = {0, 5},
                     .pair_query = {0, 1, 2, 3, 4},
                     .pair_visible = {1, 2, 3, 4, 5}};
  batch.draws = {{.row = 4, .uniform = 0.3}, {.row = 4, .uniform = 0.8}};
  return batch;
}

StepBatch decode() {
  StepBatch batch;
  batch.tokens = {30, 31};
  batch.positions = {5, 5};
  batch.slots = {0, 24};
  batch.attention = {.page_tokens = 8,
                     .piece_page = {2, 0, 3},
                     .piece_tokens = {5, 1, 1},
                     .run_piece_begin = {0, 1, 2, 3},
                     .run_tokens = {5, 1, 1},
                     .run_pair_begin = {0, 2, 3, 4},
                     .pair_query = {0, 1, 0, 1},
                     .pair_visible = {5, 5, 1, 1}};
  batch.draws = {{.row = 0, .uniform = 0.2}, {.row = 1, .uniform = 0.6}};
  return batch;
}

TEST_P(CudaTreeStep, FollowsPackedForwardInFloat64) {
  for (const char* family : {"llama", "qwen2", "qwen3", "mistral"})
    for (const int64_t head_dim : {64, 10})  // by kernels; by tensor operations
      for (const c10::ScalarType dtype : kNarrow) {
        SCOPED_TRACE(testing::Message() << family << " " << head_dim << " " << dtype);
        ModelConfig config = tiny_config(family);
        config.head_dim = head_dim;
        config.initializer_range = 0.1;
        const Decoder decoder = Decoder::random(config, 3, device, dtype);
        Decoder exact = Decoder::random(config, 3, at::kCPU, at::kDouble);
        copy_weights(decoder, exact);
        const PackedSequence packed{.tokens = {3, 9, 27, 14, 5, 30, 31},
                                    .positions = {0, 1, 2, 3, 4, 5, 5},
                                    .subtree_end = {7, 7, 7, 7, 7, 6, 7}};
        const at::NoGradGuard no_gradients;
        const at::Tensor expected =
            packed_hidden(exact, packed).mm(exact.head_weight().t()).log_softmax(-1);

        TreeStepModel model(decoder);
        model.allocate_pages(4, 8);
        std::vector<DrawnToken> drawn;
        const auto check = [&](size_t draw, int64_t token) {
          const at::Tensor logprobs = expected[token];
          EXPECT_NEAR(drawn[draw].logprob, logprobs[drawn[draw].token].item<double>(),
                      20 * rounding(dtype));
          EXPECT_NEAR(drawn[draw].entropy, -(logprobs.exp() * logprobs).sum().item<double>(),
                      20 * rounding(dtype));
        };
        model.step(prefill(), drawn);
        ASSERT_EQ(drawn.size(), 2u);
        check(0, 4);
        check(1, 4);
        model.step(decode(), drawn);
        ASSERT_EQ(drawn.size(), 2u);
        check(0, 5);
        check(1, 6);
        StepBatch silent = decode();  // stores, draws nothing
        silent.draws.clear();
        model.step(silent, drawn);
        EXPECT_TRUE(drawn.empty());
      }
}

}  // namespace
}  // namespace treepo
