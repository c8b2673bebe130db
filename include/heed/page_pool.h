#pragma once
#include <heed/key_value_cache.h>
#include <heed/tensor.h>

#include <cstdint>
#include <span>
#include <vector>

namespace heed {

/// Keys and values of many sequences in pages of equal size, in memory of the caller's own: a sequence is a table of
/// page numbers. (KeyValueCache keeps its pages itself.)
struct PagePool {
  Tensor key, value;  ///< [pages, rows of a page, width of all key-value heads]; int4, two a byte, half as wide
  /// Of int8 and int4, else empty: [pages, rows of a page, key-value heads].
  Tensor key_scale = {}, value_scale = {};

  /// What an AttentionSequence takes: the first `count` rows of the pages that `table` names, in its order. Throws
  /// Error naming a page that the pool has not, a table that is too short, and tensors that do not fit together.
  std::vector<KeyValueSpan> spans(std::span<const std::int32_t> table, std::int64_t count) const;
};

}  // namespace heed
