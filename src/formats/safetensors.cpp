#include "formats/safetensors.h"

#include <zlib.h>

#include <algorithm>
#include <cstring>

#include "formats/json_text.h"
#include "formats/safetensors_types.h"

namespace heed {

namespace {

constexpr std::string_view checksum_prefix = "heed.crc32.";
constexpr std::string_view metadata_name = "__metadata__";
constexpr std::int64_t tensor_alignment = 64;  // a cache line, and the widest vector

std::string checksum_key(std::string_view name) { return std::string(checksum_prefix).append(name); }

bool is_checksum(const Metadata::value_type& item) { return item.first.starts_with(checksum_prefix); }

std::string shape_text(const Shape& shape) {
  std::string text = "[";
  for (int i = 0; i < shape.rank(); ++i) text.append(i ? "," : "").append(std::to_string(shape[i]));
  return text.append("]");
}

std::string_view type_text(DType dtype) { return find_safetensors_type(&SafetensorsType::dtype, dtype)->name; }

/// CRC-32 of pieces, as eight hexadecimal digits.
class Checksum {
 public:
  Checksum& add(const void* data, std::int64_t bytes) {
    if (bytes > 0) crc_ = crc32_z(crc_, static_cast<const Bytef*>(data), static_cast<z_size_t>(bytes));
    return *this;
  }
  Checksum& add(std::string_view text) { return add(text.data(), static_cast<std::int64_t>(text.size())); }
  std::string text() const {
    std::string digits(8, '0');
    for (std::size_t i = 0; i < 8; ++i) digits[i] = "0123456789abcdef"[(crc_ >> (28 - 4 * i)) & 15];
    return digits;
  }

