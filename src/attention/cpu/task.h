#pragma once
#include <heed/dtype.h>

#include <cstdint>

#include "attention/cpu/bands.h"

// What a kernel is told: plain data and pointers. Kernels check nothing and allocate nothing.
namespace heed::attention {

inline constexpr int query_block = 64;    ///< most queries of one block: they lie in the lanes of vectors
inline constexpr int key_block = 192;     ///< most keys that are scored before the softmax goes over them
inline constexpr int decode_block = 512;  ///< keys of one piece of a decoding step
inline constexpr int most_decode_queries = 4;

/// Keys and values that lie together.
struct Span {
  const void* key;
  const void* value;
  std::int64_t count;
  const float* key_scale;
  const float* value_scale;
};

/// A mask with rules: asked block by block. `cover` says 0 (empty), 1 (full) or 2 (partial); `fill` writes −infinity to
/// scores[key][query] that the rule forbids.
struct MaskQuestions {
  const void* mask;
  int batch, head;
  int (*cover)(const MaskQuestions&, std::int64_t query, int queries, std::int64_t key, int keys);
  void (*fill)(const MaskQuestions&, std::int64_t query, int queries, std::int64_t key, int keys, float* scores,
               std::int64_t query_stride, std::int64_t key_stride);
};

/// One head of one sequence. Pointers to rows are at the sequence's first row and at the head's first column; strides
/// are in elements.
struct Head {
  int width = 0, value_width = 0;
  std::int64_t queries = 0, keys = 0;
  std::int64_t position = 0;  ///< of the first query
  const void* query = nullptr;
  DType query_type = DType::float32;
  std::int64_t query_stride = 0;
  const Span* spans = nullptr;
  int span_count = 0;
  DType key_value_type = DType::float32;
  std::int64_t key_stride = 0, value_stride = 0;
  std::int64_t key_column = 0, value_column = 0;  ///< where this head's columns begin in a span's rows
  void* output = nullptr;
  DType output_type = DType::float32;
  std::int64_t output_stride = 0;
  float* log_sum_exp = nullptr;  ///< [queries] or null

  float scale = 1.0f, soft_cap = 0.0f;
  float kept = 1.0f;             ///< 1 − dropout
  std::uint32_t drop_below = 0;  ///< a weight is dropped when its hash is below; 0 drops none
  std::uint32_t drop_key_low = 0, drop_key_high = 0;
  float slope = 0.0f;
  const float* relative = nullptr;  ///< [2·reach + 1] of this head, or null
  std::int64_t reach = 0;
  const Bands* bands = nullptr;  ///< null: ask `mask`
  MaskQuestions mask{};
  float* scratch = nullptr;  ///< scratch_floats() floats, aligned to 64 bytes
};

/// What the backward needs beside the head; null gradients are not wanted. Gradients are added to.
struct HeadGradients {
  const float* doutput = nullptr;
  std::int64_t doutput_stride = 0;
  float* query = nullptr;
  std::int64_t query_stride = 0;
  float* key = nullptr;
  std::int64_t key_stride = 0;
  float* value = nullptr;
  std::int64_t value_stride = 0;
  float* relative = nullptr;  ///< [2·reach + 1] of this head
};

struct Forward {
  /// Output and log-sum-exp of queries [begin, begin + count), count ≤ query_block. `next` (or null), with the first of
  /// its queries, is what will be asked for next: its rows are brought near meanwhile.
  void (*block)(const Head& head, std::int64_t begin, int count, const Head* next, std::int64_t next_begin);
};

struct Backward {
  /// Gradients of one head, all its queries, in order. `next` (or null) and its gradients are what will be asked for
  /// next.
  void (*head)(const Head& head, const HeadGradients& gradients, const Head* next, const HeadGradients* next_gradients);
};

/// For few queries a sequence.
struct Decode {
  /// The partial softmax of `query` over keys [begin, end), at most decode_block. partial: maximum (base 2), sum, then
  /// value_width sums of weighted values, not yet divided.
  void (*piece)(const Head& head, std::int64_t query, std::int64_t begin, std::int64_t end, float* partial);
  /// Joins `count` partial results, `stride` floats apart, in order, into the output and log-sum-exp of `query`.
  void (*join)(const Head& head, std::int64_t query, const float* partial, int count, std::int64_t stride);
};

constexpr std::int64_t padded(std::int64_t width) { return (width + 15) / 16 * 16; }

/// Floats of scratch that a kernel needs.
constexpr std::int64_t scratch_floats(int width, int value_width, bool backward) {
  const std::int64_t widths = padded(width) + padded(value_width);
  const std::int64_t queries = query_block * widths, keys = key_block * widths;
  const std::int64_t scores = std::int64_t{key_block} * query_block;
  const std::int64_t rest = 16 * query_block + 4 * (key_block + query_block + 64) + decode_block;
  return backward ? 2 * queries + keys + 3 * scores + rest : queries + keys + scores + rest;
}

}  // namespace heed::attention
