#include "ops/checks.h"

namespace heed {

Var pool(const Var& x, Pooling kind) {
  Pass& pass = x.pass();
  const SequencesPointer sequences = x.sequences_pointer();
  const std::int64_t count = x.sequences().count(), width = x.width();
  for (std::int64_t i = 0; i < count; ++i)
    if (sequences->length(i) == 0) throw Error("pool: sequence {} has no tokens", i);
  Tensor y = pass.tensor({count, width});
  // max: the row that each element came from, the first of equals
  Tensor from = pass.tensor({kind == Pooling::max ? count : 0, width}, DType::int32);
  const float* in = x.value().floats();
  float* out = y.floats();
  pass.pool().parallel_for(count, [&](std::int64_t i) {
    const std::int64_t begin = sequences->begin(i), length = sequences->length(i);
    for (std::int64_t j = 0; j < width; ++j) {
      const float* column = in + begin * width + j;
      float result = column[0];
      if (kind == Pooling::mean) {
        for (std::int64_t t = 1; t < length; ++t) result += column[t * width];
        result /= static_cast<float>(length);
      } else if (kind == Pooling::max) {
        std::int64_t best = 0;
        for (std::int64_t t = 1; t < length; ++t)
          if (column[t * width] > column[best * width]) best = t;
        result = column[best * width];
        from.as<std::int32_t>()[i * width + j] = static_cast<std::int32_t>(begin + best);
      }
      out[i * width + j] = result;
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
                    if (kind == Pooling::first) to[begin * width + j] += gradient;
                    if (kind == Pooling::max) to[from.as<std::int32_t>()[i * width + j] * width + j] += gradient;
                    if (kind == Pooling::mean)
                      for (std::int64_t t = 0; t < length; ++t) to[(begin + t) * width + j] += gradient / static_cast<float>(length);
                  }
                });
              })
      .with(nullptr);
}

}  // namespace heed
