#include "learn/policy_gradient_check.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <optional>

#include "base/json.h"
#include "learn/loss_terms.h"
#include "learn/sequence_ratio.h"
#include "learn/update.h"
#include "model/safetensors.h"

namespace treepo {
namespace {

double tolerance_of(c10::ScalarType dtype) {
  if (dtype == at::kDouble) return 1e-9;
  return dtype == at::kFloat ? 1e-3 : 0.2;
}

bool is_half(c10::ScalarType dtype) {
  return dtype == at::kHalf || dtype == at::kBFloat16;
}

// The trees of case.json with the log-probs of oracle.safetensors.
struct Case {
  std::deque<SearchTree> trees;  // addresses stay
  std::vector<TrainingTree> training;
  std::vector<std::pair<size_t, int32_t>> leaves;  // tree and node of leaf I, through all trees
  ObjectiveOptions objective;
  double kl_beta = 0;
  std::optional<ObjectiveOptions> gspo;
  Json stats;  // tokens, clipped_low, clipped_high, dual_clipped
};

std::vector<int32_t> token_list(const Json& object, const std::string& key,
                                const std::string& where) {
  std::vector<int32_t> tokens;
  for (const int64_t token : get_ints(object, key, where))
    tokens.push_back(static_cast<int32_t>(token));
  return tokens;
}

SearchTree read_tree(const Json& json, const std::string& where) {
  const Json& nodes = get_array(json, "nodes", where);
  size_t longest = 1;
  for (const Json& node : nodes)
    longest = std::max(longest, get_array(node, "tokens", where).size());
  SearchTree tree(token_list(json, "prompt", where), static_cast<int32_t>(longest));
  for (size_t i = 1; i < nodes.size(); ++i) {
    const auto parent = static_cast<int32_t>(get_int(nodes[i], "parent", where));
    const auto used = static_cast<int32_t>(get_int_or(nodes[i], "parent_used_tokens", -1, where));
    const int32_t id = tree.add_child(parent, used);
    if (get_int(nodes[i], "id", where) != id)
      throw Error(where + ": nodes must be numbered 0, 1, 2, …");
    for (const int32_t token : token_list(nodes[i], "tokens", where)) tree.append(id, token, 0, 0);
  }
  return tree;
}

// Every slot that the leaf passes through, in the order of its response.
std::vector<size_t> slots_of(const SearchTree& tree, int32_t leaf) {
  std::vector<size_t> slots;
  const auto path = tree.path(leaf);
  const auto used = tree.path_used_tokens(leaf);
  for (size_t n = 1; n < path.size(); ++n) {
    for (int32_t offset = 0; offset < used[n]; ++offset)
      slots.push_back(static_cast<size_t>(path[n]) * static_cast<size_t>(tree.segment_tokens()) +
                      static_cast<size_t>(offset));
  }
  return slots;
}

std::vector<double> leaf_tensor(const SafetensorsFile& oracle, size_t leaf, const char* what,
                                size_t expected) {
  const std::string name = fmt::format("leaf.{}.{}", leaf, what);
  std::vector<double> values = to_host(oracle.read(name));
  if (values.size() != expected)
    throw Error(fmt::format("{}: {} holds {} values, its path has {} tokens", oracle.path(), name,
                            values.size(), expected));
  return values;
}

void fill_slots(std::vector<double>& slots_values, const std::vector<size_t>& slots,
                const std::vector<double>& values) {
  for (size_t i = 0; i < slots.size(); ++i) slots_values[slots[i]] = values[i];
}

Case read_case(const std::string& directory, const SafetensorsFile& oracle) {
  const std::string where = directory + "/case.json";
  const Json json = read_json_file(where);
  Case result;
  result.objective.clip_low = get_double(json, "clip_low", where);
  result.objective.clip_high = get_double(json, "clip_high", where);
  result.objective.dual_clip = get_double(json, "dual_clip", where);
  result.kl_beta = get_double_or(json, "kl_beta", 0.0, where);
  const double gspo_low = get_double_or(json, "gspo_clip_low", 0.0, where);
  if (gspo_low > 0) {
    result.gspo = {.kind = Objective::gspo,
                   .clip_low = gspo_low,
                   .clip_high = get_double(json, "gspo_clip_high", where),
                   .dual_clip = 0};
  }
  result.stats = get_object(json, "stats", where);
  for (const Json& one : get_array(json, "trees", where)) {
    const SearchTree& tree = result.trees.emplace_back(read_tree(one, where));
    const size_t num_slots =
        static_cast<size_t>(tree.num_nodes()) * static_cast<size_t>(tree.segment_tokens());
    TrainingTree training{.tree = &tree};
    training.old_logprobs.assign(num_slots, NAN);
    if (result.kl_beta != 0) training.reference_logprobs.assign(num_slots, NAN);
    for (const Json& leaf : get_array(one, "leaves", where)) {
      const auto node = static_cast<int32_t>(get_ints(leaf, "path", where).back());
      const auto slots = slots_of(tree, node);
      const size_t index = result.leaves.size();
      fill_slots(training.old_logprobs, slots,
                 leaf_tensor(oracle, index, "old_logp", slots.size()));
      if (result.kl_beta != 0)
        fill_slots(training.reference_logprobs, slots,
                   leaf_tensor(oracle, index, "ref_logp", slots.size()));
      training.leaves.push_back(node);
      training.advantages.push_back(get_double(leaf, "advantage", where));
      result.leaves.emplace_back(result.training.size(), node);
    }
    result.training.push_back(std::move(training));
  }
  return result;
}

class Checker {
 public:
  Checker(const std::string& directory, c10::Device device, c10::ScalarType dtype, bool checked)
      : oracle_(directory + "/oracle.safetensors"),
        case_(read_case(directory, oracle_)),
        decoder_(Decoder::load(directory, device, dtype)),
        tolerance_(tolerance_of(dtype)) {
    decoder_.parameters().enable_gradients();
    run_options_.checked = checked;
  }

