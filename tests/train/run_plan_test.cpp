// In half types the CPU's products take scratch memory that no formula here knows: float32 only.
// Holds `treepo plan`'s formulas against the bytes that tensors take at the worst moment of a real
// rollout and a real update.

#include "train/run_plan.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "learn/update.h"
#include "model/make_step_model.h"
#include "model/tree_step_model.h"
#include "rollout/engine.h"
#include "support/tensor_memory.h"

namespace treepo {
namespace {

struct Shape {
  std::string family;
  int64_t hidden, layers, heads, kv_heads, intermediate, vocab;
  bool tied;
};

std::ostream& operator<<(std::ostream& out, const Shape& s) {
  return out << s.family << " " << s.hidden << " x " << s.layers;
}

ModelConfig config_of(const Shape& shape) {
  ModelOptions options;
  options.architecture = shape.family;
  options.hidden_size = shape.hidden;
  options.num_layers = shape.layers;
  options.num_heads = shape.heads;
  options.num_kv_heads = shape.kv_heads;
  options.intermediate_size = shape.intermediate;
  options.tie_embeddings = shape.tied;
  return fresh_model_config(options, shape.vocab, {.bos = -1, .eos = 1, .pad = -1});
}

// The quickstart's model, and one of 8 M parameters whose vocabulary outweighs its layers.
const Shape kSmall = {"llama", 96, 3, 4, 2, 256, 24, true};
const Shape kMiddle = {"qwen3", 256, 6, 8, 2, 704, 8000, false};
const Shape kTied = {"qwen2", 256, 6, 8, 2, 704, 8000, true};

constexpr double kWithin = 0.2;

class PlanAgainstTensors : public testing::TestWithParam<std::tuple<Shape, c10::ScalarType>> {
 protected:
  const Shape& shape() const { return std::get<0>(GetParam()); }
  c10::ScalarType dtype() const { return std::get<1>(GetParam()); }
  MemoryModel model() const { return {.config = config_of(shape()), .dtype = dtype()}; }

