#include "evaluate/sampling_cases.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/error.h"
#include "config/enum_names.h"

namespace treepo {

namespace {

// Two positive numbers around `between`; false: the text is something else.
bool parse_pair(std::string_view text, char between, int64_t& first, int64_t& second) {
  const char* const end = text.data() + text.size();
  const auto [middle, error] = std::from_chars(text.data(), end, first);
  if (error != std::errc() || middle == end || *middle != between) return false;
  const auto [last, second_error] = std::from_chars(middle + 1, end, second);
  return second_error == std::errc() && last == end && first > 0 && second > 0;
}

bool is_response_of(const TreeShape& shape, int64_t tokens) {
  return tokens % shape.depth == 0 && tokens / shape.depth == shape.segment_tokens;
}

class Cases {
 public:
  explicit Cases(const RolloutSettings& trees) : trees_(trees) {}

  // Sequential sampling and trees of that width.
  void add_width(int64_t width, Sweep sweep) {
    SamplingCase sequential = {fmt::format("sequential, w {}", width), trees_, sweep};
    sequential.settings.growth.width = width;
    sequential.settings.growth.sequential = true;
    cases_.push_back(std::move(sequential));
    SamplingCase tree = {
        fmt::format("tree {} x {}, w {}", trees_.growth.depth, trees_.growth.segment_tokens, width),
        trees_, sweep, num_cases() - 1};
    tree.settings.growth.width = width;
    cases_.push_back(std::move(tree));
  }

  // Trees as the options say but for what `change` does; compared with the first case.
  template <typename Change>
  void add_tree(Sweep sweep, const std::string& what, const Change& change) {
    SamplingCase tree = {fmt::format("tree {}, w {}", what, trees_.growth.width), trees_, sweep, 0};
    change(tree.settings.growth);
    cases_.push_back(std::move(tree));
  }

  void add_lock_step(int64_t num_queries) {
    for (const int64_t i : {0, 1}) {
      SamplingCase one = cases_[static_cast<size_t>(i)];
      one.name += ", lock step";
      one.sweep = Sweep::lock_step;
      if (i == 1) one.baseline = num_cases() - 1;
      EngineOptions& engine = one.settings.engine;
      engine.max_rows = num_queries * one.settings.growth.width;
      engine.max_step_tokens = std::max(engine.max_step_tokens, engine.max_rows);
      cases_.push_back(std::move(one));
    }
  }

  std::vector<SamplingCase> take() { return std::move(cases_); }

 private:
  int64_t num_cases() const { return static_cast<int64_t>(cases_.size()); }

  const RolloutSettings& trees_;
  std::vector<SamplingCase> cases_;
};

// What the first split and the branching factor decide is decided by others under these budgets.
bool has_factors(BudgetPolicy budget) {
  switch (budget) {
    case BudgetPolicy::transfer:
    case BudgetPolicy::fixed:
      return true;
    case BudgetPolicy::random:
    case BudgetPolicy::tokens_per_step:
      return false;
  }
  TREEPO_CHECK(false, "unknown budget {}", static_cast<int>(budget));
}

void check_sweeps(const GrowthOptions& growth, const SamplingSweeps& sweeps) {
  if (growth.sequential)
    throw Error("rollout.sequential = true: there are no trees to compare sequential sampling with",
                "set rollout.sequential = false; sequential sampling is always the first case");
  if (has_factors(growth.budget)) return;
  const auto refuse = [&](std::string_view what, std::string_view keys) {
    throw Error(
        fmt::format("{} have no part in rollout.budget = {}", what, enum_name(growth.budget)),
        fmt::format("{} is for rollout.budget = transfer or fixed", keys));
  };
  if (!sweeps.branching.empty()) refuse("branching factors", "rollout.branching_factor");
  if (!sweeps.first_splits.empty())
    refuse("first splits", "a range of rollout.first_split_min and rollout.first_split_max");
}

std::string split_text(const SplitRange& split) {
  return split.min == split.max ? fmt::format("{}", split.min)
                                : fmt::format("{}-{}", split.min, split.max);
}

}  // namespace

std::string_view sweep_name(Sweep sweep) {
  switch (sweep) {
    case Sweep::none:
      return "none";
    case Sweep::width:
      return "width";
    case Sweep::shape:
      return "shape";
    case Sweep::branching:
      return "branching";
    case Sweep::first_split:
      return "first_split";
    case Sweep::lock_step:
      return "lock_step";
  }
  TREEPO_CHECK(false, "sweep {}", static_cast<int>(sweep));
}

TreeShape parse_tree_shape(const std::string& text) {
  TreeShape shape;
  if (!parse_pair(text, 'x', shape.depth, shape.segment_tokens))
    throw Error(fmt::format("\"{}\" is no shape of a tree", text),
                "depth x tokens of a segment, for example 14x512");
  return shape;
}

SplitRange parse_split_range(const std::string& text) {
  SplitRange split;
  const std::string range = text.find('-') == std::string::npos ? text + '-' + text : text;
  if (parse_pair(range, '-', split.min, split.max) && split.min <= split.max) return split;
  throw Error(fmt::format("\"{}\" is no first split", text),
              "a number of paths, or a range that it is drawn from: 2 or 2-8");
}

std::vector<SamplingCase> sampling_cases(const RolloutSettings& trees, const SamplingSweeps& sweeps,
                                         int64_t num_queries) {
  const GrowthOptions& growth = trees.growth;
  check_sweeps(growth, sweeps);
  Cases cases(trees);
  cases.add_width(growth.width, Sweep::none);
  if (sweeps.lock_step) cases.add_lock_step(num_queries);
  for (const int64_t width : sweeps.widths)
    if (width != growth.width) cases.add_width(width, Sweep::width);
  for (const TreeShape& shape : sweeps.shapes) {
    const int64_t response = growth.depth * growth.segment_tokens;
    if (!is_response_of(shape, response))
      throw Error(
          fmt::format("a shape {}x{} gives responses of another length than rollout.depth × "
                      "rollout.segment_tokens = {}",
                      shape.depth, shape.segment_tokens, response),
          "only shapes of equal product are compared fairly");
    if (shape.depth == growth.depth) continue;
    cases.add_tree(Sweep::shape, fmt::format("{} x {}", shape.depth, shape.segment_tokens),
                   [&](GrowthOptions& g) {
                     g.depth = shape.depth;
                     g.segment_tokens = shape.segment_tokens;
                   });
  }
  const std::string shape = fmt::format("{} x {}", growth.depth, growth.segment_tokens);
  for (const int64_t factor : sweeps.branching)
    if (factor != growth.branching_factor)
      cases.add_tree(Sweep::branching, fmt::format("{}, b {}", shape, factor),
                     [&](GrowthOptions& g) { g.branching_factor = factor; });
  for (const SplitRange& split : sweeps.first_splits)
    if (split.min != growth.first_split_min || split.max != growth.first_split_max)
      cases.add_tree(Sweep::first_split, fmt::format("{}, first {}", shape, split_text(split)),
                     [&](GrowthOptions& g) {
                       g.first_split_min = split.min;
                       g.first_split_max = split.max;
                     });
  return cases.take();
}

}  // namespace treepo
