#include "ops/checks.h"

namespace heed {

Var embedding(Pass& pass, std::span<const std::int32_t> ids, SequencesPointer sequences, const Var& table,
              float scale) {
  const auto count = static_cast<std::int64_t>(ids.size());
  if (sequences && sequences->tokens() != count)
    throw Error("embedding: {} ids for sequences of {} tokens together", count, sequences->tokens());
  const std::int64_t entries = table.shape()[0];
  // Kept with the tape: the caller's ids may be gone by the backward.
  Tensor kept = pass.tensor({count}, DType::int32);
  auto* id = kept.as<std::int32_t>();
  for (std::int64_t i = 0; i < count; ++i) {
    id[i] = ids[static_cast<std::size_t>(i)];
    if (id[i] < 0 || id[i] >= entries)
      throw Error("embedding: id {} at place {} is outside the table of {} entries", id[i], i, entries);
  }
  Tensor y = pass.tensor({count, table.width()});
  kernels::gather(table.value().view(), id, count, scale, y.view(), pass.pool());
  return pass
      .record(y, {&table},
              [=, &pass](const Tensor& dy, Gradients& d) {
                if (const auto dt = d.to(table)) {
                  if (!dt.accumulate) Tensor::borrow(dt.view.data, table.shape()).fill(0.0f);
                  kernels::scatter_add(dy.view(), kept.as<std::int32_t>(), count, scale, dt.view, pass.pool());
                }
              })
      .with(std::move(sequences));
}

}  // namespace heed
