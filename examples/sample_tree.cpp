// Samples one tree of eight answers and prints it.   sample_tree [MODEL_DIR PROMPT]
// Without a model: a fresh one, whose answers mean nothing.
#include <treepo/base/error.h>
#include <treepo/config/load.h>
#include <treepo/report/tree_text.h>
#include <treepo/train/tree_record.h>
#include <treepo/train/tree_sampler.h>

#include <iostream>

using namespace treepo;

int main(int argc, char** argv) try {
  RunOptions options =
      load_options("", {"rollout.width=8", "rollout.depth=4", "rollout.segment_tokens=8"});
  options.model.path = argc > 2 ? argv[1] : "";
  Problem problem;
  problem.prompt = argc > 2 ? argv[2] : "8+5+4-8+3*6:";

  TreeSampler sampler(options, /*scratch_dir=*/"fresh-tokenizer");
  const TrainingQuery query = make_training_query(problem, 0, 0, sampler.text().tokenizer);
  const SearchTree tree = sampler.sample({&query, 1}).front();

  const OrderedJson record = unscored_record(query, tree, sampler.text());
  std::cout << tree_text(read_logged_tree(record, "the tree"), 100);
  for (const int32_t leaf : tree.leaves())
    std::cout << "answer: " << trajectory_text(tree, leaf, sampler.text()) << "\n";
  std::cout << tree.leaves().size() << " answers: " << tree.unique_tokens()
            << " tokens decoded for " << tree.trajectory_tokens() << "\n";
} catch (const Error& error) {
  std::cerr << error.what() << "\n" << error.hint() << "\n";
  return 1;
}
