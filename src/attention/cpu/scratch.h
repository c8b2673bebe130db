#pragma once
#include <cstdint>

#include "attention/cpu/task.h"

namespace heed::attention {

/// Hands out parts of one block of scratch memory, each aligned to 64 bytes.
class Scratch {
 public:
  explicit Scratch(float* memory) : next_(memory) {}
  __attribute__((always_inline)) float* take(std::int64_t floats) {
    float* const part = next_;
    next_ += padded(floats);
    return part;
  }

 private:
  float* next_;
};

inline constexpr int longest_strip = key_chunk > query_block ? key_chunk : query_block;

/// Floats of scratch that the forward needs for a piece of `count` queries, besides the rules'. Room for the widest
/// unit, which is float32.
constexpr std::int64_t forward_scratch(int width, int value_width, int count) {
  const std::int64_t widths = padded(width) + padded(value_width);
  return 2 * key_chunk * widths + group_rows * padded(width) + 2 * group_rows * key_chunk +
         count * padded(value_width) + 2 * padded(count) + key_chunk + 64 + 256;
}

/// The same for whole rows of `keys` scores.
constexpr std::int64_t whole_rows_scratch(int width, int value_width, int count, std::int64_t keys) {
  return forward_scratch(width, value_width, count) + count * padded(keys);
}

/// The same for the backward.
constexpr std::int64_t backward_scratch(int width, int value_width, int count) {
  const std::int64_t widths = padded(width) + padded(value_width), rows = padded(count);
  const std::int64_t columns = (count + panel_width - 1) / panel_width * panel_width;
  return columns * widths + rows * widths + padded(width) * rows + 6 * group_rows * rows + key_block * rows +
         key_block * (widths + padded(width)) + 3 * rows + 2 * (longest_strip + 64) +
         (group_rows + 1) * 16 * padded(width) + 512;
}

}  // namespace heed::attention
