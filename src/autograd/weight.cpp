#include <heed/weight.h>

namespace heed {

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
