#pragma once
#include <heed/ops.h>

#include "kernels/matmul.h"
#include "kernels/rows.h"

namespace heed {

inline kernels::Product product_of(const Pass& pass) {
  return pass.precision() == Precision::bfloat16 ? kernels::Product::bfloat16 : kernels::Product::float32;
}

/// A gain or bias: [width] of what it is applied to.
inline void check_vector(const char* operation, const char* name, const Var& vector, std::int64_t width, const Var& x) {
  if (vector && vector.shape() != Shape{width})
    throw Error("{}: {} is {}, x is {}; {} must be [{}]", operation, name, vector.shape(), x.shape(), name, width);
}

inline const float* floats_or_null(const Var& x) { return x ? x.value().floats() : nullptr; }

}  // namespace heed
