#pragma once

#include <cstdint>

#include "base/event_file.h"
#include "train/batch_collector.h"
#include "train/trajectory_text.h"

namespace treepo {

// What TensorBoard shows of a step beside its metrics: histograms of response lengths, rewards and
// advantages, and a few responses to its first query.
void write_step_events(EventFile& events, int64_t step, const CollectedBatch& batch,
                       const TokenText& text);

}  // namespace treepo
