#include "formats/npy.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <string>
#include <string_view>

#include "formats/file.h"

namespace heed {

namespace {

constexpr std::string_view magic = "\x93NUMPY";
constexpr std::size_t alignment = 64;  // of the data, as the format asks

struct NpyType {
  std::string_view name;
  DType dtype;
};
constexpr std::array npy_types{NpyType{"<f4", DType::float32}, NpyType{"<f8", DType::float64},
                               NpyType{"<i4", DType::int32}, NpyType{"<i8", DType::int64}};

/// What follows "'key':" in the header, which is a Python dictionary written in one certain way.
std::string_view value_of(std::string_view header, std::string_view key, const std::string& file_name) {
  const std::size_t place = header.find(key);
  if (place == std::string_view::npos) throw Error("{}: the npy header lacks {}", file_name, key);
  header.remove_prefix(place + key.size());
  header.remove_prefix(std::min(header.size(), header.find_first_not_of(": ")));
  return header;
}

Shape parse_shape(std::string_view text, const std::string& file_name) {
  Shape shape;
  std::int64_t elements = 8;  // the widest element's bytes: what the product must leave room for
  const std::string_view inside = text.substr(0, text.find(')'));
  for (const char* at = inside.data(); at != inside.data() + inside.size();) {
    if (*at == '(' || *at == ',' || *at == ' ') {
      ++at;
      continue;
    }
    std::int64_t extent = -1;
    const auto [end, failed] = std::from_chars(at, inside.data() + inside.size(), extent);
    if (failed != std::errc{} || extent < 0 || shape.rank() == Shape::max_rank ||
        __builtin_mul_overflow(elements, extent, &elements))
      throw Error("{}: the npy header's shape {}) is not one of at most {} dimensions", file_name, inside,
                  Shape::max_rank);
    shape.append(extent);
    at = end;
  }
  return shape;
}

}  // namespace

void write_npy(const std::filesystem::path& path, const Tensor& tensor) {
  const auto type = std::ranges::find(npy_types, tensor.dtype(), &NpyType::dtype);
  if (type == npy_types.end())
    throw Error("{}: npy holds float32, float64, int32 and int64, not {}; convert the tensor first", path.string(),
                name_of(tensor.dtype()));
  std::string shape;
  for (int i = 0; i < tensor.shape().rank(); ++i) shape.append(i ? ", " : "").append(std::to_string(tensor.shape()[i]));
  if (tensor.shape().rank() == 1) shape += ",";  // a Python tuple of one
  std::string header = format("{'descr': '{}', 'fortran_order': False, 'shape': ({}), }", type->name, shape);
  const std::size_t before = magic.size() + 4;  // the magic, two bytes of version, two of length
  header.resize((before + header.size() + 1 + alignment - 1) / alignment * alignment - before - 1, ' ');
  header += '\n';
  write_file_atomically(path, [&](Writer& writer) {
    const std::array<char, 4> version_and_length{1, 0, static_cast<char>(header.size() & 255),
                                                 static_cast<char>(header.size() >> 8)};
    writer.write(magic);
    writer.write(version_and_length.data(), 4);
    writer.write(header);
    writer.write(tensor.data(), tensor.bytes());
  });
}

Tensor read_npy(const std::filesystem::path& path) {
  const MappedFile file(path);
  const std::string_view bytes = file.bytes();
  if (bytes.size() < 12 || !bytes.starts_with(magic) || (bytes[6] != 1 && bytes[6] != 2))
    throw Error("{}: not a npy file of format 1 or 2", file.name());
  std::uint32_t length = 0;
  const std::size_t width = bytes[6] == 1 ? 2 : 4;
  std::memcpy(&length, bytes.data() + 8, width);
  const std::size_t data = 8 + width + length;
  if (data > bytes.size())
    throw Error("{}: the npy header ends at byte {}, the file has {}", file.name(), data, bytes.size());
  const std::string_view header = bytes.substr(8 + width, length);

  const std::string_view type_text = value_of(header, "'descr'", file.name()).substr(0, 5);
  const auto type = std::ranges::find_if(
      npy_types, [&](const NpyType& each) { return type_text.size() == 5 && type_text.substr(1, 3) == each.name; });
  if (type == npy_types.end())
    throw Error("{}: the npy type {} is not one of <f4, <f8, <i4, <i8", file.name(), type_text);
  if (!value_of(header, "'fortran_order'", file.name()).starts_with("False"))
    throw Error("{}: the npy file is in Fortran order; write it in C order", file.name());
  const Shape shape = parse_shape(value_of(header, "'shape'", file.name()), file.name());
  if (static_cast<std::size_t>(shape.elements() * size_of(type->dtype)) != bytes.size() - data)
    throw Error("{}: the npy header says {} of {}, but {} bytes follow it", file.name(), shape, type->name,
                bytes.size() - data);
  Tensor tensor(shape, type->dtype);
  if (tensor.bytes() > 0) std::memcpy(tensor.data(), bytes.data() + data, bytes.size() - data);
  return tensor;
}

}  // namespace heed
