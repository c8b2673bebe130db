#pragma once
// Rows of queries, keys and values, brought into the form that products take: as they lie, copied, or packed.
#include "attention/cpu/scratch.h"
#include "attention/cpu/tile.h"

namespace heed::HEED_ISA {

using attention::Head;
using attention::padded;

HEED_INLINE std::int64_t larger(std::int64_t a, std::int64_t b) { return a > b ? a : b; }
HEED_INLINE std::int64_t smaller(std::int64_t a, std::int64_t b) { return a < b ? a : b; }
HEED_INLINE int tail_of(std::int64_t left) { return left < lanes ? static_cast<int>(left) : lanes; }
HEED_INLINE int whole_vectors(std::int64_t count) { return static_cast<int>((count + lanes - 1) / lanes * lanes); }
HEED_INLINE bool is_quantised(DType type) { return type == DType::int8 || type == DType::q4; }
HEED_INLINE std::int64_t bytes_of(DType type) { return type == DType::float32 ? 4 : 2; }

/// Rows that need not lie evenly: those of a chunk of keys, which pages may hold.
struct Rows {
  const char* const* row;
  DType type;
  int count, width;
};

/// Rows of a head lie far apart in short runs, which no processor foresees: what is needed soon is asked for.
HEED_INLINE void ask_for(const char* row, std::int64_t bytes) {
  for (std::int64_t i = 0; i < bytes; i += 64) __builtin_prefetch(row + i);
}
HEED_INLINE void ask_for(const Rows& rows, int row) {
  if (row < rows.count) ask_for(rows.row[row], rows.width * bytes_of(rows.type));
}
inline constexpr int rows_ahead = 32;

/// Asks for the rows of the next piece, some with each of `calls` calls.
class Fetch {
 public:
  Fetch(const attention::Ahead& ahead, std::int64_t calls) : ahead_(ahead) {
    std::int64_t rows = 0;
    for (int i = 0; i < ahead.parts; ++i) rows += ahead.part[i].rows;
    each_ = (rows + calls - 1) / (calls > 0 ? calls : 1);
  }
  HEED_INLINE void some() {
    for (std::int64_t left = each_; left > 0 && part_ < ahead_.parts;) {
      const attention::Ahead::Part& part = ahead_.part[part_];
      for (; left > 0 && row_ < part.rows; --left, ++row_) ask_for(part.data + row_ * part.stride, part.bytes);
      if (row_ < part.rows) return;
      row_ = 0;
      ++part_;
    }
  }