  CheckReport run() {
    check_logprobs();
    check_objective("", case_.objective);
    if (case_.kl_beta != 0) {
      ObjectiveOptions with_kl = case_.objective;
      with_kl.kl_beta = case_.kl_beta;
      check_objective("kl.", with_kl);
    }
    if (case_.gspo) check_objective("gspo.", *case_.gspo);
    return report_;
  }

 private:
  void add(const std::string& name, double error, int64_t count) {
    report_.rows.push_back({.name = name,
                            .error = error,
                            .tolerance = tolerance_,
                            .count = count,
                            .passed = error <= tolerance_});
  }

  void check_logprobs() {
    const auto logprobs = compute_logprobs(decoder_, case_.training, run_options_);
    for (size_t i = 0; i < case_.leaves.size(); ++i) {
      const auto [tree, leaf] = case_.leaves[i];
      const auto slots = slots_of(case_.trees[tree], leaf);
      const auto expected = leaf_tensor(oracle_, i, "logp", slots.size());
      double largest = 0;
      for (size_t t = 0; t < slots.size(); ++t) {
        const double error = std::abs(logprobs[tree][slots[t]] - expected[t]);
        if (!(error <= largest)) largest = error;
      }
      add(fmt::format("leaf.{}.logp", i), largest, static_cast<int64_t>(slots.size()));
    }
  }

  void check_objective(const std::string& prefix, const ObjectiveOptions& objective) {
    const auto packs = make_packs(case_.training, leaf_weight(objective.kind), run_options_);
    LossCounts counts{.trajectories = std::ssize(case_.leaves)};
    for (const PackedTrees& pack : packs) counts.trajectory_tokens += pack.trajectory_tokens();
    decoder_.parameters().zero_gradients();
    const ObjectiveStatistics statistics = accumulate_gradients(
        decoder_, packs, objective, loss_normalizer(objective.kind, counts), run_options_);

    if (prefix.empty()) check_counts(statistics);
    if (is_half(decoder_.dtype())) accumulate_at_oracle(packs, objective, counts);
    const double loss = oracle_.read(prefix + "loss").item<double>();
    add(prefix + "loss", std::abs(statistics.loss - loss) / std::abs(loss), 1);
    for (const auto& [name, gradient] : decoder_.parameters().named_gradients()) {
      const std::string entry = prefix + "grad." + name;
      const at::Tensor expected = oracle_.read(entry).to(at::kDouble);
      const at::Tensor found = gradient.to(at::kCPU, at::kDouble);
      const double error = (found - expected).norm().item<double>();
      add(entry, error / expected.norm().item<double>(), expected.numel());
    }
  }

  // The gradient of the loss by log-probs is taken where the oracle has them: in half types
  // rounding moves ratios across a bound, and what is held here is the way back through the model.
  void accumulate_at_oracle(const std::vector<PackedTrees>& packs,
                            const ObjectiveOptions& objective, const LossCounts& counts) {
    std::vector<std::vector<double>> by_slot;
    for (const TrainingTree& training : case_.training)
      by_slot.emplace_back(training.old_logprobs.size());
    for (size_t i = 0; i < case_.leaves.size(); ++i) {
      const auto [tree, leaf] = case_.leaves[i];
      const auto slots = slots_of(case_.trees[tree], leaf);
      fill_slots(by_slot[tree], slots, leaf_tensor(oracle_, i, "logp", slots.size()));
    }
    decoder_.parameters().zero_gradients();
    TREEPO_CHECK(packs.size() <= 1, "{} packs for one case", packs.size());
    for (const PackedTrees& pack : packs) {
      std::vector<double> logprobs, log_ratios(pack.trajectories.size()), ratios;
      for (size_t t = 0; t < pack.target_slot.size(); ++t)
        logprobs.push_back(by_slot[static_cast<size_t>(pack.target_tree[t])]
                                  [static_cast<size_t>(pack.target_slot[t])]);
      if (uses_sequence_ratio(objective)) {
        add_log_ratios(pack, logprobs, log_ratios);
        ratios = sequence_ratios(pack, log_ratios);
      }
      const TokenLogprobs outputs = run_pack(decoder_, pack, run_options_);
      const ObjectiveResult result =
          evaluate_objective(pack, logprobs, to_host(outputs.entropy), objective,
                             loss_normalizer(objective.kind, counts), ratios);
      backward_pack(outputs, result.logprob_gradient, result.entropy_gradient);
    }
  }

  // How many trajectory tokens each clip touches. Rounding may move a ratio across a bound.
  void check_counts(const ObjectiveStatistics& statistics) {
    if (decoder_.dtype() != at::kDouble) return;
    const std::pair<const char*, int64_t> counts[] = {{"tokens", statistics.tokens},
                                                      {"clipped_low", statistics.clipped_low},
                                                      {"clipped_high", statistics.clipped_high},
                                                      {"dual_clipped", statistics.dual_clipped}};
    for (const auto& [name, count] : counts) {
      const int64_t expected = get_int(case_.stats, name, "stats of case.json");
      add(fmt::format("stats.{}", name), static_cast<double>(std::abs(count - expected)), 1);
    }
  }

  SafetensorsFile oracle_;
  Case case_;
  Decoder decoder_;
  double tolerance_;
  PackRunOptions run_options_;
  CheckReport report_;
};

}  // namespace

CheckReport check_policy_gradient(const std::string& directory, c10::Device device,
                                  c10::ScalarType dtype, bool checked) {
  return Checker(directory, device, dtype, checked).run();
}

}  // namespace treepo
