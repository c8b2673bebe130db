#include <heed/tensor.h>

namespace heed {

Shape::Shape(std::initializer_list<std::int64_t> extents) {
  for (const std::int64_t extent : extents) append(extent);
}

void Shape::append(std::int64_t extent) {
  if (rank_ == max_rank) throw Error("shape: {} already has {} dimensions, the most there are", *this, max_rank);
  if (extent < 0) throw Error("shape: dimension {} after {} is {}; an extent is 0 or more", rank_, *this, extent);
  std::int64_t product = 0;
  if (__builtin_mul_overflow(elements(), extent, &product))
    throw Error("shape: {} elements times {} are more than 64 bits can count", elements(), extent);
  extents_[static_cast<std::size_t>(rank_++)] = extent;
}

std::int64_t Shape::elements() const {
  std::int64_t product = 1;
  for (int i = 0; i < rank_; ++i) product *= extents_[static_cast<std::size_t>(i)];
  return product;
}

std::string Shape::text() const {
  std::string text = "[";
  for (int i = 0; i < rank_; ++i) {
    if (i > 0) text += ", ";
    text += std::to_string(extents_[static_cast<std::size_t>(i)]);
  }
  return text + "]";
}

}  // namespace heed
