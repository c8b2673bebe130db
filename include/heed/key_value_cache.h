#pragma once
#include <heed/tensor.h>

#include <memory>
#include <vector>

namespace heed {

/// Keys and values of one sequence that lie together: rows of a packed tensor, or one page of a cache. Quantised rows
/// (int8; int4, two a byte, the first in the low half) have a scale for each key-value head of each row.
struct KeyValueSpan {
  const void* key = nullptr;
  const void* value = nullptr;
  std::int64_t count = 0;
  const float* key_scale = nullptr;    ///< [count, key_value_heads]
  const float* value_scale = nullptr;  ///< the same
};

/// Keys and values of one sequence in one layer, in pages that copies share: copying (a beam, a snapshot) is cheap, and
/// the page that both would write is copied at the first write.
class KeyValueCache {
 public:
  static constexpr std::int64_t page_rows = 64;
  KeyValueCache() = default;
  /// Widths are those of all key-value heads together. int8 and int4 (DType::q4) have a scale for each head of each
  /// row: a row's largest number becomes 127 or 7, the others are rounded; int4 heads are of even widths.
  KeyValueCache(std::int64_t key_width, std::int64_t value_width, DType dtype, int key_value_heads = 1);
  explicit operator bool() const { return key_width_ > 0; }
  std::int64_t length() const { return length_; }
  DType dtype() const { return dtype_; }
  std::int64_t key_width() const { return key_width_; }
  std::int64_t value_width() const { return value_width_; }
  int key_value_heads() const { return key_value_heads_; }
  /// Adds rows (float32 or bfloat16, converted). What is not finite makes its head of its row NaN in int8 and int4.
  void append(View keys, View values);
  /// Forgets all but the first `length` rows (speculation, rolling back).
  void truncate(std::int64_t length);
  std::vector<KeyValueSpan> spans() const;
  std::int64_t bytes() const;

 private:
  struct Page;
  struct Layout;
  Layout layout() const;
  void own_last_page();
  std::int64_t key_width_ = 0, value_width_ = 0, length_ = 0;
  DType dtype_ = DType::float32;
  int key_value_heads_ = 1;
  std::vector<std::shared_ptr<Page>> pages_;
};

}  // namespace heed
