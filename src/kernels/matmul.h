#pragma once
#include <heed/tensor.h>
#include <heed/thread_pool.h>

namespace heed::kernels {

/// What the factors of a matrix product are rounded to before they are multiplied; sums are float32 always.
enum class Product : std::uint8_t { float32, bfloat16 };

/// C = alpha · A·B (+ bias) (+ C). Every element of C is summed over k in one fixed order, whatever the number of
/// threads.
struct Matmul {
  std::int64_t m = 0, n = 0, k = 0;
  View a;  ///< [m, k], or [k, m] when a_transposed; float32, bfloat16 or float16, any row stride
  bool a_transposed = false;
  View b;  ///< [k, n], or [n, k] when b_transposed; float32, bfloat16 or float16, any row stride
  bool b_transposed = false;
  View c;                       ///< [m, n]; float32, or bfloat16 (rounded at the end; then `accumulate` must be false)
  const float* bias = nullptr;  ///< [n], added to every row
  float alpha = 1.0f;
  bool accumulate = false;  ///< add to what c holds (float32 only)
  Product product = Product::float32;
};

/// Allocates nothing; each thread needs half a mebibyte of stack. A row of C is the same bits whatever m is, but for m
/// up to 8 with b_transposed (decoding), where k is summed in another, equally fixed order.
void matmul(const Matmul& task, ThreadPool& pool);

}  // namespace heed::kernels
