#pragma once
#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace heed {

/// How an element is stored. `q8` and `q4` are the encodings of quantised weights (blocks of integers with a scale);
/// they have no size of one element, only of a block.
enum class DType : std::uint8_t { float32, bfloat16, float16, float64, int8, uint8, int32, int64, boolean, q8, q4 };

/// Bytes of one element. Throws Error for the block encodings.
std::int64_t size_of(DType dtype);
/// "float32", "bfloat16", …
std::string_view name_of(DType dtype);

/// The upper half of a float32 (Google brain format): 8 bits of exponent, 7 of fraction. Storage only: arithmetic is
/// float32.
struct bfloat16 {
  std::uint16_t bits = 0;
  bfloat16() = default;
  explicit bfloat16(float value) {
    const auto wide = std::bit_cast<std::uint32_t>(value);
    // Round to nearest, ties to even; a NaN stays a NaN (quiet bit set, so that truncation cannot make an infinity).
    bits = (wide & 0x7fffffffu) > 0x7f800000u
               ? static_cast<std::uint16_t>((wide >> 16) | 0x40u)
               : static_cast<std::uint16_t>((wide + 0x7fffu + ((wide >> 16) & 1u)) >> 16);
  }
  explicit operator float() const { return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16); }
};

/// IEEE 754 binary16. Storage only: arithmetic is float32.
struct float16 {
  std::uint16_t bits = 0;
  float16() = default;
  explicit float16(float value);
  explicit operator float() const;
};

template <class T>
inline constexpr DType dtype_of = DType::float32;
template <>
inline constexpr DType dtype_of<bfloat16> = DType::bfloat16;
template <>
inline constexpr DType dtype_of<float16> = DType::float16;
template <>
inline constexpr DType dtype_of<double> = DType::float64;
template <>
inline constexpr DType dtype_of<std::int8_t> = DType::int8;
template <>
inline constexpr DType dtype_of<std::uint8_t> = DType::uint8;
template <>
inline constexpr DType dtype_of<std::int32_t> = DType::int32;
template <>
inline constexpr DType dtype_of<std::int64_t> = DType::int64;
template <>
inline constexpr DType dtype_of<bool> = DType::boolean;

}  // namespace heed
