#pragma once
// Matrices for tests of kernels: any element type, read and written as doubles, with gaps between the rows that nobody
// may touch.
#include <gtest/gtest.h>
#include <heed/tensor.h>

#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "support/tolerance.h"

namespace heed::test {

class Matrix {
 public:
  /// Zeros; `gap` elements of NaN after each row.
  Matrix(std::int64_t rows, std::int64_t width, DType dtype = DType::float32, std::int64_t gap = 3)
      : dtype_(dtype), rows_(rows), width_(width), stride_(width + gap) {
    bytes_.resize(static_cast<std::size_t>(rows * stride_ * size_of(dtype)) + 1);
    for (std::int64_t i = 0; i < rows; ++i)
      for (std::int64_t j = 0; j < stride_; ++j) set(i, j, j < width ? 0.0 : std::nan(""));
  }
  /// Normal numbers.
  Matrix(std::int64_t rows, std::int64_t width, std::mt19937& random, DType dtype = DType::float32,
         std::int64_t gap = 3)
      : Matrix(rows, width, dtype, gap) {
    std::normal_distribution<double> normal;
    for (std::int64_t i = 0; i < rows; ++i)
      for (std::int64_t j = 0; j < width; ++j) set(i, j, normal(random));
  }

  std::int64_t rows() const { return rows_; }
  std::int64_t width() const { return width_; }
  DType dtype() const { return dtype_; }
  float* floats() { return reinterpret_cast<float*>(bytes_.data()); }
  View view() { return {bytes_.data(), dtype_, rows_, width_, stride_}; }

  double at(std::int64_t i, std::int64_t j) const {
    const void* const data = bytes_.data();
    const std::int64_t k = i * stride_ + j;
    if (dtype_ == DType::bfloat16)
      return static_cast<double>(static_cast<float>(static_cast<const bfloat16*>(data)[k]));
    if (dtype_ == DType::float16) return static_cast<double>(static_cast<float>(static_cast<const float16*>(data)[k]));
    return static_cast<double>(static_cast<const float*>(data)[k]);
  }
  void set(std::int64_t i, std::int64_t j, double value) {
    void* const data = bytes_.data();
    const std::int64_t k = i * stride_ + j;
    if (dtype_ == DType::bfloat16)
      static_cast<bfloat16*>(data)[k] = bfloat16(static_cast<float>(value));
    else if (dtype_ == DType::float16)
      static_cast<float16*>(data)[k] = float16(static_cast<float>(value));
    else
      static_cast<float*>(data)[k] = static_cast<float>(value);
  }
  std::vector<double> row(std::int64_t i) const {
    std::vector<double> values;
    for (std::int64_t j = 0; j < width_; ++j) values.push_back(at(i, j));
    return values;
  }
  bool same_bits(const Matrix& other) const { return bytes_ == other.bytes_; }
  void expect_gaps_untouched() const {
    for (std::int64_t i = 0; i < rows_; ++i)
      for (std::int64_t j = width_; j < stride_; ++j) ASSERT_TRUE(std::isnan(at(i, j))) << "row " << i << " gap " << j;
  }

 private:
  DType dtype_;
  std::int64_t rows_, width_, stride_;
  std::vector<char> bytes_;
};

/// Every element of `actual` is close to expected(row, column), with the scale given by scale(row, column).
template <class Expected, class Scale>
void expect_matrix(const Matrix& actual, Expected&& expected, Scale&& scale, double factor) {
  for (std::int64_t i = 0; i < actual.rows(); ++i)
    for (std::int64_t j = 0; j < actual.width(); ++j)
      ASSERT_TRUE(close(actual.at(i, j), expected(i, j), scale(i, j), factor, actual.dtype()))
          << "at row " << i << ", column " << j;
  actual.expect_gaps_untouched();
}

}  // namespace heed::test
