#pragma once
#include <cstddef>
#include <span>

namespace heed {

/// Calls cutoff = f(index, value) for every value above the cutoff, in order; f gives the cutoff from there on. What is
/// not above it costs a vector comparison: looking for a few best among thousands reads them once.
template <class F>
void for_each_above(std::span<const float> values, float cutoff, F&& f) {
  constexpr std::size_t block = 64;
  for (std::size_t begin = 0; begin < values.size(); begin += block) {
    const std::size_t end = begin + block < values.size() ? begin + block : values.size();
    if (end - begin == block) {
      const float* const x = values.data() + begin;
      int any = 0;
      for (std::size_t i = 0; i < block; ++i) any |= x[i] > cutoff ? 1 : 0;
      if (any == 0) continue;
    }
    for (std::size_t i = begin; i < end; ++i)
      if (values[i] > cutoff) cutoff = f(i, values[i]);
  }
}

}  // namespace heed
