#include "learn/advantage_check.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>

#include "base/json.h"
#include "learn/advantage.h"

namespace treepo {
namespace {

constexpr double kTolerance = 1e-12;

// The leaves of one case by query, and where each stands in the case's lists.
struct Batch {
  std::vector<QueryRewards> queries;
  std::vector<std::vector<size_t>> places;
  size_t num_leaves = 0;
};

Batch read_batch(const Json& leaves, const std::string& where) {
  Batch batch{.queries = {}, .places = {}, .num_leaves = leaves.size()};
  std::map<int32_t, size_t> query_of_root;
  for (size_t i = 0; i < leaves.size(); ++i) {
    LeafReward leaf{.path = {},
                    .reward = get_double(leaves[i], "reward", where),
                    .num_tokens = get_int(leaves[i], "num_tokens", where)};
    for (const int64_t node : get_ints(leaves[i], "path", where))
      leaf.path.push_back(static_cast<int32_t>(node));
    if (leaf.path.empty()) throw Error(where + ": a leaf with an empty path");
    const auto [entry, fresh] = query_of_root.emplace(leaf.path[0], batch.queries.size());
    if (fresh) {
      batch.queries.push_back({.name = std::to_string(leaf.path[0]), .leaves = {}});
      batch.places.emplace_back();
    }
    batch.queries[entry->second].leaves.push_back(std::move(leaf));
    batch.places[entry->second].push_back(i);
  }
  return batch;
}

std::optional<AdvantageOptions> options_of_field(const std::string& field) {
  using enum AdvantageKind;
  AdvantageOptions options{.whiten = field == "mean_whitened"};
  if (field == "mean" || field == "mean_whitened" || field == "levels") {
    options.kind = tree;
  } else if (field == "size_weighted") {
    options.kind = tree_size_weighted;
  } else if (field == "reject_degenerate") {
    options.kind = tree_reject_degenerate;
  } else if (field == "reject_degenerate_size_weighted") {
    options.kind = tree_reject_degenerate_size_weighted;
  } else if (field == "no_root") {
    options.kind = tree_no_root;
  } else if (field == "grpo" || field == "grpo_std") {
    options.kind = grpo;
    options.query_std = field == "grpo_std";
  } else {
    return {};
  }
  return options;
}

// Values of one field in the order of the case's lists.
std::vector<double> computed_values(const Batch& batch, const AdvantageOptions& options,
                                    bool levels) {
  std::vector<double> values(batch.num_leaves);
  const auto advantages = leaf_advantages(batch.queries, options);
  for (size_t q = 0; q < advantages.size(); ++q) {
    for (size_t i = 0; i < batch.places[q].size(); ++i) {
      values[batch.places[q][i]] = levels ? advantages[q].levels[i] : advantages[q].values[i];
    }
  }
  return values;
}

double largest_error(const std::vector<double>& found, const std::vector<double>& expected) {
  double largest = found.size() == expected.size() ? 0.0 : INFINITY;
  for (size_t i = 0; i < std::min(found.size(), expected.size()); ++i) {
    const double error = std::abs(found[i] - expected[i]) / std::max(1.0, std::abs(expected[i]));
    if (!(error <= largest)) largest = error;
  }
  return largest;
}

}  // namespace

CheckReport check_advantages(const std::string& file) {
  const Json oracle = read_json_file(file);
  std::map<std::string, CheckReport::Row> rows;
  std::set<std::string> unknown;
  for (const Json& one : get_array(oracle, "cases", file)) {
    const std::string where = file + ", case " + get_string(one, "name", file);
    const Batch batch = read_batch(get_array(one, "leaves", where), where);
    for (const auto& [field, value] : get_object(one, "expected", where).items()) {
      if (field == "whiten") continue;  // the moments behind mean_whitened
      const auto options = options_of_field(field);
      if (!options) {
        unknown.insert(field);
        continue;
      }
      const auto expected = get_doubles(one.at("expected"), field, where);
      CheckReport::Row& row = rows[field];
      row.name = field;
      row.tolerance = kTolerance;
      row.error = std::max(
          row.error, largest_error(computed_values(batch, *options, field == "levels"), expected));
      row.count += static_cast<int64_t>(expected.size());
    }
  }
  CheckReport report{.rows = {}, .skipped = static_cast<int>(unknown.size())};
  for (auto& [field, row] : rows) {
    row.passed = row.error <= row.tolerance;
    report.rows.push_back(row);
  }
  return report;
}

}  // namespace treepo
