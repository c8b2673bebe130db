#include <algorithm>

#include "ops/checks.h"

namespace heed {

namespace {

/// The row of a sequence that column j of the result is taken from: the first of equals where it is the largest.
std::int64_t chosen_row(Pooling kind, const float* column, std::int64_t length, std::int64_t width, std::int64_t j) {
  std::int64_t best = 0;
  if (kind == Pooling::last || (kind == Pooling::ends && j < width / 2)) return length - 1;
  for (std::int64_t t = 1; kind == Pooling::max && t < length; ++t)
    if (column[t * width] > column[best * width]) best = t;
  return best;
}

}  // namespace

Var pool(const Var& x, Pooling kind) {
  Pass& pass = x.pass();
  const SequencesPointer sequences = x.sequences_pointer();
  const std::int64_t count = x.sequences().count(), width = x.width();
  for (std::int64_t i = 0; i < count; ++i)
    if (sequences->length(i) == 0) throw Error("pool: sequence {} has no tokens", i);
  Tensor y = pass.tensor({count, width});
  Tensor from = pass.tensor({kind == Pooling::mean ? 0 : count, width}, DType::int32);  // rows that were taken
  const float* in = x.value().floats();
  float* out = y.floats();
  pass.pool().parallel_for(count, [&](std::int64_t i) {
    const std::int64_t begin = sequences->begin(i), length = sequences->length(i);
    for (std::int64_t j = 0; j < width; ++j) {
      const float* column = in + begin * width + j;
      float& result = out[i * width + j];
      if (kind == Pooling::mean) {
        result = column[0];
        for (std::int64_t t = 1; t < length; ++t) result += column[t * width];
        result /= static_cast<float>(length);
      } else {
        const std::int64_t row = chosen_row(kind, column, length, width, j);
        result = column[row * width];
        from.as<std::int32_t>()[i * width + j] = static_cast<std::int32_t>(begin + row);
      }
    }
  });
  return pass
      .record(y, {&x},
              [x = x.place(), sequences, from, count, width, kind, &pass](const Tensor& dy, Gradients& d) {
                const auto dx = d.to(x);
                if (!dx) return;
                float* to = dx.floats();
                const float* g = dy.floats();
                pass.pool().parallel_for(count, [&](std::int64_t i) {
                  const std::int64_t begin = sequences->begin(i), length = sequences->length(i);
                  if (!dx.accumulate) std::fill(to + begin * width, to + (begin + length) * width, 0.0f);
                  for (std::int64_t j = 0; j < width; ++j) {
                    const float gradient = g[i * width + j];
                    if (kind != Pooling::mean) {
                      to[from.as<std::int32_t>()[i * width + j] * width + j] += gradient;
                      continue;
                    }
                    for (std::int64_t t = 0; t < length; ++t)
                      to[(begin + t) * width + j] += gradient / static_cast<float>(length);
                  }
                });
              })
      .with(nullptr);
}

}  // namespace heed
