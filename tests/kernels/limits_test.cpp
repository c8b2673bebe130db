#include "kernels/limits.h"

#include <gtest/gtest.h>

namespace heed::kernels {
namespace {

TEST(Limits, EveryTypeHasARate) {
  ThreadPool pool(1);
  const double float32 = measure_multiply_adds(DType::float32, pool);
  EXPECT_GT(float32, 0.1);
  EXPECT_GT(measure_multiply_adds(DType::bfloat16, pool),
            float32 / 3);  // never fewer instructions' worth; others may work
  EXPECT_GT(measure_multiply_adds(DType::int8, pool), 0.1);
}

TEST(Limits, CachesReadFasterThanMemory) {
  ThreadPool pool(2);
  EXPECT_GT(measure_read(24 << 10, pool), measure_read(64 << 20, pool));
}

TEST(Limits, EvenOneByteIsRead) {
  ThreadPool pool(1);
  EXPECT_GT(measure_read(1, pool), 0.1);
}

}  // namespace
}  // namespace heed::kernels
