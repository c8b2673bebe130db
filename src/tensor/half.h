#pragma once
#include <bit>
#include <cstdint>

namespace heed {

/// The float32 of an IEEE 754 binary16, exactly. Without branches that would stop vectorisation.
inline float float_of_half(std::uint16_t half) {
  const std::uint32_t sign = (half & 0x8000u) << 16;
  const std::uint32_t exponent = half & 0x7c00u;
  const std::uint32_t fraction = half & 0x3ffu;
  // Below 2^-14 the fraction counts steps of 2^-24; converting the integer works with denormals switched off, too.
  const std::uint32_t subnormal =
      std::bit_cast<std::uint32_t>(static_cast<float>(static_cast<int>(fraction)) * 0x1p-24f);
  const std::uint32_t normal = ((half & 0x7fffu) << 13) + (112u << 23);
  const std::uint32_t special = 0x7f800000u | (fraction << 13);
  return std::bit_cast<float>(sign | (exponent == 0x7c00u ? special : exponent == 0 ? subnormal : normal));
}

/// The binary16 nearest to `value`, ties to even; beyond 65519.99 an infinity; a NaN stays a (quiet) NaN.
inline std::uint16_t half_of_float(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = (bits >> 16) & 0x8000u;
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  // The unit in the last place of 0.5f is 2^-24, the step of subnormal halves: the addition rounds as wanted.
  const std::uint32_t subnormal = std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 0.5f) - 0x3f000000u;
  const std::uint32_t normal = (magnitude + 0xfffu + ((magnitude >> 13) & 1u) - (112u << 23)) >> 13;
  const std::uint32_t special = magnitude > 0x7f800000u ? 0x7e00u | ((magnitude >> 13) & 0x3ffu) : 0x7c00u;
  const std::uint32_t half = magnitude >= 0x477ff000u ? special : magnitude < 0x38800000u ? subnormal : normal;
  return static_cast<std::uint16_t>(sign | half);
}

/// `value` in float32, rounded to odd: a later rounding to a type of at most 22 bits is then as if made from the
/// double.
inline float odd_float_of(double value) {
  const float nearest = static_cast<float>(value);
  const double back = nearest;
  if (back == value || value != value) return nearest;
  auto bits = std::bit_cast<std::uint32_t>(nearest);
  // Truncate towards zero, then set the last bit: something was cut off. Bits of floats grow with their magnitude.
  const bool away_from_zero = (back < 0 ? -back : back) > (value < 0 ? -value : value);
  if (away_from_zero) --bits;
  return std::bit_cast<float>(bits | 1u);
}

}  // namespace heed
