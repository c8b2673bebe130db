#include <heed/weight.h>

#include <cmath>
#include <vector>

namespace heed {

namespace {

/// Eight sums side by side, which a compiler may make one vector of.
double dot(const double* x, const double* y, std::int64_t n) {
  double sums[8] = {};
  std::int64_t i = 0;
  for (; i + 8 <= n; i += 8)
    for (std::int64_t j = 0; j < 8; ++j) sums[j] += x[i + j] * y[i + j];
  for (; i < n; ++i) sums[0] += x[i] * y[i];
  return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

/// Normal rows made orthonormal one after another (Gram & Schmidt, modified), which draws uniformly from the orthogonal
/// matrices.
void write_orthogonal(float* to, std::int64_t n, float spread, RandomKey key) {
  std::vector<double> rows(static_cast<std::size_t>(n * n));
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<double>(normal(key, i));
  for (std::int64_t i = 0; i < n; ++i) {
    double* const row = rows.data() + i * n;
    const double length = std::sqrt(dot(row, row, n));
    for (std::int64_t k = 0; k < n; ++k) row[k] /= length;
    for (std::int64_t j = i + 1; j < n; ++j) {
      double* const other = rows.data() + j * n;
      const double along = dot(row, other, n);
      for (std::int64_t k = 0; k < n; ++k) other[k] -= along * row[k];
    }
  }
  for (std::size_t i = 0; i < rows.size(); ++i) to[i] = spread * static_cast<float>(rows[i]);
}

}  // namespace

const Tensor& Weight::value() const {
  if (!has_value())
    throw Error("a weight of shape {} is used before it has values: initialise or load it first", shape());
  return record_->value;
}

void Weight::initialise(RandomKey key) {
  Tensor value(shape(), DType::float32);
  float* to = value.floats();
  const auto count = static_cast<std::uint64_t>(value.elements());
  const Initial& initial = record_->initial;
  switch (initial.kind) {
    case Initial::Kind::zeros:
      break;
    case Initial::Kind::ones:
      value.fill(1.0f);
      break;
    case Initial::Kind::normal:
      for (std::uint64_t i = 0; i < count; ++i) to[i] = initial.spread * normal(key, i);
      break;
    case Initial::Kind::uniform:
      for (std::uint64_t i = 0; i < count; ++i) to[i] = initial.spread * (2.0f * uniform(key, i) - 1.0f);
      break;
    case Initial::Kind::orthogonal:
      for (std::int64_t row = 0; row + value.width() <= value.rows(); row += value.width())
        write_orthogonal(to + row * value.width(), value.width(), initial.spread,
                         key.fold(static_cast<std::uint64_t>(row)));
      break;
  }
  for (std::int64_t first = 0; initial.period > 0 && first < value.elements(); first += initial.period)
    for (std::int64_t i = first + initial.ones_begin; i < first + initial.ones_end; ++i) to[i] = 1.0f;
  record_->value = std::move(value);
  ++record_->version;
}

void Weight::set(Tensor value) {
  if (value.shape() != shape())
    throw Error("a weight of shape {} cannot take values of shape {}", shape(), value.shape());
  record_->value = std::move(value);
  ++record_->version;
}

Tensor& Weight::change() {
  ++record_->version;
  // A mapped file, a foreign or a shared block is not ours to write; clone() and to() make memory of the weight's own.
  if (value().dtype() != DType::float32)
    record_->value = record_->value.to(DType::float32);
  else if (!record_->value.unique() || record_->value.read_only())
    record_->value = record_->value.clone();
  return record_->value;
}

}  // namespace heed
