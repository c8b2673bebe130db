#pragma once
#include "attention/cpu/task.h"

namespace heed::attention {

inline constexpr int decode_block = 512;       ///< most keys that are scored before their values are summed
inline constexpr int most_decode_queries = 4;  ///< of a sequence that is decoded

/// Heads that read the same keys and values together: those of one sequence, or of several that begin alike. Rows are
/// the queries of all heads; those of one key-value head stand together, `rows` of them, head by head.
struct Decoding {
  const Head* heads = nullptr;  ///< [key_value_heads, members]
  int key_value_heads = 1;
  int members = 1;  ///< heads that share a key-value head
  int rows = 1;     ///< queries of these together
};

/// Floats of one row's partial result: sums of weighted values, then the maximum (base 2) and the sum of weights.
constexpr std::int64_t partial_floats(std::int64_t value_width) { return (value_width + 31) / 32 * 32 + 16; }

struct Decode {
  /// Partial results of every row over keys [begin, end): partial[key-value head · rows + row].
  void (*part)(const Decoding& decoding, std::int64_t begin, std::int64_t end, float* scratch, float* partial);
  /// Joins partial results of one query, in order, into its output and log-sum-exp.
  void (*join)(const Head& head, std::int64_t query, const float* const* partial, int count);
};

/// Keys that are scored together: fewer where many rows would not leave their scores in the second-level cache.
constexpr int decode_block_of(const Decoding& decoding) {
  const std::int64_t rows = std::int64_t{decoding.key_value_heads} * decoding.rows;
  int block = decode_block;
  while (block > 64 && rows * block > 65536) block /= 2;
  return block;
}

inline constexpr int run_floats = 48;  ///< room for what one head looks at in a block

/// Floats of scratch that one part needs, besides the rules'.
constexpr std::int64_t decode_scratch(const Decoding& decoding) {
  const std::int64_t heads = decoding.key_value_heads, rows = heads * decoding.rows, block = decode_block_of(decoding);
  const std::int64_t of_block =
      3 * padded(heads) + heads * decoding.members * run_floats + 4 * block + 2 * heads * block;
  return rows * (padded(decoding.heads->width + 16) + block + 16) + 2 * of_block + key_chunk + 64 + 256;
}

}  // namespace heed::attention
