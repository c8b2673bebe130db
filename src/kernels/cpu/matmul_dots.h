#pragma once
#include "kernels/matmul.h"

namespace heed::HEED_ISA {

/// MatmulKernels::dots.
void matmul_dots(const kernels::Matmul& task, std::int64_t column_begin, std::int64_t column_end) noexcept;

}  // namespace heed::HEED_ISA
