#include <algorithm>

#include "ops/checks.h"

namespace heed {

Var take_rows(const Var& x, std::span<const std::int64_t> rows, SequencesPointer sequences) {
  const auto count = static_cast<std::int64_t>(rows.size());
  if (sequences && sequences->tokens() != count)
    throw Error("take_rows: {} rows for sequences of {} tokens", count, sequences->tokens());
  for (std::size_t i = 0; i < rows.size(); ++i)
    if (rows[i] < 0 || rows[i] >= x.tokens() || (i > 0 && rows[i] <= rows[i - 1]))
      throw Error("take_rows: row {} of x {}; rows must ascend and lie within x", rows[i], x.shape());

  Pass& pass = x.pass();
  const std::int64_t width = x.width(), tokens = x.tokens();
  Tensor y = pass.tensor({count, width}, x.dtype());
  const std::int64_t row_bytes = width * size_of(x.dtype());
  const char* from = static_cast<const char*>(x.value().data());
  char* next = static_cast<char*>(y.data());
  for (const std::int64_t row : rows) next = std::copy_n(from + row * row_bytes, row_bytes, next);
  return pass
      .record(y, {&x},
              [x = x.place(), taken = std::vector<std::int64_t>(rows.begin(), rows.end()), width, tokens](
                  const Tensor& dy, Gradients& d) {
                const auto dx = d.to(x);
                if (!dx) return;
                float* to = dx.floats();
                if (!dx.accumulate) std::fill_n(to, tokens * width, 0.0f);
                for (std::size_t i = 0; i < taken.size(); ++i) {
                  const float* g = dy.floats() + static_cast<std::int64_t>(i) * width;
                  for (std::int64_t j = 0; j < width; ++j) to[taken[i] * width + j] += g[j];
                }
              })
      .with(std::move(sequences));
}

}  // namespace heed
