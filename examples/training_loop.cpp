// The training loop by hand, on the task of the quickstart: a fresh model imitates demonstrations
// that often forget to carry, then learns from right and wrong answers alone.
//   training_loop [KEY=VALUE…]
#include <treepo/base/error.h>
#include <treepo/config/load.h>
#include <treepo/data/carry_task.h>
#include <treepo/learn/advantage.h>
#include <treepo/learn/update.h>
#include <treepo/train/batch_collector.h>
#include <treepo/train/model_setup.h>
#include <treepo/train/threads.h>
#include <treepo/train/tree_sampler.h>
#include <treepo/train/warm_start.h>

#include <cmath>
#include <cstdio>

using namespace treepo;

int main(int argc, char** argv) try {
  std::vector<std::string> settings = {
      "data.kind=carry",          "reward.kind=carry",        "model.hidden_size=64",
      "model.num_layers=2",       "model.max_positions=128",  "model.initializer_range=0.06",
      "warm_start.steps=500",     "warm_start.carry_bug=0.4", "rollout.width=16",
      "rollout.depth=8",          "rollout.segment_tokens=8", "optimizer.learning_rate=1e-3",
      "optimizer.weight_decay=0", "train.max_steps=20"};
  settings.insert(settings.end(), argv + 1, argv + argc);
  const RunOptions options = load_options("", settings);
  use_threads(1);  // of a model this small, more only wait for each other
  LoadedModel model = load_model(options.model, /*seed=*/1, /*scratch_dir=*/"fresh-tokenizer");
  const WarmStartProgress imitated = warm_start(
      model.decoder, model.tokenizer, options, kCarryEosId, [](const WarmStartProgress& p) {
        if (p.step % 100 == 0) std::printf("imitation %3ld: loss %.3f\n", long(p.step), p.loss);
      });
  if (imitated.given_up)
    throw Error(warm_start_step(imitated.step) + ": gradients are not finite any more",
                "lower warm_start.learning_rate");

  const CarryTask task(/*seed=*/0);
  TreeSampler sampler(model, options, Purpose::train);
  const std::unique_ptr<Verifier> verifier = make_verifier(options.reward);
  AdamW optimizer = make_optimizer(model.decoder, options.optimizer);
  double first = 0, last = 0;  // sums of mean rewards
  for (int step = 0; step < options.train.max_steps; ++step) {
    // 1. Sample a tree of 16 answers for each problem. They are the same at each step; that they
    // are visited again gives them other random numbers.
    std::vector<TrainingQuery> queries;
    for (uint64_t i = 0; i < 16; ++i)
      queries.push_back(make_training_query(task.training_problem(int64_t(i)), /*id=*/i,
                                            /*visit=*/uint64_t(step), model.tokenizer));
    std::vector<SearchTree> trees = sampler.sample(queries);

    // 2. Verify every trajectory.
    std::vector<ScoredTree> scored;
    for (size_t i = 0; i < trees.size(); ++i)
      scored.push_back(score_tree(queries[i], trees[i], sampler.text(), *verifier, options));

    // 3. Credit each against those that share its ancestors, at every depth.
    std::vector<QueryRewards> rewards;
    for (const ScoredTree& s : scored)
      rewards.push_back(query_rewards(s.query.problem.id, s.tree, s.tree.leaves(), s.rewards));
    const std::vector<LeafAdvantages> advantages = leaf_advantages(rewards, options.advantage);

    // 4. Update on the trees: packed, each shared token runs once forward and once backward.
    std::vector<TrainingTree> batch;
    for (size_t i = 0; i < scored.size(); ++i)
      batch.push_back({.tree = &scored[i].tree,
                       .leaves = scored[i].tree.leaves(),
                       .advantages = advantages[i].values});
    const UpdateReport report =
        update(model.decoder, optimizer, batch, options.objective,
               longest_response(options.rollout, options.stop), options.optimizer.learning_rate,
               {.temperature = options.sampling.temperature});

    double reward = 0;
    for (const ScoredTree& s : scored) reward += s.mean_score() / double(scored.size());
    (step < 5 ? first : last) += step < 5 || step >= 15 ? reward / 5 : 0;
    std::printf("step %2d: reward %.3f  entropy %.3f  gradient norm %.3f  %ld tokens run for %ld\n",
                step + 1, reward, report.objective.entropy_sum / double(report.objective.tokens),
                report.step.gradient_norm, long(report.packed_tokens),
                long(report.trajectory_tokens));
    if (!std::isfinite(report.objective.loss) || report.step.skipped) return 1;
  }
  std::printf("mean reward of the first 5 steps %.3f, of the last 5 %.3f\n", first, last);
  return last > first ? 0 : 1;
} catch (const Error& error) {
  std::fprintf(stderr, "%s\n%s\n", error.what(), error.hint().c_str());
  return 1;
}
