#include "conformance/onnx_case.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <iterator>
#include <span>
#include <string_view>

namespace heed::onnx {

namespace {

/// A protobuf message as it lies in memory: fields one after the other, each a number, a type and a value.
class Message {
 public:
  Message(std::string_view bytes, const std::string& file) : bytes_(bytes), file_(file) {}

  struct Field {
    std::uint64_t number;
    std::uint64_t integer;   ///< of a variable-length integer, or of the bits of a fixed one
    std::string_view bytes;  ///< of a text, a message, packed numbers
    float real() const { return std::bit_cast<float>(static_cast<std::uint32_t>(integer)); }
  };

  /// The next field; false at the end.
  bool next(Field& field) {
    if (at_ == bytes_.size()) return false;
    const std::uint64_t key = integer();
    field = {key >> 3, 0, {}};
    switch (key & 7) {
      case 0:
        field.integer = integer();
        break;
      case 1:
        field.integer = fixed(8);
        break;
      case 2:
        field.bytes = take(integer());
        break;
      case 5:
        field.integer = fixed(4);
        break;
      default:
        throw Error("{}: byte {} of a message begins a field of type {}, which protobuf no longer has", file_, at_,
                    key & 7);
    }
    return true;
  }
  bool done() const { return at_ == bytes_.size(); }
  std::uint64_t integer() {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<unsigned char>(take(1)[0]);
      value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw Error("{}: an integer before byte {} of a message is longer than ten bytes", file_, at_);
  }
  std::uint64_t fixed(std::size_t size) {
    std::uint64_t value = 0;
    std::memcpy(&value, take(size).data(), size);
    return value;
  }
  const std::string& file() const { return file_; }

 private:
  std::string_view take(std::uint64_t count) {
    if (count > bytes_.size() - at_)
      throw Error("{}: a field at byte {} of a message of {} bytes has {} bytes", file_, at_, bytes_.size(), count);
    at_ += count;
    return bytes_.substr(at_ - count, count);
  }

