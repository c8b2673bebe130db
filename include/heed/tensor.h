#pragma once
#include <heed/dtype.h>
#include <heed/error.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <utility>

namespace heed {

/// The extents of a tensor, outermost first: up to six, each 0 or more.
class Shape {
 public:
  static constexpr int max_rank = 6;
  Shape() = default;
  Shape(std::initializer_list<std::int64_t> extents);
  int rank() const { return rank_; }
  /// The extent at `index`; a negative index counts from the end.
  std::int64_t operator[](int index) const {
    return extents_[static_cast<std::size_t>(index < 0 ? index + rank_ : index)];
  }
  void append(std::int64_t extent);
  std::int64_t elements() const;
  /// Elements of all dimensions but the last.
  std::int64_t rows() const { return rank_ == 0 ? 1 : width() == 0 ? 0 : elements() / width(); }
  /// Extent of the last dimension; 1 for a scalar.
  std::int64_t width() const { return rank_ == 0 ? 1 : (*this)[-1]; }
  std::string text() const;  ///< "[2, 8]"
  bool operator==(const Shape&) const = default;

 private:
  std::array<std::int64_t, max_rank> extents_{};
  int rank_ = 0;
};

/// Bytes with an owner: heap, an arena, a mapped file or a foreign library. Counted; `release` runs when the last
/// tensor over it is gone.
struct Storage {
  void* data = nullptr;
  std::int64_t bytes = 0;
  void (*release)(Storage*) noexcept = nullptr;
  void* owner = nullptr;
  std::atomic<std::int32_t> uses{0};
  bool read_only = false;  ///< a mapped file: writing through a tensor would be a fault
};

/// Borrowed elements: rows of `width` dense elements, `row_stride` elements apart. Kernels take views, check nothing
/// and allocate nothing.
struct View {
  void* data = nullptr;
  DType dtype = DType::float32;
  std::int64_t rows = 0;
  std::int64_t width = 0;
  std::int64_t row_stride = 0;
  template <class T>
  T* as() const {
    return static_cast<T*>(data);
  }
  float* floats() const { return static_cast<float*>(data); }
};

/// A dense block of elements: owns, shares or maps its storage. Copying shares; `clone` copies the elements.
class Tensor {
 public:
  Tensor() = default;
  /// Zeroed memory of its own.
  explicit Tensor(Shape shape, DType dtype = DType::float32);
  /// Elements in a storage that others may share (an arena, a mapped file).
  Tensor(Storage* storage, void* data, Shape shape, DType dtype);
  Tensor(const Tensor& other) noexcept;
  Tensor(Tensor&& other) noexcept { swap(other); }
  Tensor& operator=(Tensor other) noexcept {
    swap(other);
    return *this;
  }
  ~Tensor() { drop(); }

  /// Memory that the caller keeps alive for as long as the tensor.
  static Tensor borrow(void* data, Shape shape, DType dtype = DType::float32);
  static Tensor from(std::initializer_list<float> values);

  explicit operator bool() const { return data_ != nullptr; }
  const Shape& shape() const { return shape_; }
  DType dtype() const { return dtype_; }
  std::int64_t elements() const { return shape_.elements(); }
  std::int64_t rows() const { return shape_.rows(); }
  std::int64_t width() const { return shape_.width(); }
  std::int64_t bytes() const;
  void* data() const { return data_; }
  /// The elements as T. Throws Error when the dtype is another.
  template <class T>
  T* as() const {
    if (dtype_ != dtype_of<T>) wrong_type(dtype_of<T>);
    return static_cast<T*>(data_);
  }
  float* floats() const { return as<float>(); }
  View view() const { return {data_, dtype_, rows(), width(), width()}; }
  /// The same elements under another shape of as many elements.
  Tensor reshaped(Shape shape) const;
  /// Rows [begin, end) of the first dimension, sharing the storage.
  Tensor slice(std::int64_t begin, std::int64_t end) const;
  Tensor clone() const;
  /// A copy in another type (float32, bfloat16, float16, float64).
  Tensor to(DType dtype) const;
  void fill(float value) const;
  bool read_only() const { return storage_ && storage_->read_only; }
  /// True when no other tensor shares the storage.
  bool unique() const { return storage_ && storage_->uses.load(std::memory_order_acquire) == 1; }

 private:
  void swap(Tensor& other) noexcept {
    std::swap(storage_, other.storage_);
    std::swap(data_, other.data_);
    std::swap(shape_, other.shape_);
    std::swap(dtype_, other.dtype_);
  }
  void drop() noexcept;
  [[noreturn]] void wrong_type(DType asked) const;

  Storage* storage_ = nullptr;
  void* data_ = nullptr;
  Shape shape_;
  DType dtype_ = DType::float32;
};

}  // namespace heed
