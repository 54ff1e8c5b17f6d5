#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "rollout/engine.h"

namespace treepo {

// What distinguishes a case from the first two, sequential sampling and trees as the options say.
enum class Sweep {
  none,
  width,        // TreePO, arXiv 2508.17445, Figure 5
  shape,        // depth × segment at one product, Figure 4
  branching,    // branching factor, Table 2 and Figure 9
  first_split,  // fixed, or drawn for each query ("more init divergence")
  lock_step     // rows for all trees at once
};
std::string_view sweep_name(Sweep sweep);

// One way of sampling to be measured against others.
struct SamplingCase {
  std::string name;
  RolloutSettings settings;
  Sweep sweep = Sweep::none;
  // The case of sequential sampling that a case of trees is compared with: an index into the same
  // list. -1: this is sequential sampling.
  int64_t baseline = -1;
};

struct TreeShape {
  int64_t depth = 0, segment_tokens = 0;
};
struct SplitRange {
  int64_t min = 0, max = 0;
};

// "14x512". Throws Error on anything else.
TreeShape parse_tree_shape(const std::string& text);
// "2" or "2-8".
SplitRange parse_split_range(const std::string& text);

struct SamplingSweeps {
  std::vector<int64_t> widths{};
  std::vector<TreeShape> shapes{};
  std::vector<int64_t> branching{};
  std::vector<SplitRange> first_splits{};
  bool lock_step = false;
};

// Sequential sampling and trees as `trees` says, then each sweep: trees that differ from them in
// one option. Other widths bring sequential sampling of their own; a branching factor is also the
// number of paths that fallback starts, where rollout.fallback_copies is 0. Throws Error where
// `trees` are none, where shapes do not give responses of one length, and where the budget looks at
// neither branching factor nor first split. For lock step num_queries is how many trees begin at
// once.
std::vector<SamplingCase> sampling_cases(const RolloutSettings& trees, const SamplingSweeps& sweeps,
                                         int64_t num_queries);

}  // namespace treepo
