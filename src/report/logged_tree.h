#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "base/json.h"

namespace treepo {

inline constexpr double kNotLogged = std::numeric_limits<double>::quiet_NaN();

// A line of trees.jsonl or samples.jsonl, as far as a reader of logs needs it.
struct LoggedTree {
  struct Node {
    int32_t parent = -1;
    int32_t parent_used_tokens = 0;  // of the parent's segment; all where it is its num_tokens
    int32_t num_tokens = 0;
    std::string stop;  // empty: an inner node
    bool discarded = false, fallback = false;
    double mean_logprob = kNotLogged, mean_entropy = kNotLogged;
    double advantage = kNotLogged;  // of segments, where the run credits them
    std::string text;
    std::vector<std::string> token_texts;  // empty or one for each token
    std::vector<double> logprobs;          // empty or one for each token
  };
  struct Leaf {
    int32_t node = 0;
    int32_t num_tokens = 0;  // of the trajectory
    double reward = kNotLogged, advantage = kNotLogged, score = kNotLogged;
    std::string end, reason, text;
  };

  int64_t step = -1;  // -1: not of a run
  std::string query_id, prompt_text, answer;
  int32_t prompt_tokens = 0;
  std::vector<Node> nodes;  // node 0 is the prompt
  std::vector<Leaf> leaves;

  std::vector<std::vector<int32_t>> children() const;  // by node, in order
  int64_t unique_tokens() const;
  int64_t trajectory_tokens() const;
};

// Throws Error naming `where` and what does not fit.
LoggedTree read_logged_tree(const Json& line, const std::string& where);

}  // namespace treepo
