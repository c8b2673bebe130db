#pragma once
#include "kernels/rows.h"

namespace heed::kernels {

/// Rows of a table by number; as in rows.h, on all columns of the views given.
struct EmbeddingKernels {
  void (*gather)(View table, const std::int32_t* ids, std::int64_t count, float scale, View y);
  void (*scatter_add)(View dy, const std::int32_t* ids, std::int64_t count, float scale, View table);
};

}  // namespace heed::kernels
