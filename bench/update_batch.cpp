// One optimiser step on the trajectories of a file, packed or each apart: treepo's side of the
// comparison in bench/peers/training. Prints a JSON line: seconds of each repetition, the
// gradient's norm before clipping and the tokens run. Usage: bench_update_batch MODEL_DIR
// BATCH.json float32|bfloat16 packed|apart [repetitions [warm-up]]
//   BATCH.json   {"prompt": [ids], "responses": [[ids], …], "advantages": [one a response]};
//                what responses have in common at their begin becomes one path of a tree.

#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "base/large_blocks.h"
#include "base/timer.h"
#include "learn/update.h"
#include "model/device.h"
#include "model/reused_memory.h"
#include "train/threads.h"

namespace treepo {
namespace {

using Tokens = std::vector<int32_t>;

Tokens tokens_of(const Json& ids) {
  return ids.get<Tokens>();
}

size_t shared_length(const std::vector<Tokens>& responses, const std::vector<size_t>& group) {
  const Tokens& first = responses[group.front()];
  for (size_t at = 0;; ++at)
    for (const size_t i : group)
      if (at == responses[i].size() || responses[i][at] != first[at]) return at;
}

// Below `parent`: the tokens from `begin` on that all of `group` have in common, then one child for
// each token that may follow. `leaf_response` gets the response of each trajectory as it stops.
void grow(SearchTree& tree, int32_t parent, size_t begin, const std::vector<Tokens>& responses,
          const std::vector<size_t>& group, std::vector<size_t>& leaf_response) {
  const size_t end =
      group.size() == 1 ? responses[group[0]].size() : shared_length(responses, group);
  int32_t node = parent;
  if (end > begin) {
    node = tree.add_child(parent);
    for (size_t at = begin; at < end; ++at) tree.append(node, responses[group[0]][at], 0, 0);
  }
  std::vector<size_t> left = group;
  while (!left.empty()) {
    const Tokens& first = responses[left[0]];
    if (first.size() == end) {
      if (group.size() > 1)
        throw Error("a response is the beginning of another, or twice in the batch");
      tree.stop(node, StopReason::length);
      leaf_response.push_back(left[0]);
      return;
    }
    std::vector<size_t> same, others;
    for (const size_t i : left) (responses[i][end] == first[end] ? same : others).push_back(i);
    grow(tree, node, end, responses, same, leaf_response);
    left = others;
  }
}

struct Batch {
  SearchTree tree;
  std::vector<double> advantages;  // by leaf
  size_t longest = 0;              // response
};

Batch read_batch(const std::string& path) {
  const Json json = read_json_file(path);
  std::vector<Tokens> responses;
  size_t longest = 0;
  for (const Json& ids : get_array(json, "responses", path)) {
    responses.push_back(tokens_of(ids));
    longest = std::max(longest, responses.back().size());
  }
  const std::vector<double> advantages = get_doubles(json, "advantages", path);
  if (responses.empty() || advantages.size() != responses.size())
    throw Error(path + ": each of \"responses\" needs one of \"advantages\"");
  Batch batch{SearchTree(tokens_of(get_array(json, "prompt", path)), static_cast<int32_t>(longest)),
              {},
              longest};
  std::vector<size_t> all(responses.size()), leaf_response;
  std::iota(all.begin(), all.end(), size_t{0});
  grow(batch.tree, 0, 0, responses, all, leaf_response);
  for (const size_t i : leaf_response) batch.advantages.push_back(advantages[i]);
  return batch;
}

void run(const std::string& model, const Batch& batch, c10::ScalarType dtype, bool packed,
         int repetitions, int warm_up) {
  const int64_t threads = use_threads(0);
  Decoder decoder = Decoder::load(model, parse_device("cpu"), dtype);
  AdamW optimizer = make_optimizer(decoder, {});
  std::vector<TrainingTree> training = {
      {.tree = &batch.tree, .leaves = batch.tree.leaves(), .advantages = batch.advantages}};
  const PackRunOptions options{.packed = packed};
  training[0].old_logprobs = compute_logprobs(decoder, training, {})[0];
  std::vector<double> seconds;
  UpdateReport first;
  for (int i = -warm_up; i < repetitions; ++i) {
    const Timer timer;
    const UpdateReport report = update(decoder, optimizer, training, {},
                                       static_cast<int64_t>(batch.longest), 1e-6, options);
    if (i >= 0) seconds.push_back(timer.seconds());
    if (i == -warm_up) first = report;
  }
  const OrderedJson line = {{"all_seconds", seconds},
                            {"gradient_norm", first.step.gradient_norm},
                            {"tokens", first.packed_tokens},
                            {"packs", first.packs},
                            {"threads", threads}};
  fmt::print("{}\n", dump_json(line));
}

}  // namespace
}  // namespace treepo

int main(int argc, char** argv) {
  const std::string way = argc > 4 ? argv[4] : "";
  if (argc < 5 || argc > 7 || (way != "packed" && way != "apart")) {
    fmt::print(stderr,
               "usage: {} MODEL_DIR BATCH.json DTYPE packed|apart [REPETITIONS [WARM-UP]]\n",
               argv[0]);
    return 2;
  }
  // Memory is handled as in the program.
  treepo::give_back_large_blocks();
  treepo::reuse_tensor_memory();
  try {
    treepo::run(argv[1], treepo::read_batch(argv[2]), treepo::parse_dtype(argv[3]), way == "packed",
                argc > 5 ? std::max(1, std::atoi(argv[5])) : 3, argc > 6 ? std::atoi(argv[6]) : 1);
  } catch (const treepo::Error& error) {
    fmt::print(stderr, "error: {}{}{}\n", error.what(),
               error.hint().empty() ? "" : "\n  hint: ", error.hint());
    return 1;
  }
}
