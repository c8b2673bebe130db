#include "kernels/cpu/embedding.h"

#include "kernels/cpu/elements.h"

namespace heed::HEED_ISA {

namespace {

template <class T>
void gather_of(View table, const std::int32_t* ids, std::int64_t count, float scale, View y) {
  for (std::int64_t i = 0; i < count; ++i) {
    const T* const from = row_of<const T>(table, ids[i]);
    float* const to = row_of(y, i);
    for_vectors(y.width, [&](std::int64_t j, auto n) { store(to + j, set1(scale) * load(from + j, n), n); });
  }
}

void gather(View table, const std::int32_t* ids, std::int64_t count, float scale, View y) {
  if (table.dtype == DType::bfloat16) return gather_of<bfloat16>(table, ids, count, scale, y);
  if (table.dtype == DType::float16) return gather_of<float16>(table, ids, count, scale, y);
  gather_of<float>(table, ids, count, scale, y);
}

void scatter_add(View dy, const std::int32_t* ids, std::int64_t count, float scale, View table) {
  for (std::int64_t i = 0; i < count; ++i) {
    const float* const from = row_of(dy, i);
    float* const to = row_of(table, ids[i]);
    for_vectors(dy.width, [&](std::int64_t j, auto n) {
      store(to + j, fma(set1(scale), load(from + j, n), load(to + j, n)), n);
    });
  }
}

}  // namespace

extern const kernels::EmbeddingKernels embedding_kernels;
const kernels::EmbeddingKernels embedding_kernels = {gather, scatter_add};

}  // namespace heed::HEED_ISA