  void expect_close(const char* what, int64_t planned, int64_t measured) const {
    const double ratio = static_cast<double>(planned) / static_cast<double>(measured);
    EXPECT_NEAR(ratio, 1, kWithin) << what << ": planned " << planned << ", measured " << measured;
    RecordProperty(what, std::to_string(ratio));
    std::printf("%s, %s %s: planned %ld, measured %ld, ratio %.3f\n", what,
                testing::PrintToString(shape()).c_str(), c10::toString(dtype()),
                static_cast<long>(planned), static_cast<long>(measured), ratio);
  }
};

TEST_P(PlanAgainstTensors, Sampling) {
  RunOptions options;
  options.rollout.width = 8;
  options.rollout.depth = 3;
  options.rollout.segment_tokens = 16;
  options.engine = {.max_rows = 64, .max_step_tokens = 512, .page_tokens = 16, .cache_mib = 64};
  std::vector<Query> queries(16);
  for (size_t i = 0; i < queries.size(); ++i)
    queries[i] = {.id = i, .prompt = std::vector<int32_t>(100, 3)};
  const RunPlan plan = plan_run(model(), options, 16, 100);

  TensorMemory memory;
  const Decoder decoder = Decoder::random(model().config, 1, at::kCPU, dtype());
  expect_close("weights", plan.weights, memory.current());
  memory.reset_peak();
  TreeStepModel step_model(decoder);
  RolloutEngine engine(step_model, {.growth = options.rollout, .engine = options.engine});
  engine.run(queries);
  expect_close("sampling", plan.sampling_total(), memory.peak());
  const int64_t beyond = memory.peak() - plan.weights - plan.pool;
  expect_close("step", std::max(plan.step_activations, plan.step_logits), beyond);
}

class TrainingPlan : public PlanAgainstTensors {
 protected:
  void compare(bool checkpoint_layers, const LoraOptions& lora = {}) const;
};

TEST_P(TrainingPlan, KeepsAllOfEveryLayer) {
  compare(false);
}

TEST_P(TrainingPlan, KeepsTheInputsOfLayers) {
  compare(true);
}

TEST_P(TrainingPlan, KeepsWhatAdaptersNeed) {
  const LoraOptions lora = {.rank = 32, .targets = {"q_proj", "v_proj", "up_proj", "down_proj"}};
  compare(false, lora);
  compare(true, lora);
}

void TrainingPlan::compare(bool checkpoint_layers, const LoraOptions& lora) const {
  // 4 trajectories without a shared token but the prompt's; more than kRecomputedRows.
  constexpr int32_t kTokens = 320;
  SearchTree tree(std::vector<int32_t>(32, 3), kTokens);
  TrainingTree training{.tree = &tree};
  for (int32_t leaf = 1; leaf <= 4; ++leaf) {
    tree.add_child(0);
    for (int i = 0; i < kTokens; ++i) tree.append(leaf, (leaf * 7 + i) % 20, -1, 1);
    tree.stop(leaf, StopReason::length);
    training.leaves.push_back(leaf);
    training.advantages.push_back(leaf % 2 == 0 ? 1 : -1);
  }
  RunOptions options;
  options.rollout.width = 4;
  options.rollout.depth = 1;
  options.rollout.segment_tokens = kTokens;
  options.update.max_tokens = 32 + 4 * kTokens;
  options.update.logit_chunk_tokens = 256;
  options.update.checkpoint_layers = checkpoint_layers;
  options.engine.cache_mib = 1;
  options.lora = lora;
  const RunPlan plan = plan_run(model(), options, 1, 32);
  EXPECT_EQ(plan.packed_tokens, 32 + 4 * kTokens);

  TensorMemory memory;
  Decoder decoder = Decoder::random(model().config, 1, at::kCPU, dtype());
  if (lora.rank > 0) decoder.add_adapters(lora, "base", 1);
  AdamW optimizer = make_optimizer(decoder, options.optimizer);
  const int64_t fixed = plan.weights + plan.gradients + plan.optimizer;
  expect_close("weights, gradients, optimiser", fixed, memory.current());
  for (int step = 0; step < 2; ++step) {
    memory.reset_peak();
    update(decoder, optimizer, std::vector<TrainingTree>{training}, options.objective, kTokens,
           1e-4,
           {.max_tokens = options.update.max_tokens,
            .logit_chunk_tokens = options.update.logit_chunk_tokens,
            .checkpoint_layers = checkpoint_layers});
  }
  const int64_t planned = plan.saved + std::max(plan.logit_chunk, plan.layer_backward);
  const int64_t beyond = memory.peak() - fixed;
  expect_close("update", planned, beyond);
  expect_close("training", fixed + planned, memory.peak());
}

INSTANTIATE_TEST_SUITE_P(Models, PlanAgainstTensors,
                         testing::Combine(testing::Values(kSmall, kMiddle, kTied),
                                          testing::Values(at::kFloat)));
INSTANTIATE_TEST_SUITE_P(Models, TrainingPlan,
                         testing::Combine(testing::Values(kSmall, kMiddle, kTied),
                                          testing::Values(at::kFloat)));

// Exact in half types too: gradients are float32, moments and the copy of the weights likewise.
TEST(RunPlan, KnowsWhatTrainingKeepsInHalfWidth) {
  for (const auto dtype : {at::kBFloat16, at::kHalf}) {
    const MemoryModel model = {.config = config_of(kMiddle), .dtype = dtype};
    const RunPlan plan = plan_run(model, {}, 1, 10);
    const TensorMemory memory;
    Decoder decoder = Decoder::random(model.config, 1, at::kCPU, dtype);
    const AdamW optimizer = make_optimizer(decoder, {});
    const int64_t planned = plan.weights + plan.gradients + plan.optimizer;
    EXPECT_NEAR(static_cast<double>(planned) / static_cast<double>(memory.current()), 1, 0.01);
  }
}

MemoryModel two_layers() {
  ModelOptions shape;
  shape.hidden_size = 64;
  shape.num_layers = 2;
  shape.num_heads = shape.num_kv_heads = 4;
  return {.config = fresh_model_config(shape, 24, {})};
}

// Adapters of rank 4 on q_proj [h = 64 to q = 64] and down_proj [i = 256 to h]: 4 (128 + 320) a
// layer. Their reference is the model without them.
TEST(RunPlan, CountsTheAdaptersThatAreTrained) {
  RunOptions options;
  options.objective.kl_beta = 0.1;
  const MemoryModel memory = two_layers();
  const RunPlan whole = plan_run(memory, options, 1, 10);
  options.lora = {.rank = 4, .targets = {"q_proj", "down_proj"}};
  const RunPlan adapted = plan_run(memory, options, 1, 10);
  constexpr int64_t kTrained = 2 * 4 * (128 + 320);
  EXPECT_EQ(adapted.gradients, 4 * kTrained);
  EXPECT_EQ(adapted.optimizer, 8 * kTrained);
  EXPECT_EQ(adapted.reference, 0);
  EXPECT_GT(whole.reference, 0);
  EXPECT_GT(whole.gradients, adapted.gradients);
}

// Bytes of the reference's weights and its table of rotations: [positions, head_dim] in float32.
TEST(RunPlan, CountsTheReferenceInItsOwnWidth) {
  RunOptions options;
  options.objective.kl_beta = 0.1;
  const MemoryModel memory = two_layers();
  const int64_t whole = plan_run(memory, options, 1, 10).reference;
  options.objective.reference_dtype = "bfloat16";
  const int64_t half = plan_run(memory, options, 1, 10).reference;
  EXPECT_EQ(whole - half, 2 * memory.parameters());
  EXPECT_EQ(half - 2 * memory.parameters(), memory.config.max_positions * 16 * 4);
}

// Packs hold update.max_tokens, but at least a path, and no more than there is.
TEST(RunPlan, CountsWhatAPackHolds) {
  RunOptions options;
  options.rollout.width = 4;
  options.rollout.depth = 2;
  options.rollout.segment_tokens = 16;
  const auto packed = [&](int64_t max_tokens, int64_t queries) {
    options.update.max_tokens = max_tokens;
    return plan_run(two_layers(), options, queries, 10).packed_tokens;
  };
  EXPECT_EQ(packed(64, 3), 64);
  EXPECT_EQ(packed(8, 3), 10 + 32);  // no path is cut
  EXPECT_EQ(packed(10'000, 3), 3 * (10 + 4 * 32));
  options.update.packed = false;
  EXPECT_EQ(packed(10'000, 3), 3 * 4 * (10 + 32));
}

// Two models, two sets of pages.
TEST(RunPlan, CountsBothModelsOfACheckedDevice) {
  RunOptions options;
  const RunPlan one = plan_run(two_layers(), options, 10, 10);
  options.model.device = "checked";
  const RunPlan two = plan_run(two_layers(), options, 10, 10);
  EXPECT_EQ(two.page_bytes, 2 * one.page_bytes);
  const Decoder decoder = Decoder::random(two_layers().config, 1, at::kCPU, at::kFloat);
  const auto model = make_step_model(decoder, "checked");
  EXPECT_EQ(two.page_bytes,
            model->bytes_per_page(static_cast<int32_t>(options.engine.page_tokens)));
}

// As many trees begin together as the plan says, and no fewer grow at once later on.
TEST(RunPlan, KnowsHowManyTreesBeginTogether) {
  RunOptions options;
  options.rollout.width = 8;
  options.rollout.depth = 3;
  options.rollout.segment_tokens = 4;
  const MemoryModel memory = two_layers();
  const Decoder decoder = Decoder::random(memory.config, 1, at::kCPU, at::kFloat);
  std::vector<Query> queries(20);
  for (size_t i = 0; i < queries.size(); ++i) queries[i] = {.id = i, .prompt = {1, 2, 3, 4, 5}};
  using enum BudgetPolicy;
  options.rollout.branching_min = options.rollout.branching_max = 3;
  options.rollout.tokens_per_step = 20 * 3 * 4;  // 3 paths of 4 tokens in each of 20 trees
  for (const auto& [rows, first, cache_mib, budget] :
       {std::tuple(16, 2, 8, transfer), std::tuple(16, 1, 8, transfer),
        std::tuple(16, 8, 8, transfer), std::tuple(64, 1, 1, transfer),
        std::tuple(200, 8, 1, transfer), std::tuple(200, 2, 1, transfer),
        std::tuple(200, 2, 1, random), std::tuple(200, 2, 1, tokens_per_step)}) {
    options.rollout.budget = budget;
    options.engine = {
        .max_rows = rows, .max_step_tokens = 512, .page_tokens = 32, .cache_mib = cache_mib};
    options.rollout.first_split_min = options.rollout.first_split_max = first;
    const RunPlan plan = plan_run(memory, options, 20, 5);
    TreeStepModel model(decoder);
    RolloutEngine engine(model, {.growth = options.rollout, .engine = options.engine});
    int64_t begun = 0;
    engine.run(queries, {.progress = [&](const RolloutProgress& progress) {
                 if (begun == 0) begun = progress.growing_trees;
               }});
    EXPECT_EQ(begun, plan.trees_at_first) << rows << " rows, first split " << first;
    EXPECT_LE(plan.trees_at_once, plan.trees_at_first);
  }
}

// Pages of 4 tokens, 4,096 bytes: a prompt of 10 takes 3, each of 2 segments of 6 takes 2.
TEST(RunPlan, NamesPagesAndWhatLimitsTrees) {
  RunOptions options;
  options.rollout.width = 4;
  options.rollout.depth = 2;
  options.rollout.segment_tokens = 6;
  options.engine = {.max_rows = 12, .max_step_tokens = 64, .page_tokens = 4, .cache_mib = 1};
  const MemoryModel memory = two_layers();
  const RunPlan plan = plan_run(memory, options, 10, 10);
  EXPECT_EQ(plan.token_bytes, 2 * 2 * 64 * 4);
  EXPECT_EQ(plan.page_bytes, 4096);
  EXPECT_EQ(plan.path_pages, 3 + 2 * 2);
  EXPECT_EQ(plan.tree_pages, 3 + 4 * 4);
  EXPECT_EQ(plan.all_pages, 190);
  EXPECT_EQ(plan.affordable_pages, 256);
  EXPECT_EQ(plan.pool_pages, 190);
  EXPECT_EQ(plan.trees_at_once, 3);  // 12 rows for 4 paths each
  EXPECT_EQ(plan.trees_limit, "engine.max_rows");

  options.engine.max_rows = 64;
  options.engine.page_tokens = 64;  // a page holds a segment, 16 in all
  const RunPlan pages = plan_run(memory, options, 10, 10);
  EXPECT_EQ(pages.tree_pages, 1 + 4 * 2);
  EXPECT_EQ(pages.trees_at_once, 1);
  EXPECT_EQ(pages.trees_limit, "engine.cache_mib");
  EXPECT_EQ(pages.tree_mib, 1);
  EXPECT_EQ(pages.all_mib, 6);

  options.rollout.depth = 40;  // one tree is too much, one path is not
  const RunPlan waits = plan_run(memory, options, 10, 10);
  EXPECT_FALSE(waits.can_sample());
  EXPECT_EQ(waits.trees_at_once, 0);
  options.rollout.depth = 8;
  const RunPlan tight = plan_run(memory, options, 10, 10);
  EXPECT_TRUE(tight.can_sample());
  EXPECT_LT(tight.affordable_pages, tight.tree_pages);
  EXPECT_EQ(tight.trees_at_once, 1);
  EXPECT_EQ(plan_run(memory, options, 1, 10).trees_limit, "engine.cache_mib");
  options.engine = {};
  EXPECT_EQ(plan_run(memory, options, 1, 10).trees_limit, "");
}

// With the number that the plan names sampling starts, and with less it does not.
TEST(RunPlan, TheNumberThatItNamesWouldDo) {
  RunOptions options;
  options.rollout.width = 4;
  options.rollout.depth = 20;
  options.rollout.segment_tokens = 16;
  options.engine = {.max_rows = 8, .max_step_tokens = 64, .page_tokens = 64, .cache_mib = 1};
  const MemoryModel memory = {.config = config_of(kMiddle)};
  const RunPlan plan = plan_run(memory, options, 1, 5);
  ASSERT_FALSE(plan.can_sample());
  const Decoder decoder = Decoder::random(memory.config, 1, at::kCPU, at::kFloat);
  TreeStepModel model(decoder);
  const std::vector<Query> queries = {{.id = 1, .prompt = {1, 2, 3, 4, 5}}};
  options.engine.cache_mib = plan.path_mib - 1;
  EXPECT_THROW(
      RolloutEngine(model, {.growth = options.rollout, .engine = options.engine}).run(queries),
      Error);
  options.engine.cache_mib = plan.path_mib;
  RolloutEngine engine(model, {.growth = options.rollout, .engine = options.engine});
  EXPECT_EQ(engine.run(queries)[0].leaves().size(), 4u);
}

}  // namespace
}  // namespace treepo
