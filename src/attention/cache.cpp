#include <heed/key_value_cache.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>

#include "attention/page_memory.h"
#include "attention/problem.h"

namespace heed {

/// Where things lie in a page, in bytes: rows of keys, rows of values, then the scales of both.
struct KeyValueCache::Layout {
  std::int64_t key_row, value_row, scale_row, value, key_scale, value_scale, bytes;
};

struct KeyValueCache::Page {
  /// Rows are written before they are read, so the memory is not cleared.
  explicit Page(std::int64_t bytes) : memory(static_cast<std::byte*>(attention::take_page(bytes))) {}
  ~Page() { attention::give_page_back(memory); }
  Page(const Page&) = delete;
  Page& operator=(const Page&) = delete;

  std::byte* memory;
};

KeyValueCache::Layout KeyValueCache::layout() const {
  const bool quantised = attention::is_quantised(dtype_);
  const auto row = [&](std::int64_t width) { return dtype_ == DType::q4 ? width / 2 : width * size_of(dtype_); };
  const auto padded = [](std::int64_t bytes) { return (bytes + 63) / 64 * 64; };
  Layout at{};
  at.key_row = row(key_width_);
  at.value_row = row(value_width_);
  at.scale_row = quantised ? key_value_heads_ * static_cast<std::int64_t>(sizeof(float)) : 0;
  at.value = padded(page_rows * at.key_row);
  at.key_scale = at.value + padded(page_rows * at.value_row);
  at.value_scale = at.key_scale + page_rows * at.scale_row;
  at.bytes = at.value_scale + page_rows * at.scale_row;
  return at;
}

namespace {

template <class From, class To>
void convert_rows(const View& from, std::int64_t first, std::int64_t count, std::byte* to) {
  To* target = reinterpret_cast<To*>(to);
  for (std::int64_t row = first; row < first + count; ++row, target += from.width) {
    const From* source = from.as<const From>() + row * from.row_stride;
    if constexpr (std::is_same_v<From, To>)
      std::memcpy(target, source, static_cast<std::size_t>(from.width) * sizeof(To));
    else
      for (std::int64_t i = 0; i < from.width; ++i) target[i] = static_cast<To>(static_cast<float>(source[i]));
  }
}

template <class From>
void convert_rows_from(const View& from, std::int64_t first, std::int64_t count, DType dtype, std::byte* to) {
  if (dtype == DType::float32)
    convert_rows<From, float>(from, first, count, to);
  else if (dtype == DType::bfloat16)
    convert_rows<From, bfloat16>(from, first, count, to);
  else
    convert_rows<From, float16>(from, first, count, to);
}

void put_rows(const View& from, std::int64_t first, std::int64_t count, DType dtype, std::byte* to) {
  if (from.dtype == DType::float32)
    convert_rows_from<float>(from, first, count, dtype, to);
  else
    convert_rows_from<bfloat16>(from, first, count, dtype, to);
}

/// A row's numbers of one head as whole numbers up to `most` times a scale, which is given back.
float quantise(const float* from, std::int64_t count, float most, std::int8_t* to) {
  float largest = 0.0f, none = 0.0f;
  for (std::int64_t i = 0; i < count; ++i) {
    largest = std::max(largest, std::abs(from[i]));
    none += 0.0f * from[i];  // NaN when something is not finite
  }
  if (largest == 0.0f || std::isnan(none)) {
    std::fill_n(to, count, std::int8_t{0});
    return none;
  }
  for (std::int64_t i = 0; i < count; ++i) to[i] = static_cast<std::int8_t>(std::lrint(from[i] / largest * most));
  return largest / most;
}

/// Rows of `heads` heads, the scales of a row behind those of the row before.
void quantise_rows(const View& from, std::int64_t first, std::int64_t count, DType dtype, std::int64_t heads,
                   std::byte* to, float* scales) {
  const std::int64_t width = from.width / heads;
  std::vector<float> row(static_cast<std::size_t>(from.width));
  std::vector<std::int8_t> numbers(row.size());
  for (std::int64_t i = first; i < first + count; ++i, scales += heads) {
    for (std::int64_t c = 0; c < from.width; ++c) {
      const std::int64_t at = i * from.row_stride + c;
      row[static_cast<std::size_t>(c)] =
          from.dtype == DType::float32 ? from.floats()[at] : static_cast<float>(from.as<const bfloat16>()[at]);
    }
    for (std::int64_t head = 0; head < heads; ++head)
      scales[head] = quantise(row.data() + head * width, width, dtype == DType::int8 ? 127.0f : 7.0f,
                              numbers.data() + head * width);
    if (dtype == DType::int8) {
      std::memcpy(to, numbers.data(), numbers.size());
      to += from.width;
    } else {
      for (std::size_t c = 0; c < numbers.size(); c += 2)
        *to++ = static_cast<std::byte>((numbers[c] & 15) | (numbers[c + 1] & 15) << 4);
    }
  }
}

}  // namespace

KeyValueCache::KeyValueCache(std::int64_t key_width, std::int64_t value_width, DType dtype, int key_value_heads)
    : key_width_(key_width), value_width_(value_width), dtype_(dtype), key_value_heads_(key_value_heads) {
  if (key_width < 1 || value_width < 1)
    throw Error("KeyValueCache: key width {} and value width {}; both must be 1 or more", key_width, value_width);
  const bool quantised = attention::is_quantised(dtype);
  if (dtype != DType::float32 && dtype != DType::bfloat16 && dtype != DType::float16 && !quantised)
    throw Error("KeyValueCache: {} is not a type of a cache; expected float32, bfloat16, float16, int8 or int4",
                name_of(dtype));
  if (key_value_heads < 1 || key_width % key_value_heads != 0 || value_width % key_value_heads != 0)
    throw Error("KeyValueCache: {} key-value heads of key width {} and value width {} together; they must divide both",
                key_value_heads, key_width, value_width);
  if (dtype == DType::q4 && (key_width / key_value_heads % 2 != 0 || value_width / key_value_heads % 2 != 0))
    throw Error("KeyValueCache: int4 keys and values of widths {} and {} a head; two share a byte, so expected even",
                key_width / key_value_heads, value_width / key_value_heads);
}

void KeyValueCache::append(View keys, View values) {
  if (keys.rows != values.rows || keys.width != key_width_ || values.width != value_width_)
    throw Error("KeyValueCache: append of keys [{}, {}] and values [{}, {}]; expected as many rows of {} and {}",
                keys.rows, keys.width, values.rows, values.width, key_width_, value_width_);
  for (const DType dtype : {keys.dtype, values.dtype})
    if (dtype != DType::float32 && dtype != DType::bfloat16)
      throw Error("KeyValueCache: append of {}; expected float32 or bfloat16", name_of(dtype));

  const Layout at = layout();
  const auto put = [&](const View& from, std::int64_t first, std::int64_t count, std::byte* to, std::byte* scales) {
    if (attention::is_quantised(dtype_))
      quantise_rows(from, first, count, dtype_, key_value_heads_, to, reinterpret_cast<float*>(scales));
    else
      put_rows(from, first, count, dtype_, to);
  };
  for (std::int64_t done = 0; done < keys.rows;) {
    const std::int64_t row = length_ % page_rows;
    if (row == 0)
      pages_.push_back(std::make_shared<Page>(at.bytes));
    else
      own_last_page();
    const std::int64_t count = std::min(page_rows - row, keys.rows - done);
    std::byte* const page = pages_.back()->memory;
    put(keys, done, count, page + row * at.key_row, page + at.key_scale + row * at.scale_row);
    put(values, done, count, page + at.value + row * at.value_row, page + at.value_scale + row * at.scale_row);
    length_ += count;
    done += count;
  }
}

void KeyValueCache::truncate(std::int64_t length) {
  if (length < 0 || length > length_) throw Error("KeyValueCache: truncate to {} rows; it holds {}", length, length_);
  length_ = length;
  pages_.resize(static_cast<std::size_t>((length + page_rows - 1) / page_rows));
}

std::vector<KeyValueSpan> KeyValueCache::spans() const {
  const Layout at = layout();
  std::vector<KeyValueSpan> spans;
  spans.reserve(pages_.size());
  for (std::int64_t begin = 0; const std::shared_ptr<Page>& page : pages_) {
    const auto scales = [&](std::int64_t offset) {
      return at.scale_row > 0 ? reinterpret_cast<const float*>(page->memory + offset) : nullptr;
    };
    spans.push_back({page->memory, page->memory + at.value, std::min(page_rows, length_ - begin), scales(at.key_scale),
                     scales(at.value_scale)});
    begin += page_rows;
  }
  return spans;
}

std::int64_t KeyValueCache::bytes() const {
  const Layout at = layout();
  return static_cast<std::int64_t>(pages_.size()) * page_rows * (at.key_row + at.value_row + 2 * at.scale_row);
}

void KeyValueCache::own_last_page() {
  if (pages_.back().use_count() == 1) return;
  const Layout at = layout();
  const std::int64_t rows = length_ % page_rows;
  auto copy = std::make_shared<Page>(at.bytes);
  const auto take = [&](std::int64_t offset, std::int64_t row) {
    std::memcpy(copy->memory + offset, pages_.back()->memory + offset, static_cast<std::size_t>(rows * row));
  };
  take(0, at.key_row);
  take(at.value, at.value_row);
  take(at.key_scale, at.scale_row);
  take(at.value_scale, at.scale_row);
  pages_.back() = std::move(copy);
}

}  // namespace heed
