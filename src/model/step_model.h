#pragma once

#include <cstdint>
#include <vector>

#include "base/random.h"
#include "kernels/sampling.h"        // SamplingParams, DrawnToken
#include "kernels/tree_attention.h"  // TreeAttentionWork

namespace treepo {

// One step of rollout, all plain host arrays. Two paths, one of which prefills 3 tokens while the
// other decodes one (page_tokens = 4):
//   tokens    = [50, 51, 52,  17]
//   positions = [ 0,  1,  2,   5]   tokens before it on its path
//   slots     = [28, 29, 30,  17]   page * page_tokens + offset for key/value; -1: stored already
//   attention: one query for each of the 4 rows; its own key is among those it sees
//   draws     = [{row 2, …}, {row 2, …}, {row 3, …}]   a branching path draws several children's
//                                                     first tokens from one row
struct StepBatch {
  std::vector<int32_t> tokens, positions, slots;
  TreeAttentionWork attention;

  struct Draw {
    int32_t row = 0;     // ascending
    double uniform = 0;  // the random number in [0, 1) that decides this draw
  };
  std::vector<Draw> draws;
  SamplingParams sampling;

  int32_t num_rows() const { return static_cast<int32_t>(tokens.size()); }
  void clear() {  // all but `sampling`
    tokens.clear();
    positions.clear();
    slots.clear();
    attention.clear();
    draws.clear();
  }
};

// What a model's steps took and read so far, by part. Seconds are the host's: on a device that runs
// on its own they say when work was handed over, not when it was done.
struct StepProfile {
  double linear_seconds = 0;     // matrix products and all between: embedding, norms, activation
  double attention_seconds = 0;  // storing keys and values included
  double draw_seconds = 0;
  int64_t weight_bytes = 0;     // of weights that matrix products read, once for each step
  int64_t key_value_bytes = 0;  // of keys and values, each counted once for each step
  int64_t replayed_steps = 0;   // as CUDA graphs: all of their time is in linear_seconds

  StepProfile& operator+=(const StepProfile& other) {
    linear_seconds += other.linear_seconds;
    attention_seconds += other.attention_seconds;
    draw_seconds += other.draw_seconds;
    weight_bytes += other.weight_bytes;
    key_value_bytes += other.key_value_bytes;
    replayed_steps += other.replayed_steps;
    return *this;
  }
  friend StepProfile operator-(StepProfile a, const StepProfile& b) {
    a.linear_seconds -= b.linear_seconds;
    a.attention_seconds -= b.attention_seconds;
    a.draw_seconds -= b.draw_seconds;
    a.weight_bytes -= b.weight_bytes;
    a.key_value_bytes -= b.key_value_bytes;
    a.replayed_steps -= b.replayed_steps;
    return a;
  }
};

// The model as rollout sees it: forward and draw happen behind this interface, on the device, and a
// few bytes for each draw come back.
class StepModel {
 public:
  virtual ~StepModel() = default;

  virtual int32_t vocab_size() const = 0;
  virtual int32_t max_positions() const = 0;                      // context length
  virtual int64_t bytes_per_page(int32_t page_tokens) const = 0;  // keys and values, all layers

  // Makes room for this many pages; what was stored before is lost. Called before every rollout:
  // memory that is large enough already is worth keeping.
  virtual void allocate_pages(int32_t num_pages, int32_t page_tokens) = 0;

  // Runs the rows, stores their keys and values in `slots`, and draws; drawn[i] answers draws[i].
  virtual void step(const StepBatch& batch, std::vector<DrawnToken>& drawn) = 0;

  virtual StepProfile profile() const { return {}; }  // a model that keeps none says nothing
};

}  // namespace treepo
