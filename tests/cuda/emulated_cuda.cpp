#include "emulated_cuda.h"

#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <array>
#include <memory>
#include <vector>

#include "base/error.h"
#include "kernels/bfloat16.h"

namespace treepo {

namespace {

constexpr size_t kStackBytes = 64 * 1024;

struct Copy {
  void* to;
  std::array<unsigned char, 16> bytes;
};

// Where the threads of a block or of a warp wait until all that have not ended have come.
struct Meeting {
  size_t members = 0, waiting = 0;
  int64_t held = 0;  // how many times all have met

  void end_if_complete() {
    if (waiting < members || members == 0) return;
    waiting = 0;
    ++held;
  }
};

struct Fiber {
  ucontext_t context;  // where it starts
  jmp_buf place;       // where it goes on: unlike swapcontext, no system call
  std::unique_ptr<unsigned char[]> stack{new unsigned char[kStackBytes]};
  unsigned index = 0;
  bool started = false, done = false;
  Meeting* waits_in = nullptr;
  int64_t waits_for = 0;  // it goes on when the meeting was held more often
  size_t num_exchanges = 0;
  std::vector<std::vector<Copy>> copies{1};  // groups; the last is not committed
};

// Lanes put values down in one of two rows of slots by turns: a lane cannot come to the next
// exchange but one before all have read this one's.
struct Warp {
  Meeting meeting;
  alignas(16) std::array<std::array<unsigned char, 32 * kLaneBytes>, 2> slots;
};

struct Grid {
  std::vector<std::unique_ptr<Fiber>> fibers;
  std::vector<Warp> warps;
  Meeting block;
  std::vector<uint32_t> shared;
  jmp_buf scheduler;
  Fiber* current = nullptr;
  const std::function<void()>* thread = nullptr;
};
Grid grid;

[[gnu::noinline]] void resume_scheduler() {
  if (_setjmp(grid.current->place) == 0) _longjmp(grid.scheduler, 1);
}

[[gnu::noinline]] void resume(Fiber& fiber) {
  if (_setjmp(grid.scheduler) != 0) return;
  grid.current = &fiber;
  threadIdx = {.x = fiber.index};
  if (fiber.started) _longjmp(fiber.place, 1);
  fiber.started = true;
  setcontext(&fiber.context);
}

void wait_in(Meeting& meeting) {
  Fiber& fiber = *grid.current;
  fiber.waits_in = &meeting;
  fiber.waits_for = meeting.held;
  ++meeting.waiting;
  meeting.end_if_complete();
  resume_scheduler();
}

void fiber_main() {
  (*grid.thread)();
  Fiber& fiber = *grid.current;
  TREEPO_CHECK(fiber.copies.size() == 1 && fiber.copies[0].empty(),
               "thread {} ends with copies that it did not wait for", fiber.index);
  fiber.done = true;
  for (Meeting* meeting : {&grid.block, &grid.warps[fiber.index / 32].meeting}) {
    --meeting->members;
    meeting->end_if_complete();
  }
  resume_scheduler();
}

void start_block(unsigned threads) {
  while (grid.fibers.size() < threads) grid.fibers.push_back(std::make_unique<Fiber>());
  grid.warps.resize(threads / 32);
  for (Warp& warp : grid.warps) warp.meeting = {.members = 32};
  grid.block = {.members = threads};
  std::fill(grid.shared.begin(), grid.shared.end(), 0xffffffffu);  // NaN in every type
  for (unsigned i = 0; i < threads; ++i) {
    Fiber& fiber = *grid.fibers[i];
    fiber.index = i;
    fiber.started = fiber.done = false;
    fiber.waits_in = nullptr;
    fiber.num_exchanges = 0;
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.get();
    fiber.context.uc_stack.ss_size = kStackBytes;
    fiber.context.uc_link = nullptr;
    makecontext(&fiber.context, fiber_main, 0);
  }
}

void run_block(unsigned threads) {
  start_block(threads);
  for (size_t left = threads; left > 0;) {
    bool moved = false;
    for (size_t i = 0; i < threads; ++i) {
      Fiber& fiber = *grid.fibers[emulated_order == EmulatedOrder::ascending ? i : threads - 1 - i];
      if (fiber.done || (fiber.waits_in != nullptr && fiber.waits_in->held == fiber.waits_for))
        continue;
      resume(fiber);
      moved = true;
      if (fiber.done) --left;
    }
    TREEPO_CHECK(moved, "the threads of a block wait for one another at different places");
  }
}

}  // namespace

void run_emulated(dim3 blocks, unsigned threads, unsigned shared_bytes,
                  const std::function<void()>& thread) {
  TREEPO_CHECK(threads % 32 == 0 && threads <= 1024 && shared_bytes <= 163 * 1024,
               "{} threads, {} bytes of shared memory", threads, shared_bytes);
  grid.thread = &thread;
  grid.shared.resize((shared_bytes + 3) / 4);
  blockDim = {.x = threads};
  gridDim = blocks;
  for (unsigned y = 0; y < blocks.y; ++y)
    for (unsigned x = 0; x < blocks.x; ++x) {
      blockIdx = {.x = x, .y = y};
      run_block(threads);
    }
}

void wait_for_block() {
  wait_in(grid.block);
}

unsigned char* dynamic_shared() {
  return reinterpret_cast<unsigned char*>(grid.shared.data());
}

const unsigned char* exchange(const void* bytes, size_t count) {
  TREEPO_CHECK(count <= kLaneBytes, "an exchange of {} bytes", count);
  Fiber& fiber = *grid.current;
  Warp& warp = grid.warps[fiber.index / 32];
  auto& slots = warp.slots[fiber.num_exchanges++ % 2];
  std::memcpy(slots.data() + this_lane() * kLaneBytes, bytes, count);
  wait_in(warp.meeting);
  return slots.data();
}

unsigned ballot(bool vote) {
  const unsigned char* slots = exchange(&vote, sizeof vote);
  unsigned votes = 0;
  for (unsigned lane = 0; lane < 32; ++lane) votes |= unsigned{of_lane<bool>(slots, lane)} << lane;
  return votes;
}

void copy_16_or_zeros(void* shared, const void* from, bool copies) {
  TREEPO_CHECK(
      reinterpret_cast<uintptr_t>(shared) % 16 == 0 && reinterpret_cast<uintptr_t>(from) % 16 == 0,
      "a copy of 16 bytes from {} to {}", from, shared);
  Copy copy{.to = shared, .bytes = {}};
  if (copies) std::memcpy(copy.bytes.data(), from, 16);
  grid.current->copies.back().push_back(copy);
}

void commit_copies() {
  grid.current->copies.emplace_back();
}

void wait_copies_but(size_t pending) {
  auto& copies = grid.current->copies;
  while (copies.size() > pending + 1) {
    for (const Copy& copy : copies.front()) std::memcpy(copy.to, copy.bytes.data(), 16);
    copies.erase(copies.begin());
  }
}

namespace {

// Number (row, column) of matrix m, whose rows the lanes named.
uint16_t matrix_element(const unsigned char* slots, unsigned m, unsigned row, unsigned column) {
  const auto* from = of_lane<const unsigned char*>(slots, 8 * m + row);
  uint16_t bits;
  std::memcpy(&bits, from + 2 * column, sizeof bits);
  return bits;
}

void load_four(uint32_t (&out)[4], const void* row, bool transposed) {
  TREEPO_CHECK(reinterpret_cast<uintptr_t>(row) % 16 == 0, "a matrix row at {}", row);
  const unsigned char* slots = exchange(&row, sizeof row);
  const unsigned r = this_lane() / 4, c = 2 * (this_lane() % 4);
  for (unsigned m = 0; m < 4; ++m) {
    const uint32_t first =
        transposed ? matrix_element(slots, m, c, r) : matrix_element(slots, m, r, c);
    const uint32_t second =
        transposed ? matrix_element(slots, m, c + 1, r) : matrix_element(slots, m, r, c + 1);
    out[m] = first | second << 16;
  }
}

// What each of the 2^16 patterns of bits stands for.
using Numbers = std::vector<float>;
Numbers numbers_of(float (*to_number)(uint16_t)) {
  Numbers numbers;
  for (uint32_t bits = 0; bits < 1u << 16; ++bits)
    numbers.push_back(to_number(static_cast<uint16_t>(bits)));
  return numbers;
}

struct Operands {
  uint32_t a[4], b[2];
};

// The lane's four numbers of c need rows row and row + 8 of a, columns column and column + 1 of b.
// Four lanes hold a row of a: lane 4 * row + t columns 2 t and 8 + 2 t and the ones after; so with
// the columns of b.
void mma(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, const Numbers& numbers) {
  const Operands mine{{a[0], a[1], a[2], a[3]}, {b0, b1}};
  const unsigned char* slots = exchange(&mine, sizeof mine);
  float rows[2][16], columns[2][16];
  const auto unpack = [&](uint32_t pair, float* to) {
    to[0] = numbers[pair & 0xffff];
    to[1] = numbers[pair >> 16];
  };
  for (unsigned t = 0; t < 4; ++t) {
    const auto of_row = of_lane<Operands>(slots, this_lane() / 4 * 4 + t);
    for (unsigned i = 0; i < 4; ++i) unpack(of_row.a[i], rows[i % 2] + i / 2 * 8 + 2 * t);
    for (unsigned j = 0; j < 2; ++j) {
      const auto of_column = of_lane<Operands>(slots, (2 * (this_lane() % 4) + j) * 4 + t);
      for (unsigned i = 0; i < 2; ++i) unpack(of_column.b[i], columns[j] + i * 8 + 2 * t);
    }
  }
  for (unsigned i = 0; i < 4; ++i)
    for (unsigned k = 0; k < 16; ++k) c[i] += rows[i / 2][k] * columns[i % 2][k];
}

}  // namespace

void load_matrices(uint32_t (&out)[4], const void* row) {
  load_four(out, row, false);
}
void load_matrices_transposed(uint32_t (&out)[4], const void* row) {
  load_four(out, row, true);
}
void mma_bf16(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  static const Numbers numbers = numbers_of([](uint16_t bits) { return to_float(BFloat16{bits}); });
  mma(c, a, b0, b1, numbers);
}
void mma_f16(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  static const Numbers numbers = numbers_of(f16_to_float);
  mma(c, a, b0, b1, numbers);
}

uint32_t pack_bf16(float first, float second) {
  return to_bfloat16(first).bits | uint32_t{to_bfloat16(second).bits} << 16;
}

uint32_t pack_f16(float first, float second) {
  const _Float16 pair[2] = {static_cast<_Float16>(first), static_cast<_Float16>(second)};
  uint32_t bits;
  std::memcpy(&bits, pair, sizeof bits);
  return bits;
}

float f16_to_float(uint16_t bits) {
  _Float16 value;
  std::memcpy(&value, &bits, sizeof value);
  return static_cast<float>(value);
}

}  // namespace treepo
