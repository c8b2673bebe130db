#include <heed/page_pool.h>

#include <algorithm>
#include <string_view>

namespace heed {

namespace {

void check_pages(std::string_view name, const Tensor& tensor, const Tensor& keys) {
  const Shape &shape = tensor.shape(), &key = keys.shape();
  if (shape.rank() != 3 || key.rank() != 3 || shape[0] != key[0] || shape[1] != key[1])
    throw Error("page pool: {} is {}, the keys are {}; expected [pages, rows, width] with as many pages and rows", name,
                shape, key);
}

template <class T>
const T* page_of(const Tensor& tensor, std::int64_t page) {
  if (!tensor) return nullptr;
  const std::int64_t bytes = tensor.shape()[1] * tensor.shape()[2] * size_of(tensor.dtype());
  return reinterpret_cast<const T*>(static_cast<const char*>(tensor.data()) + page * bytes);
}

}  // namespace

std::vector<KeyValueSpan> PagePool::spans(std::span<const std::int32_t> table, std::int64_t count) const {
  check_pages("value", value, key);
  if (key_scale) check_pages("key_scale", key_scale, key);
  if (value_scale) check_pages("value_scale", value_scale, key);
  const std::int64_t pages = key.shape()[0], rows = key.shape()[1];
  if (count < 0 || count > static_cast<std::int64_t>(table.size()) * rows)
    throw Error("page table: {} pages of {} rows for {} rows; the pool's keys are {}", table.size(), rows, count,
                key.shape());
  std::vector<KeyValueSpan> spans;
  for (std::int64_t begin = 0; begin < count; begin += rows) {
    const auto entry = static_cast<std::size_t>(begin / rows);
    const std::int64_t page = table[entry];
    if (page < 0 || page >= pages)
      throw Error("page table: entry {} is page {}; the pool's keys are {}, with pages 0 to {}", entry, page,
                  key.shape(), pages - 1);
    spans.push_back({page_of<char>(key, page), page_of<char>(value, page), std::min(rows, count - begin),
                     page_of<float>(key_scale, page), page_of<float>(value_scale, page)});
  }
  return spans;
}

}  // namespace heed