 private:
  uLong crc_ = 0;
};

std::string tensor_checksum(DType dtype, const Shape& shape, const void* data, std::int64_t bytes) {
  return Checksum().add(type_text(dtype)).add(shape_text(shape)).add(data, bytes).text();
}

std::string metadata_checksum(const Metadata& metadata) {
  Checksum checksum;
  for (const auto& item : metadata)
    if (!is_checksum(item)) checksum.add(json_quote(item.first) + json_quote(item.second));
  return checksum.text();
}

/// The order of the data: whole 64-byte lines first, then by size of element, so that every tensor is aligned.
std::vector<std::size_t> data_order(const NamedTensors& tensors) {
  std::vector<std::size_t> order(tensors.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::stable_sort(order, std::ranges::greater{}, [&](std::size_t i) {
    const Tensor& tensor = tensors[i].second;
    return tensor.bytes() % tensor_alignment == 0 ? tensor_alignment : size_of(tensor.dtype());
  });
  return order;
}

void check_tensors(const NamedTensors& tensors, const std::string& file_name) {
  std::unordered_map<std::string_view, std::size_t> seen;
  for (const auto& [name, tensor] : tensors) {
    if (name == metadata_name || !seen.emplace(name, 0).second)
      throw Error("{}: cannot write two tensors of the name \"{}\"", file_name, name);
    if (!tensor && tensor.elements() > 0) throw Error("{}: tensor \"{}\" has no data to write", file_name, name);
    if (!find_safetensors_type(&SafetensorsType::dtype, tensor.dtype()))
      throw Error("{}: tensor \"{}\" is {}, which safetensors has not; write its parts", file_name, name,
                  name_of(tensor.dtype()));
  }
}

std::string header_text(const NamedTensors& tensors, const std::vector<std::size_t>& order, Metadata metadata) {
  std::erase_if(metadata, is_checksum);
  metadata[checksum_key(metadata_name)] = metadata_checksum(metadata);
  std::vector<std::int64_t> begins(tensors.size());
  std::int64_t end = 0;
  for (const std::size_t i : order) {
    begins[i] = end;
    end += tensors[i].second.bytes();
  }
  for (const auto& [name, tensor] : tensors)
    metadata[checksum_key(name)] = tensor_checksum(tensor.dtype(), tensor.shape(), tensor.data(), tensor.bytes());

  std::string text = "{\"__metadata__\":{";
  for (const auto& [key, value] : metadata)
    text.append(text.ends_with('{') ? "" : ",").append(json_quote(key)).append(":").append(json_quote(value));
  text += "}";
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const auto& [name, tensor] = tensors[i];
    text += format(",{}:{\"dtype\":\"{}\",\"shape\":{},\"data_offsets\":[{},{}]}", json_quote(name),
                   type_text(tensor.dtype()), shape_text(tensor.shape()), begins[i], begins[i] + tensor.bytes());
  }
  text += "}";
  // Spaces bring the data to the alignment; 8 bytes of length stand before the header.
  text.resize((text.size() + 8 + tensor_alignment - 1) / tensor_alignment * tensor_alignment - 8, ' ');
  return text;
}

}  // namespace

SafetensorsReader::SafetensorsReader(const std::filesystem::path& path)
    : file_(path), header_(parse_safetensors_header(file_.bytes(), file_.name())) {}

const SafetensorsEntry& SafetensorsReader::entry(const std::string& name) const {
  const auto found = header_.index.find(name);
  if (found == header_.index.end())
    throw Error("{}: no tensor is named \"{}\" among its {}", this->name(), name, header_.entries.size());
  return header_.entries[found->second];
}

Tensor SafetensorsReader::tensor(const std::string& name) const {
  const SafetensorsEntry& found = entry(name);
  char* data = static_cast<char*>(file_.storage()->data) + found.begin;
  const std::int64_t bytes = found.end - found.begin;
  if (found.dtype == DType::boolean) {
    const char* bad = std::find_if(data, data + bytes, [](char byte) { return byte != 0 && byte != 1; });
    if (bad != data + bytes)
      throw Error("{}: tensor \"{}\" is boolean, but byte {} of the file is neither 0 nor 1", this->name(), name,
                  found.begin + (bad - data));
  }
  if (reinterpret_cast<std::uintptr_t>(data) % static_cast<std::uintptr_t>(size_of(found.dtype)) == 0)
    return Tensor(file_.storage(), data, found.shape, found.dtype);
  Tensor copy(found.shape, found.dtype);
  if (bytes > 0) std::memcpy(copy.data(), data, static_cast<std::size_t>(bytes));
  return copy;
}

std::int64_t SafetensorsReader::verify() const {
  const Metadata& metadata = header_.metadata;
  if (std::ranges::none_of(metadata, is_checksum)) return 0;
  const auto compare = [&](std::string_view name, const std::string& what, const std::string& checksum) {
    const auto written = metadata.find(checksum_key(name));
    if (written == metadata.end())
      throw Error("{}: {} has no checksum, but others have: the file was altered", this->name(), what);
    if (written->second != checksum)
      throw Error("{}: {} was altered: its checksum is {}, {} was written; take another copy of the file", this->name(),
                  what, checksum, written->second);
  };
  compare(metadata_name, "the metadata", metadata_checksum(metadata));
  for (const SafetensorsEntry& each : header_.entries) {
    const char* data = file_.bytes().data() + each.begin;
    compare(each.name, format("tensor \"{}\" (bytes {} to {} of the file)", each.name, each.begin, each.end),
            tensor_checksum(each.dtype, each.shape, data, each.end - each.begin));
  }
  return static_cast<std::int64_t>(header_.entries.size());
}

void write_safetensors(Writer& writer, const NamedTensors& tensors, const Metadata& metadata) {
  check_tensors(tensors, writer.name());
  const std::vector<std::size_t> order = data_order(tensors);
  const std::string header = header_text(tensors, order, metadata);
  const std::uint64_t length = header.size();
  writer.write(&length, sizeof length);
  writer.write(header);
  for (const std::size_t i : order) writer.write(tensors[i].second.data(), tensors[i].second.bytes());
}

void write_safetensors(const std::filesystem::path& path, const NamedTensors& tensors, const Metadata& metadata) {
  write_file_atomically(path, [&](Writer& writer) { write_safetensors(writer, tensors, metadata); });
}

}  // namespace heed