  std::string_view bytes_;
  std::string file_;
  std::size_t at_ = 0;
};

/// Calls take(field) for each field of a message.
template <class Take>
void each_field(std::string_view bytes, const std::string& file, Take&& take) {
  Message message(bytes, file);
  for (Message::Field field; message.next(field);) take(field);
}

/// A repeated number: alone, or packed.
template <class Add>
void each_number(const Message::Field& field, std::size_t fixed_size, const std::string& file, Add&& add) {
  if (field.bytes.empty()) return add(field.integer);
  Message numbers(field.bytes, file);
  while (!numbers.done()) add(fixed_size ? numbers.fixed(fixed_size) : numbers.integer());
}

/// How ONNX numbers types of elements; those that heed has no type for are read as the next wider one.
struct ElementType {
  std::uint64_t number;
  std::size_t bytes;
  DType dtype;
  bool is_signed;
};
constexpr ElementType element_types[] = {
    {1, 4, DType::float32, true},  {2, 1, DType::uint8, false},   {3, 1, DType::int8, true},
    {4, 2, DType::int32, false},   {5, 2, DType::int32, true},    {6, 4, DType::int32, true},
    {7, 8, DType::int64, true},    {9, 1, DType::boolean, false}, {10, 2, DType::float16, true},
    {11, 8, DType::float64, true}, {12, 4, DType::int64, false},  {13, 8, DType::int64, false},
    {16, 2, DType::bfloat16, true}};

/// Writes element `index` from its bits as they lie in a file.
void put(const Tensor& tensor, std::size_t index, std::uint64_t bits, const ElementType& type) {
  const auto size = static_cast<std::size_t>(size_of(tensor.dtype()));
  if (type.is_signed && type.bytes < size && (bits >> (8 * type.bytes - 1)) & 1)
    bits |= ~std::uint64_t{0} << (8 * type.bytes);
  std::memcpy(static_cast<char*>(tensor.data()) + index * size, &bits, size);
}

struct NamedTensor {
  std::string name;
  Tensor tensor;
};

NamedTensor read_tensor(std::string_view bytes, const std::string& file) {
  NamedTensor result;
  Shape shape;
  std::uint64_t number = 1;
  std::optional<std::string_view> raw;
  std::vector<std::uint64_t> elements;
  each_field(bytes, file, [&](const Message::Field& field) {
    const auto add = [&](std::uint64_t bits) { elements.push_back(bits); };
    switch (field.number) {
      case 1:  // dims
        return each_number(field, 0, file,
                           [&](std::uint64_t extent) { shape.append(static_cast<std::int64_t>(extent)); });
      case 2:  // data_type
        number = field.integer;
        return;
      case 4:  // float_data
        return each_number(field, 4, file, add);
      case 5:   // int32_data, also of smaller and half types
      case 7:   // int64_data
      case 11:  // uint64_data
        return each_number(field, 0, file, add);
      case 10:  // double_data
        return each_number(field, 8, file, add);
      case 8:
        result.name = field.bytes;
        return;
      case 9:
        raw = field.bytes;
        return;
      default:
        return;
    }
  });
  const auto type = std::ranges::find(element_types, number, &ElementType::number);
  if (type == std::end(element_types))
    throw Error("{}: tensor {} has elements of type {}, which is not read", file, result.name, number);
  result.tensor = Tensor(shape, type->dtype);
  const auto count = static_cast<std::size_t>(shape.elements());
  if (raw) {
    if (raw->size() != count * type->bytes)
      throw Error("{}: tensor {} of shape {} has {} bytes; expected {}", file, result.name, shape, raw->size(),
                  count * type->bytes);
    Message numbers(*raw, file);
    for (std::size_t i = 0; i < count; ++i) put(result.tensor, i, numbers.fixed(type->bytes), *type);
    return result;
  }
  if (elements.size() != count)
    throw Error("{}: tensor {} of shape {} has {} elements; expected {}", file, result.name, shape, elements.size(),
                count);
  for (std::size_t i = 0; i < count; ++i) put(result.tensor, i, elements[i], *type);
  return result;
}

Graph read_graph(std::string_view bytes, const std::string& file);

std::pair<std::string, Attribute> read_attribute(std::string_view bytes, const std::string& file) {
  std::pair<std::string, Attribute> result;
  each_field(bytes, file, [&](const Message::Field& field) {
    switch (field.number) {
      case 1:
        result.first = field.bytes;
        return;
      case 2:
        result.second.number = field.real();
        return;
      case 3:
        result.second.integer = static_cast<std::int64_t>(field.integer);
        return;
      case 4:
        result.second.text = field.bytes;
        return;
      case 5:
        result.second.tensor = read_tensor(field.bytes, file).tensor;
        return;
      case 6:
        result.second.graph = std::make_shared<Graph>(read_graph(field.bytes, file));
        return;
      default:
        return;
    }
  });
  return result;
}

Node read_node(std::string_view bytes, const std::string& file) {
  Node node;
  each_field(bytes, file, [&](const Message::Field& field) {
    if (field.number == 1) node.inputs.emplace_back(field.bytes);
    if (field.number == 2) node.outputs.emplace_back(field.bytes);
    if (field.number == 4) node.operation = field.bytes;
    if (field.number == 5) node.attributes.insert(read_attribute(field.bytes, file));
  });
  return node;
}

/// The name of a ValueInfoProto.
std::string read_name(std::string_view bytes, const std::string& file) {
  std::string name;
  each_field(bytes, file, [&](const Message::Field& field) {
    if (field.number == 1) name = field.bytes;
  });
  return name;
}

Graph read_graph(std::string_view bytes, const std::string& file) {
  Graph graph;
  each_field(bytes, file, [&](const Message::Field& field) {
    if (field.number == 1) graph.nodes.push_back(read_node(field.bytes, file));
    if (field.number == 5) {
      NamedTensor constant = read_tensor(field.bytes, file);
      graph.constants[constant.name] = constant.tensor;
    }
    if (field.number == 11) graph.inputs.push_back(read_name(field.bytes, file));
    if (field.number == 12) graph.outputs.push_back(read_name(field.bytes, file));
  });
  return graph;
}

std::string read_bytes(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) throw Error("{}: cannot be opened", file.string());
  return {std::istreambuf_iterator<char>(in), {}};
}

/// The files PREFIX_0.pb, PREFIX_1.pb, … as tensors with the given names.
Values read_values(const std::filesystem::path& folder, const std::string& prefix,
                   const std::vector<std::string>& names) {
  Values values;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const std::filesystem::path file = folder / format("{}_{}.pb", prefix, i);
    values[names[i]] = read_tensor(read_bytes(file), file.string()).tensor;
  }
  return values;
}

}  // namespace

Graph read_model(const std::filesystem::path& file) {
  const std::string bytes = read_bytes(file);
  std::optional<Graph> graph;
  each_field(bytes, file.string(), [&](const Message::Field& field) {
    if (field.number == 7) graph = read_graph(field.bytes, file.string());
  });
  if (!graph || graph->nodes.empty()) throw Error("{}: a model without a graph", file.string());
  return *graph;
}

std::vector<DataSet> read_data(const std::filesystem::path& folder, const Graph& graph) {
  std::vector<DataSet> sets;
  std::vector<std::string> inputs;
  for (const std::string& input : graph.inputs)
    if (!graph.constants.contains(input)) inputs.push_back(input);
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (!entry.is_directory() || !name.starts_with("test_data_set_")) continue;
    sets.push_back(
        {name, read_values(entry.path(), "input", inputs), read_values(entry.path(), "output", graph.outputs)});
  }
  if (sets.empty()) throw Error("{}: no folder test_data_set_0", folder.string());
  return sets;
}

std::optional<std::filesystem::path> folder_of_cases() {
  std::filesystem::path folder;
  if (const char* given = std::getenv("HEED_CONFORMANCE")) {
    folder = given;
    if (std::filesystem::is_directory(folder / "onnx")) folder /= "onnx";
  } else {
    const char* shared = std::getenv("HEED_SHARED");
    folder = std::filesystem::path(shared ? shared : HEED_SOURCE_FOLDER "/../shared") / "data/conformance/onnx";
  }
  if (!std::filesystem::is_directory(folder)) return std::nullopt;
  return folder;
}

}  // namespace heed::onnx
