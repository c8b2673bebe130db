#include <heed/attention.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <new>

namespace heed {

struct KeyValueCache::Page {
  /// Rows are written before they are read, so the memory is not cleared.
  Page(std::int64_t key_bytes, std::int64_t value_bytes)
      : key(static_cast<std::byte*>(::operator new(static_cast<std::size_t>(key_bytes + value_bytes), alignment))),
        value(key + key_bytes) {}
  ~Page() { ::operator delete(key, alignment); }
  Page(const Page&) = delete;
  Page& operator=(const Page&) = delete;

  static constexpr std::align_val_t alignment{64};
  std::byte* key;
  std::byte* value;
};

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

}  // namespace

KeyValueCache::KeyValueCache(std::int64_t key_width, std::int64_t value_width, DType dtype)
    : key_width_(key_width), value_width_(value_width), dtype_(dtype) {
  if (key_width < 1 || value_width < 1)
    throw Error("KeyValueCache: key width {} and value width {}; both must be 1 or more", key_width, value_width);
  if (dtype != DType::float32 && dtype != DType::bfloat16 && dtype != DType::float16)
    throw Error("KeyValueCache: {} is not a type of a cache; expected float32, bfloat16 or float16", name_of(dtype));
}

void KeyValueCache::append(View keys, View values) {
  if (keys.rows != values.rows || keys.width != key_width_ || values.width != value_width_)
    throw Error("KeyValueCache: append of keys [{}, {}] and values [{}, {}]; expected as many rows of {} and {}",
                keys.rows, keys.width, values.rows, values.width, key_width_, value_width_);
  for (const DType dtype : {keys.dtype, values.dtype})
    if (dtype != DType::float32 && dtype != DType::bfloat16)
      throw Error("KeyValueCache: append of {}; expected float32 or bfloat16", name_of(dtype));

  const std::int64_t element = size_of(dtype_);
  for (std::int64_t done = 0; done < keys.rows;) {
    const std::int64_t row = length_ % page_rows;
    if (row == 0)
      pages_.push_back(std::make_shared<Page>(page_rows * key_width_ * element, page_rows * value_width_ * element));
    else
      own_last_page();
    const std::int64_t count = std::min(page_rows - row, keys.rows - done);
    put_rows(keys, done, count, dtype_, pages_.back()->key + row * key_width_ * element);
    put_rows(values, done, count, dtype_, pages_.back()->value + row * value_width_ * element);
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
  std::vector<KeyValueSpan> spans;
  spans.reserve(pages_.size());
  for (std::int64_t begin = 0; const std::shared_ptr<Page>& page : pages_) {
    spans.push_back({page->key, page->value, std::min(page_rows, length_ - begin)});
    begin += page_rows;
  }
  return spans;
}

std::int64_t KeyValueCache::bytes() const {
  return static_cast<std::int64_t>(pages_.size()) * page_rows * (key_width_ + value_width_) * size_of(dtype_);
}

void KeyValueCache::own_last_page() {
  if (pages_.back().use_count() == 1) return;
  const std::int64_t element = size_of(dtype_), rows = length_ % page_rows;
  auto copy = std::make_shared<Page>(page_rows * key_width_ * element, page_rows * value_width_ * element);
  std::memcpy(copy->key, pages_.back()->key, static_cast<std::size_t>(rows * key_width_ * element));
  std::memcpy(copy->value, pages_.back()->value, static_cast<std::size_t>(rows * value_width_ * element));
  pages_.back() = std::move(copy);
}

}  // namespace heed
