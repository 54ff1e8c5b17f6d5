#pragma once

namespace treepo {

enum class KernelChoice {
  best,              // own kernels where device and dtype have them
  tensor_operations  // plain tensor operations: other devices, and what the kernels are held
                     // against
};

}  // namespace treepo
