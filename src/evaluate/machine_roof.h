#pragma once

#include <cstdint>

namespace treepo {

// Bytes per second that `threads` threads read from main memory together: the median of several
// sums over 256 MiB, far more than the caches hold. What a program that does nothing but read its
// weights and keys could reach.
double measure_read_bandwidth(int threads);

// Main memory that this process may use: the machine's, or its container's limit where that is
// less.
int64_t machine_memory_bytes();

// The most memory that this process has held so far, in bytes.
int64_t peak_memory_bytes();

}  // namespace treepo