 private:
  const attention::Ahead& ahead_;
  std::int64_t each_, row_ = 0;
  int part_ = 0;
};

/// panels[row / 64][unit of the width][row % 64]: the rows become columns, those missing in the last panel zero.
/// `later` are rows that come after these.
template <class Units, class S>
static void pack_columns(const Rows& rows, const Rows& later, float* panels) {
  const int units = units_of<Units>(rows.width);
  for (int top = 0; top < rows.count; top += lanes) {
    float* const panel = panels + top / panel_width * panel_width * units + top % panel_width;
    if (rows.count > attention::Ahead::most_rows)  // fewer have been asked for with the piece before
      for (int i = top; i < top + lanes; ++i) {
        ask_for(rows, i + rows_ahead);
        ask_for(later, i);
      }
    for (int left = 0; left < units; left += lanes) {
      F block[lanes];
      for (int i = 0; i < lanes; ++i)
        block[i] = top + i < rows.count
                       ? load_along<Units>(reinterpret_cast<const S*>(rows.row[top + i]) + left * Units::elements,
                                           rows.width - left * Units::elements)
                       : zero();
      transpose(block);
      const int count = tail_of(units - left);
      for (int i = 0; i < count; ++i) store(panel + (left + i) * panel_width, block[i]);
    }
  }
}
template <class Units>
static void pack_columns(const Rows& rows, const Rows& later, float* panels) {
  if (rows.type == DType::float32)
    pack_columns<Units, float>(rows, later, panels);
  else if (rows.type == DType::bfloat16)
    pack_columns<Units, bfloat16>(rows, later, panels);
  else
    pack_columns<Units, float16>(rows, later, panels);
}

/// to[unit of the rows][column]: neighbouring rows share a unit; columns padded with zeros to whole vectors, `stride`.
template <class Units, class S>
static void pack_across(const Rows& rows, float* to, std::int64_t stride) {
  for (int row = 0; row < rows.count; row += Units::elements, to += stride) {
    const S* const first = reinterpret_cast<const S*>(rows.row[row]);
    if constexpr (Units::elements == 1) {
      for (int i = 0; i < rows.width; i += lanes) {
        const int count = tail_of(rows.width - i);
        store(to + i, Units::rounded ? from_bfloat16(load_rounded(first + i, count)) : load_floats(first + i, count));
      }
    } else {
      const S* const second = row + 1 < rows.count ? reinterpret_cast<const S*>(rows.row[row + 1]) : nullptr;
      for (int i = 0; i < rows.width; i += lanes) {
        const int count = tail_of(rows.width - i);
        U units = __builtin_convertvector(load_rounded(first + i, count), U);
        if (second) units |= __builtin_convertvector(load_rounded(second + i, count), U) << 16;
        store(to + i, as_float(units));
      }
    }
  }
}
template <class Units>
static void pack_across(const Rows& rows, float* to, std::int64_t stride) {
  if (rows.type == DType::float32)
    pack_across<Units, float>(rows, to, stride);
  else if (rows.type == DType::bfloat16)
    pack_across<Units, bfloat16>(rows, to, stride);
  else
    pack_across<Units, float16>(rows, to, stride);
}

/// Rows whose units lie along the width, evenly: where they are if they can be used so, else copied to `copy`, padded
/// to whole vectors. The result's `row_stride` is in units.
template <class Units>
static Factor along(DType type, const void* data, std::int64_t stride, std::int64_t count, int width, float* copy) {
  if (lies_in_units<Units>(type) && width % Units::elements == 0 && stride % Units::elements == 0 &&
      reinterpret_cast<std::uintptr_t>(data) % 4 == 0)
    return {static_cast<const float*>(data), stride / Units::elements, 1};
  const int units = units_of<Units>(width);
  const std::int64_t to_stride = whole_vectors(units);
  with_type(type, data, [&](auto* from) {
    for (std::int64_t row = 0; row < count; ++row)
      for (int i = 0; i < units; i += lanes)
        store(copy + row * to_stride + i,
              load_along<Units>(from + row * stride + i * Units::elements, width - i * Units::elements));
  });
  return {copy, to_stride, 1};
}

/// Pointers to rows [begin, begin + count) of a head's keys or values.
template <bool values>
static void point(const Head& head, std::int64_t begin, int count, const char** row) {
  const std::int64_t bytes = bytes_of(values ? head.value_type : head.key_type);
  const std::int64_t stride = (values ? head.value_stride : head.key_stride) * bytes;
  const std::int64_t column = (values ? head.value_column : head.key_column) * bytes;
  const KeyValueSpan* span = head.spans;
  while (begin >= span->count) begin -= (span++)->count;
  for (int done = 0; done < count; ++span, begin = 0) {
    const char* data = static_cast<const char*>(values ? span->value : span->key) + begin * stride + column;
    for (std::int64_t left = span->count - begin; left > 0 && done < count; --left, data += stride) row[done++] = data;
  }
}

/// Quantised rows as float32: a byte, or half a byte, times the scale of its row and head.
template <bool values>
static void point_widened(const Head& head, std::int64_t begin, int count, const char** row, float* copy) {
  const int width = values ? head.value_width : head.width,
            bits = (values ? head.value_type : head.key_type) == DType::int8 ? 8 : 4;
  const std::int64_t stride = values ? head.value_stride : head.key_stride;
  const std::int64_t column = values ? head.value_column : head.key_column;
  const KeyValueSpan* span = head.spans;
  while (begin >= span->count) begin -= (span++)->count;
  for (int done = 0; done < count; ++span, begin = 0)
    for (std::int64_t at = begin; at < span->count && done < count; ++at, ++done, copy += padded(width)) {
      const auto* data = static_cast<const std::int8_t*>(values ? span->value : span->key);
      const float scale =
          (values ? span->value_scale : span->key_scale)[at * head.key_value_heads + head.key_value_head];
      const std::int64_t first = at * stride + column;
      for (int i = 0; i < width; ++i)
        copy[i] =
            scale * static_cast<float>(
                        bits == 8 ? data[first + i]
                                  : static_cast<std::int8_t>(data[(first + i) / 2] << ((first + i) % 2 ? 0 : 4)) >> 4);
      row[done] = reinterpret_cast<const char*>(copy);
    }
}

}  // namespace heed::HEED_ISA
