#include <algorithm>

#include "ops/checks.h"

namespace heed {

namespace {

void check_rows(const char* operation, const Tensor& x, std::span<const std::int64_t> rows) {
  for (std::size_t i = 0; i < rows.size(); ++i)
    if (rows[i] < 0 || rows[i] >= x.rows() || (i > 0 && rows[i] <= rows[i - 1]))
      throw Error("{}: row {} of x {}; rows must ascend and lie within x", operation, rows[i], x.shape());
}

}  // namespace

Var take_rows(const Var& x, std::span<const std::int64_t> rows, SequencesPointer sequences) {
  const auto count = static_cast<std::int64_t>(rows.size());
  if (sequences && sequences->tokens() != count)
    throw Error("take_rows: {} rows for sequences of {} tokens", count, sequences->tokens());
  check_rows("take_rows", x.value(), rows);

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

Var join_rows(std::span<const Var> parts, std::span<const std::vector<std::int64_t>> rows, SequencesPointer sequences) {
  if (parts.empty() || rows.size() != parts.size())
    throw Error("join_rows: {} lists of rows for {} parts", rows.size(), parts.size());
  const std::int64_t width = parts.front().width(), tokens = sequences->tokens();
  const Var* differentiable = &parts.front();
  Pass& pass = parts.front().pass();
  std::int64_t joined = 0;
  for (std::size_t p = 0; p < parts.size(); ++p) {
    if (parts[p].shape() != Shape{static_cast<std::int64_t>(rows[p].size()), width} ||
        parts[p].dtype() != DType::float32)
      throw Error("join_rows: part {} is {} {} for {} rows; float32 of a width of {} is needed", p,
                  name_of(parts[p].dtype()), parts[p].shape(), rows[p].size(), width);
    joined += parts[p].tokens();
    if (pass.recording({&parts[p]})) differentiable = &parts[p];
  }
  if (joined != tokens) throw Error("join_rows: parts of {} rows for sequences of {} tokens", joined, tokens);
  Tensor y = pass.tensor({tokens, width});
  std::vector<Var> places;
  for (std::size_t p = 0; p < parts.size(); ++p) {
    check_rows("join_rows", y, rows[p]);
    for (std::size_t i = 0; i < rows[p].size(); ++i)
      std::copy_n(parts[p].value().floats() + static_cast<std::int64_t>(i) * width, width,
                  y.floats() + rows[p][i] * width);
    places.push_back(parts[p].place());
  }
  return pass
      .record(y, {differentiable},
              [places, width, to = std::vector(rows.begin(), rows.end())](const Tensor& dy, Gradients& d) {
                for (std::size_t p = 0; p < places.size(); ++p) {
                  const auto part = d.to(places[p]);
                  if (!part) continue;
                  float* g = part.floats();
                  for (const std::int64_t row : to[p])
                    for (std::int64_t j = 0; j < width; ++j, ++g)
                      *g = dy.floats()[row * width + j] + (part.accumulate ? *g : 0.0f);
                }
              })
      .with(std::move(sequences));
}

}  // namespace heed
