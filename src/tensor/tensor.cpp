#include <heed/tensor.h>

#include <algorithm>
#include <cstdlib>
#include <new>

#include "tensor/half.h"

namespace heed {

namespace {

constexpr std::int64_t alignment = 64;

std::int64_t bytes_of(const Shape& shape, DType dtype) {
  std::int64_t bytes = 0;
  if (__builtin_mul_overflow(shape.elements(), size_of(dtype), &bytes))
    throw Error("tensor: {} of {} is more memory than 64 bits can count", shape, name_of(dtype));
  return bytes;
}

// The record lies in front of the elements, in one allocation of zeros: large ones come from the system as untouched
// pages, so that zeroing them costs nothing before they are used.
Storage* heap_storage(std::int64_t bytes) {
  static_assert(sizeof(Storage) <= alignment);
  constexpr std::int64_t extra = 2 * alignment;
  constexpr std::int64_t address_space = std::int64_t{1} << 47;
  void* memory = bytes > address_space ? nullptr : std::calloc(1, static_cast<std::size_t>(bytes + extra));
  if (!memory) throw Error("tensor: the system has no {} bytes of memory to give", bytes);
  const auto address = reinterpret_cast<std::uintptr_t>(memory);
  const auto padding = (alignment - address % alignment) % alignment;
  auto* place = static_cast<std::byte*>(memory) + padding;
  auto* storage = new (place) Storage;
  storage->data = place + alignment;
  storage->bytes = bytes;
  storage->owner = memory;
  storage->release = [](Storage* self) noexcept {
    void* whole = self->owner;
    self->~Storage();
    std::free(whole);
  };
  return storage;
}

// One rounding from the value that is stored to the value wanted, whatever the pair of types.
template <class To, class From>
To converted(From value) {
  if constexpr (std::is_same_v<From, bfloat16>)
    return converted<To>(static_cast<float>(value));
  else if constexpr (std::is_same_v<From, float16>)
    return converted<To>(float_of_half(value.bits));
  else if constexpr (std::is_same_v<To, float> || std::is_same_v<To, double>)
    return static_cast<To>(value);
  else if constexpr (std::is_same_v<From, double>)
    return converted<To>(odd_float_of(value));
  else if constexpr (std::is_same_v<To, float16>) {
    float16 half;
    half.bits = half_of_float(value);
    return half;
  } else
    return To(value);
}

template <class To, class From>
void convert(const Tensor& from, const Tensor& to) {
  const From* source = from.as<From>();
  To* target = to.as<To>();
  const std::int64_t count = from.elements();
  for (std::int64_t i = 0; i < count; ++i) target[i] = converted<To>(source[i]);
}

template <class From>
void convert_from(const Tensor& from, const Tensor& to) {
  switch (to.dtype()) {
    case DType::float32:
      return convert<float, From>(from, to);
    case DType::bfloat16:
      return convert<bfloat16, From>(from, to);
    case DType::float16:
      return convert<float16, From>(from, to);
    default:
      return convert<double, From>(from, to);
  }
}

bool is_floating(DType dtype) {
  return dtype == DType::float32 || dtype == DType::bfloat16 || dtype == DType::float16 || dtype == DType::float64;
}

template <class T>
void fill_with(const Tensor& tensor, T value) {
  std::fill_n(tensor.as<T>(), tensor.elements(), value);
}

}  // namespace

Tensor::Tensor(Shape shape, DType dtype) : shape_(shape), dtype_(dtype) {
  storage_ = heap_storage(bytes_of(shape, dtype));
  storage_->uses.store(1, std::memory_order_relaxed);
  data_ = storage_->data;
}

Tensor::Tensor(Storage* storage, void* data, Shape shape, DType dtype)
    : storage_(storage), data_(data), shape_(shape), dtype_(dtype) {
  if (storage_) storage_->uses.fetch_add(1, std::memory_order_relaxed);
}

Tensor::Tensor(const Tensor& other) noexcept : Tensor(other.storage_, other.data_, other.shape_, other.dtype_) {}

void Tensor::drop() noexcept {
  if (storage_ && storage_->uses.fetch_sub(1, std::memory_order_acq_rel) == 1 && storage_->release)
    storage_->release(storage_);
  storage_ = nullptr;
  data_ = nullptr;
}

Tensor Tensor::borrow(void* data, Shape shape, DType dtype) { return Tensor(nullptr, data, shape, dtype); }

Tensor Tensor::from(std::initializer_list<float> values) {
  Tensor tensor(Shape{static_cast<std::int64_t>(values.size())});
  std::copy(values.begin(), values.end(), tensor.floats());
  return tensor;
}

std::int64_t Tensor::bytes() const { return bytes_of(shape_, dtype_); }

Tensor Tensor::reshaped(Shape shape) const {
  if (shape.elements() != elements())
    throw Error("reshaped: {} has {} elements, {} has {}; a reshape keeps their number", shape_, elements(), shape,
                shape.elements());
  Tensor result = *this;
  result.shape_ = shape;
  return result;
}

Tensor Tensor::slice(std::int64_t begin, std::int64_t end) const {
  if (shape_.rank() == 0) throw Error("slice: a scalar has no rows to slice");
  if (begin < 0 || begin > end || end > shape_[0])
    throw Error("slice: rows [{}, {}) of {}; expected 0 <= begin <= end <= {}", begin, end, shape_, shape_[0]);
  Shape rows{end - begin};
  std::int64_t row_elements = 1;
  for (int i = 1; i < shape_.rank(); ++i) {
    rows.append(shape_[i]);
    row_elements *= shape_[i];
  }
  Tensor result = *this;
  result.shape_ = rows;
  if (data_) result.data_ = static_cast<std::byte*>(data_) + begin * row_elements * size_of(dtype_);
  return result;
}

Tensor Tensor::clone() const {
  if (!data_) return *this;
  Tensor copy(shape_, dtype_);
  std::memcpy(copy.data_, data_, static_cast<std::size_t>(bytes()));
  return copy;
}

Tensor Tensor::to(DType dtype) const {
  if (dtype == dtype_) return clone();
  if (!is_floating(dtype_) || !is_floating(dtype))
    throw Error("to: {} {} cannot become {}; only float32, bfloat16, float16 and float64 convert into each other",
                name_of(dtype_), shape_, name_of(dtype));
  if (!data_) return Tensor(nullptr, nullptr, shape_, dtype);
  Tensor result(shape_, dtype);
  switch (dtype_) {
    case DType::float32:
      convert_from<float>(*this, result);
      break;
    case DType::bfloat16:
      convert_from<bfloat16>(*this, result);
      break;
    case DType::float16:
      convert_from<float16>(*this, result);
      break;
    default:
      convert_from<double>(*this, result);
  }
  return result;
}

void Tensor::fill(float value) const {
  switch (dtype_) {
    case DType::float32:
      return fill_with(*this, value);
    case DType::bfloat16:
      return fill_with(*this, bfloat16(value));
    case DType::float16:
      return fill_with(*this, float16(value));
    case DType::float64:
      return fill_with(*this, static_cast<double>(value));
    case DType::int8:
      return fill_with(*this, static_cast<std::int8_t>(value));
    case DType::uint8:
      return fill_with(*this, static_cast<std::uint8_t>(value));
    case DType::int32:
      return fill_with(*this, static_cast<std::int32_t>(value));
    case DType::int64:
      return fill_with(*this, static_cast<std::int64_t>(value));
    case DType::boolean:
      return fill_with(*this, value != 0);
    case DType::q8:
    case DType::q4:
      throw Error("fill: {} {} is stored in blocks with scales; quantise filled floats instead", name_of(dtype_),
                  shape_);
  }
}

void Tensor::wrong_type(DType asked) const {
  throw Error("tensor: {} is {}, asked for as {}; convert it with to()", shape_, name_of(dtype_), name_of(asked));
}

}  // namespace heed
