#pragma once
#include <heed/dtype.h>
#include <heed/thread_pool.h>

#include <cstdint>

namespace heed::kernels {

/// What the machine can do with all threads of a pool, beside which a kernel's speed is judged. Rates in 10⁹ a second:
/// a multiply-add counts as two operations.
struct Limits {
  double float32 = 0.0, bfloat16 = 0.0, int8 = 0.0;                       ///< operations
  double read_l1 = 0.0, read_l2 = 0.0, read_l3 = 0.0, read_memory = 0.0;  ///< bytes
};

/// Everything, in two or three seconds. Each figure is the best of five samples of at least 20 ms: what disturbs a
/// machine only ever slows it.
Limits measure_limits(ThreadPool& pool);

/// Operations (10⁹/s) of independent multiply-adds of float32, bfloat16 or int8 factors, with the widest instructions
/// of the instruction set in use. bfloat16 gives float32's rate where there are no instructions for it.
double measure_multiply_adds(DType dtype, ThreadPool& pool);

/// Bytes (10⁹/s) of reading, again and again, `bytes` of each thread's own. 24 KiB lie in the first-level cache, 512
/// KiB in the second, 8 MiB in the third, 256 MiB in memory.
double measure_read(std::int64_t bytes, ThreadPool& pool);

}  // namespace heed::kernels
