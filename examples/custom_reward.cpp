// Trains a fresh model for a reward of one's own: the share of sevens in an answer.
//   custom_reward [RUN_DIR]
#include <treepo/base/error.h>
#include <treepo/config/load.h>
#include <treepo/config/validate.h>
#include <treepo/train/trainer.h>

#include <algorithm>
#include <cmath>
#include <iostream>
#include <memory>

using namespace treepo;

class Sevens : public Verifier {
 public:
  void check(const Problem&) const override {}  // there is no problem that it can't judge

 private:
  std::vector<Verdict> judge(std::span<const Response> responses) override {
    std::vector<Verdict> verdicts;
    for (const Response& response : responses) {
      const auto sevens = static_cast<double>(std::ranges::count(response.text, '7'));
      Verdict verdict;
      verdict.score = response.text.empty() ? 0 : sevens / double(response.text.size());
      verdict.correct = verdict.score == 1;
      verdict.reason = verdict.correct ? "sevens only" : "something else, too";
      verdicts.push_back(verdict);
    }
    return verdicts;
  }
};

// Prints a line for each step, and keeps the mean rewards.
class Rewards : public MetricSink {
 public:
  void write(int64_t step, const Metrics& metrics) override {
    const double mean = metrics.number("reward/mean");
    if (std::isnan(mean)) return;  // a line of an evaluation
    means.push_back(mean);
    std::cout << "step " << step << ": reward " << mean << "\n";
  }
  std::vector<double> means;
};

int main(int argc, char** argv) try {
  RunOptions options = load_options(
      "", {"data.kind=carry", "reward.kind=carry", "data.held_out=20", "model.hidden_size=48",
           "model.num_layers=2", "rollout.width=16", "rollout.depth=4", "rollout.segment_tokens=4",
           "optimizer.learning_rate=5e-3", "optimizer.warmup_steps=0", "update.updates_per_batch=1",
           "train.max_steps=15", "train.queries_per_step=8", "evaluate.every=0"});
  options.train.run_dir = argc > 1 ? argv[1] : "runs/sevens";
  validate_for_training(options);

  Rewards rewards;
  // The verifier takes the place of reward.kind.
  Trainer trainer(options, RunStart::fresh, {.verifier = std::make_unique<Sevens>()});
  trainer.run({.metrics = &rewards});
  return rewards.means.back() > rewards.means.front() ? 0 : 1;
} catch (const Error& error) {
  std::cerr << error.what() << "\n" << error.hint() << "\n";
  return 1;
}
