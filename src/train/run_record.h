#pragma once

#include <cstdint>
#include <string>

#include "config/options.h"
#include "train/run_directory.h"

namespace treepo {

// Adds this process to run.json, so that a report can say what made the run:
// {"sessions": [{"started", "from_step", "command": [words], "treepo", "torch", "compiler",
// "system",
//                "cpu", "cores", "threads", "memory_bytes", "device", "gpus"}, …]}
// A file that can't be read as that begins anew: a run goes on without it.
void record_session(const RunPaths& paths, const RunOptions& options, int64_t from_step,
                    int64_t threads);

}  // namespace treepo
