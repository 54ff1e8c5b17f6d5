#pragma once

namespace treepo {

// Settings that libgomp and libtorch read from the environment when they are loaded. Where the
// user has set none of his own, sets them and starts the program again in the same process:
//   GOMP_SPINCOUNT=5000       threads that wait for one another soon let others have the core. With
//                             libgomp's own 300,000 turns two threads beside other work on two
//                             cores mostly wait (docs/experiments.md)
//   THP_MEM_ALLOC_ENABLE=1    large tensors lie in huge pages, with a tenth of the page faults
// Returns where there is nothing to do, or the system refuses.
void settle_environment(char** argv);

}  // namespace treepo
