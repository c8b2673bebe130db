// Safetensors headers: what passes lies within the file, fills it, and each byte of it can be read.
#include <cstring>
#include <memory>

#include "formats/safetensors.h"
#include "input.h"

using namespace heed;

namespace {

void check(const std::uint8_t* data, std::size_t size) {
  // A copy of the exact size, so that a read beyond it is seen.
  const auto file = std::make_unique<std::uint8_t[]>(size);
  if (size > 0) std::memcpy(file.get(), data, size);
  allow_errors([&] {
    const SafetensorsHeader header = parse_safetensors_header({reinterpret_cast<const char*>(file.get()), size}, "x");
    std::int64_t covered = 0;
    for (const SafetensorsEntry& entry : header.entries) {
      must(entry.begin >= 8 && entry.begin <= entry.end && entry.end <= static_cast<std::int64_t>(size));
      must(entry.end - entry.begin == entry.shape.elements() * size_of(entry.dtype));
      must(&header.entries[header.index.at(entry.name)] == &entry);
      covered += entry.end - entry.begin;
    }
    std::uint64_t length = 0;
    std::memcpy(&length, file.get(), 8);
    must(covered == static_cast<std::int64_t>(size - 8 - length));
  });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  check(data, size);
  // The first byte says how much data follow, the rest is a header: its length then always fits.
  if (size == 0) return 0;
  const std::uint64_t length = size - 1;
  std::string file(8, '\0');
  std::memcpy(file.data(), &length, 8);
  file.append(data + 1, data + size).append(data[0], '\0');
  check(reinterpret_cast<const std::uint8_t*>(file.data()), file.size());
  return 0;
}
