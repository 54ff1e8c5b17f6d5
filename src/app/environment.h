#pragma once

namespace treepo {

// A setting that libgomp reads from the environment when it is loaded. Where the user has set none
// of his own, sets it and starts the program again in the same process:
//   GOMP_SPINCOUNT=5000       threads that wait for one another soon let others have the core. With
//                             libgomp's own 300,000 turns two threads beside other work on two
//                             cores mostly wait (docs/experiments.md)
// Returns where there is nothing to do, or the system refuses.
void settle_environment(char** argv);

}  // namespace treepo
