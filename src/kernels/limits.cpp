#include "kernels/limits.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <memory>
#include <new>
#include <vector>

#include "base/clock.h"
#include "kernels/cpu/limits.h"
#include "kernels/dispatch.h"

HEED_DECLARE_KERNELS(kernels::LimitKernels, limit_kernels)

namespace heed::kernels {

namespace {

constexpr Tables<LimitKernels> tables = HEED_KERNEL_TABLES(limit_kernels);

/// The most rounds a second, of all threads together, of piece(thread, rounds).
template <class Piece>
double best_rate(ThreadPool& pool, Piece&& piece) {
  constexpr double shortest = 0.02;  // seconds
  constexpr int samples = 5;
  const std::int64_t threads = pool.threads();
  std::atomic<float> kept{0.0f};  // so that the loops are not left out
  double best = 0.0;
  std::int64_t rounds = 1;
  for (int sample = 0; sample < samples;) {
    const double start = now();
    pool.parallel_for(threads,
                      [&](std::int64_t thread) { kept.store(piece(thread, rounds), std::memory_order_relaxed); });
    const double seconds = now() - start;
    if (seconds < shortest) {
      rounds = std::max(2 * rounds,
                        static_cast<std::int64_t>(static_cast<double>(rounds) * 1.2 * shortest / (seconds + 1e-6)));
      continue;
    }
    best = std::max(best, static_cast<double>(rounds * threads) / seconds);
    ++sample;
  }
  return best;
}

struct Freed {
  void operator()(float* memory) const { ::operator delete (memory, std::align_val_t{4096}); }
};

}  // namespace

double measure_multiply_adds(DType dtype, ThreadPool& pool) {
  const LimitKernels& kernels = tables.best();
  const auto loop = dtype == DType::int8 ? kernels.int8 : dtype == DType::bfloat16 ? kernels.bfloat16 : kernels.float32;
  const std::int64_t operations = dtype == DType::int8       ? kernels.int8_operations
                                  : dtype == DType::bfloat16 ? kernels.bfloat16_operations
                                                             : kernels.float32_operations;
  return 1e-9 * static_cast<double>(operations) *
         best_rate(pool, [&](std::int64_t, std::int64_t rounds) { return loop(rounds); });
}

double measure_read(std::int64_t bytes, ThreadPool& pool) {
  const std::int64_t count = std::max<std::int64_t>(1, bytes / 512) * 128;
  std::vector<std::unique_ptr<float, Freed>> memory;
  for (int i = 0; i < pool.threads(); ++i)
    memory.emplace_back(
        static_cast<float*>(::operator new (static_cast<std::size_t>(4 * count), std::align_val_t{4096})));
  pool.parallel_for(pool.threads(), [&](std::int64_t thread) {
    float* own = memory[static_cast<std::size_t>(thread)].get();
    std::fill(own, own + count, 0.0f);
  });
  const LimitKernels& kernels = tables.best();
  return 4e-9 * static_cast<double>(count) * best_rate(pool, [&](std::int64_t thread, std::int64_t times) {
           return kernels.read(memory[static_cast<std::size_t>(thread)].get(), count, times);
         });
}

Limits measure_limits(ThreadPool& pool) {
  Limits limits;
  limits.float32 = measure_multiply_adds(DType::float32, pool);
  limits.bfloat16 = measure_multiply_adds(DType::bfloat16, pool);
  limits.int8 = measure_multiply_adds(DType::int8, pool);
  limits.read_l1 = measure_read(24 << 10, pool);
  limits.read_l2 = measure_read(512 << 10, pool);
  limits.read_l3 = measure_read(8 << 20, pool);
  limits.read_memory = measure_read(256 << 20, pool);
  return limits;
}

}  // namespace heed::kernels
