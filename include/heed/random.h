#pragma once
#include <cmath>
#include <cstdint>
#include <numbers>
#include <numeric>
#include <utility>
#include <vector>

namespace heed {

/// A bijection of 64 bits in which every input bit flips each output bit with probability near one half: the finaliser
/// of SplitMix64. Steele, Lea & Flood 2014, "Fast Splittable Pseudorandom Number Generators", fig. 19 (variant 13).
constexpr std::uint64_t mix64(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

/// Random numbers as functions of coordinates: a key is folded with what names a draw (step, slot, sequence, …), and
/// the draws under it are numbered. Nothing has a state, so a value can be computed again, anywhere, in any order.
struct RandomKey {
  std::uint64_t seed = 0;

  static constexpr std::uint64_t golden = 0x9e3779b97f4a7c15u;  // 2^64 divided by the golden ratio, odd

  /// The key one coordinate further. The order of coordinates matters.
  [[nodiscard]] constexpr RandomKey fold(std::uint64_t coordinate) const {
    return {mix64((seed + golden) ^ mix64(coordinate + golden))};
  }
  constexpr bool operator==(const RandomKey&) const = default;
};

/// Draw `index` of the key: the sequence of SplitMix64 that starts at the key's seed.
constexpr std::uint64_t bits64(RandomKey key, std::uint64_t index) {
  return mix64(key.seed + (index + 1) * RandomKey::golden);
}

constexpr std::uint32_t bits(RandomKey key, std::uint64_t index) {
  return static_cast<std::uint32_t>(bits64(key, index) >> 32);
}

/// A multiple of 2^-24 in [0, 1).
constexpr float uniform(RandomKey key, std::uint64_t index) {
  return static_cast<float>(bits(key, index) >> 8) * 0x1p-24f;
}

/// A whole number in [0, bound), for a bound of 1 or more. Its bias is below bound / 2^64.
/// Lemire 2019, "Fast Random Integer Generation in an Interval" (arXiv:1805.10941), without the rejection.
constexpr std::int64_t uniform_index(RandomKey key, std::uint64_t index, std::int64_t bound) {
  __extension__ using Wide = unsigned __int128;
  return static_cast<std::int64_t>((static_cast<Wide>(bits64(key, index)) * static_cast<std::uint64_t>(bound)) >> 64);
}

/// Mean 0, variance 1 (Box & Muller 1958), computed in double from draws 2·index and 2·index + 1 of the key.
inline float normal(RandomKey key, std::uint64_t index) {
  const double radius = (static_cast<double>(bits64(key, 2 * index) >> 11) + 0.5) * 0x1p-53;  // in (0, 1)
  const double angle = static_cast<double>(bits64(key, 2 * index + 1) >> 11) * 0x1p-53;
  return static_cast<float>(std::sqrt(-2.0 * std::log(radius)) * std::cos(2.0 * std::numbers::pi * angle));
}

/// Puts the elements (of a vector, array or span) in an order that the key decides, every order equally likely (Fisher
/// & Yates).
template <class Elements>
constexpr void shuffle(RandomKey key, Elements&& elements) {
  for (std::size_t i = elements.size(); i > 1; --i) {
    const auto other = static_cast<std::size_t>(uniform_index(key, i, static_cast<std::int64_t>(i)));
    std::swap(elements[i - 1], elements[other]);
  }
}

/// 0 … count − 1 in an order that the key decides.
inline std::vector<std::int64_t> permutation(RandomKey key, std::int64_t count) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(count));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  shuffle(key, order);
  return order;
}

/// A bijection of 32 bits with a low bias from input to output bits: "lowbias32" of Wellons 2018, "Prospecting for Hash
/// Functions". Multiplications, shifts and exclusive-ors of 32 bits alone, as vectors have them.
constexpr std::uint32_t mix32(std::uint32_t x) {
  x = (x ^ (x >> 16)) * 0x7feb352du;
  x = (x ^ (x >> 15)) * 0x846ca68bu;
  return x ^ (x >> 16);
}

/// 32 random bits for an element of a tensor, for vector code, which computes the same formula lane by lane:
/// mix32(mix32(index ^ key_low) + key_high), with the halves of a key's seed. For more than 2^32 elements, fold the key
/// with the upper half of the index.
constexpr std::uint32_t hash32(std::uint32_t index, std::uint32_t key_low, std::uint32_t key_high) {
  return mix32(mix32(index ^ key_low) + key_high);
}

constexpr std::uint32_t hash32(RandomKey key, std::uint32_t index) {
  return hash32(index, static_cast<std::uint32_t>(key.seed), static_cast<std::uint32_t>(key.seed >> 32));
}

}  // namespace heed
