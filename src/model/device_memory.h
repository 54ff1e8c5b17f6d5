#pragma once

#include <c10/core/Device.h>

#include <cstdint>

namespace treepo {

// Of a device that is not the CPU (evaluate/machine_roof.h has the machine's own memory).

// Bytes per second, read and written, of a copy within the device's memory: the median of several
// of 1 GiB.
double measure_copy_bandwidth(c10::Device device);

// Memory that the device has, in bytes.
int64_t device_memory_bytes(c10::Device device);

// The most that tensors have held there so far, in bytes.
int64_t peak_device_bytes(c10::Device device);

}  // namespace treepo
