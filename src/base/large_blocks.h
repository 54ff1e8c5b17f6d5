#pragma once

namespace treepo {

// From now on freed blocks of 4 MiB and more go back to the system. glibc otherwise keeps blocks of
// up to 32 MiB in a heap, in whose holes the activations of an update leave room that nothing fits:
// 0.5 GiB at 4,096 tokens of a 0.5 B model. For a program to call once. Does nothing where the user
// has set MALLOC_MMAP_THRESHOLD_ or GLIBC_TUNABLES, or the C library is another one.
void give_back_large_blocks();

}  // namespace treepo
