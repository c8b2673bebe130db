#pragma once
#include <heed/tensor.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "formats/file.h"

namespace heed {

/// What the header of a safetensors file says of one tensor. `begin` and `end` are bytes of the file.
struct SafetensorsEntry {
  std::string name;
  DType dtype = DType::float32;
  Shape shape;
  std::int64_t begin = 0;
  std::int64_t end = 0;
};

using Metadata = std::map<std::string, std::string>;

struct SafetensorsHeader {
  std::vector<SafetensorsEntry> entries;               ///< in the order of the header
  std::unordered_map<std::string, std::size_t> index;  ///< from a name into entries
  Metadata metadata;
};

/// The header of a safetensors file whose bytes are `file`; no byte of the data is read. Checked wholly: the types that
/// heed has (F64 F32 F16 BF16 I64 I32 I8 U8 BOOL), at most six dimensions, no name twice, and data that fills the file
/// to its last byte without holes or overlaps. Errors name `file_name` and the byte.
SafetensorsHeader parse_safetensors_header(std::string_view file, const std::string& file_name);

/// A mapped safetensors file. Opening reads and checks the header alone.
class SafetensorsReader {
 public:
  explicit SafetensorsReader(const std::filesystem::path& path);

  /// The tensors in the order of the header.
  const std::vector<SafetensorsEntry>& entries() const { return header_.entries; }
  const Metadata& metadata() const { return header_.metadata; }
  bool has(const std::string& name) const { return header_.index.contains(name); }
  /// Throws Error when there is no such tensor.
  const SafetensorsEntry& entry(const std::string& name) const;
  /// The tensor, pointing into the mapped file and keeping it; a copy where its data are not aligned to its elements.
  /// Read-only: clone it to write.
  Tensor tensor(const std::string& name) const;

  /// Reads everything and compares with the checksums that write_safetensors left. Returns how many tensors were
  /// checked: all, or 0 if the file has no checksums. Throws Error naming the tensor that was altered.
  std::int64_t verify() const;
  const std::string& name() const { return file_.name(); }

 private:
  MappedFile file_;
  SafetensorsHeader header_;
};

using NamedTensors = std::vector<std::pair<std::string, Tensor>>;

/// Writes tensors, in this order in the header, with a checksum each: metadata "heed.crc32.<name>" is the CRC-32 (eight
/// hexadecimal digits) of the type and shape as the header spells them ("F32[2,3]") and the bytes; that of the other
/// metadata is "heed.crc32.__metadata__". The same tensors give the same file.
///
/// The format has no holes, so data are laid out by alignment: those of whole 64-byte lines first (each starts on 64
/// bytes), then by size of element. Throws Error for q8 and q4, a name twice, or a failed write.
void write_safetensors(Writer& writer, const NamedTensors& tensors, const Metadata& metadata = {});
/// As a file that is replaced atomically.
void write_safetensors(const std::filesystem::path& path, const NamedTensors& tensors, const Metadata& metadata = {});

}  // namespace heed
