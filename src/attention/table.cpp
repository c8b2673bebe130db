#include <heed/error.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "attention/formula.h"

namespace heed::detail {

namespace {

constexpr std::int64_t block = 64;
constexpr std::int64_t most_looked_at = std::int64_t{1} << 20;
constexpr double infinity = std::numeric_limits<double>::infinity();

/// Least and largest of elements that are looked at one after another.
struct Extremes {
  double low = infinity, high = -infinity;
  bool number = true;
  void add(double value) {
    number &= value == value;
    low = value < low ? value : low;
    high = value > high ? value : high;
  }
  std::pair<double, double> range() const { return number ? std::pair(low, high) : std::pair(-infinity, infinity); }
};

}  // namespace

TableValues::TableValues(Tensor values) : tensor(std::move(values)), rank(tensor.shape().rank()) {
  if (rank < 1 || rank > 4)
    throw Error("table: the tensor is {}, of {} dimensions; a table has 1 to 4", tensor.shape(), rank);
  const DType type = tensor.dtype();
  if (type != DType::float32 && type != DType::int32 && type != DType::uint8 && type != DType::boolean)
    throw Error("table: the tensor is {}; expected float32, int32, uint8 or boolean", name_of(type));
  if (tensor.elements() == 0 || !tensor.data())
    throw Error("table: the tensor is {}, without elements; a table has at least one", tensor.shape());
  std::int64_t step = 1;
  for (int i = rank - 1; i >= 0; --i) {
    extent[i] = tensor.shape()[i];
    stride[i] = step;
    step *= extent[i];
  }
  if (rank > 1) return;
  for (std::int64_t begin = 0; begin < extent[0]; begin += block) {
    Extremes extremes;
    for (std::int64_t i = begin; i < std::min(begin + block, extent[0]); ++i) extremes.add(at(i));
    const auto [low, high] = extremes.range();
    blocks_.push_back({low, high});
  }
}

double TableValues::at(std::int64_t element) const {
  switch (tensor.dtype()) {
    case DType::float32:
      return static_cast<const float*>(tensor.data())[element];
    case DType::int32:
      return static_cast<const std::int32_t*>(tensor.data())[element];
    default:
      return static_cast<const std::uint8_t*>(tensor.data())[element];
  }
}

std::pair<double, double> TableValues::range(const std::int64_t* first, const std::int64_t* last) const {
  Extremes extremes;
  if (rank == 1) {
    for (std::int64_t i = first[0]; i <= last[0];) {
      if (i % block == 0 && i + block - 1 <= last[0]) {
        extremes.add(blocks_[static_cast<std::size_t>(i / block)].low);
        extremes.add(blocks_[static_cast<std::size_t>(i / block)].high);
        i += block;
      } else {
        extremes.add(at(i++));
      }
    }
    return extremes.range();
  }
  std::int64_t count = 1, from[4] = {0, 0, 0, 0}, to[4] = {0, 0, 0, 0};
  for (int i = 0; i < rank; ++i) {
    from[i + 4 - rank] = first[i];
    to[i + 4 - rank] = last[i];
    count *= last[i] - first[i] + 1;
  }
  if (count > most_looked_at) return {-infinity, infinity};
  const std::int64_t* step = stride + (rank - 4);  // of dimension i, where i ≥ 4 − rank
  const bool bytes = tensor.dtype() == DType::boolean || tensor.dtype() == DType::uint8;
  for (std::int64_t a = from[0]; a <= to[0]; ++a)
    for (std::int64_t b = from[1]; b <= to[1]; ++b)
      for (std::int64_t c = from[2]; c <= to[2]; ++c) {
        const std::int64_t row = (rank > 3 ? a * step[0] : 0) + (rank > 2 ? b * step[1] : 0) + c * step[2];
        const std::int64_t begin = row + from[3], end = row + to[3] + 1;
        if (!bytes) {
          for (std::int64_t i = begin; i < end; ++i) extremes.add(at(i));
          continue;
        }
        const auto* byte = static_cast<const std::uint8_t*>(tensor.data());
        std::uint8_t low = 255, high = 0;  // without branches: the compiler makes vectors of it
        for (std::int64_t i = begin; i < end; ++i) {
          low = byte[i] < low ? byte[i] : low;
          high = byte[i] > high ? byte[i] : high;
        }
        extremes.add(low);
        extremes.add(high);
        if (extremes.low == 0.0 && extremes.high > 0.0) return {0.0, 255.0};  // of masks nothing more is asked
      }
  return extremes.range();
}

bool TableValues::operator==(const TableValues& other) const {
  if (this == &other) return true;
  if (tensor.dtype() != other.tensor.dtype() || !(tensor.shape() == other.tensor.shape())) return false;
  return tensor.data() == other.tensor.data() ||
         std::memcmp(tensor.data(), other.tensor.data(), static_cast<std::size_t>(tensor.bytes())) == 0;
}

}  // namespace heed::detail
