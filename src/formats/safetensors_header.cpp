#include <algorithm>
#include <bit>
#include <cstring>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>

#include "formats/json_text.h"
#include "formats/safetensors.h"
#include "formats/safetensors_types.h"

namespace heed {

static_assert(std::endian::native == std::endian::little, "safetensors are read without swapping bytes");

namespace {

constexpr std::int64_t length_bytes = 8;
constexpr std::int64_t longest_header = 100'000'000;  // the limit of the format's reference implementation

/// Characters of the header that tell how far the parser has come.
struct HeaderIterator {
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;
  const char* at;
  const char** reached;
  reference operator*() const { return *at; }
  HeaderIterator& operator++() {
    *reached = ++at;
    return *this;
  }
  bool operator==(const HeaderIterator& other) const { return at == other.at; }
};

/// Takes the parser's events and builds the header; everything that the format does not allow is an Error.
class HeaderBuilder {
 public:
  HeaderBuilder(SafetensorsHeader& header, std::string_view file, std::int64_t data_start, const std::string& file_name)
      : header_(header), file_(file), data_start_(data_start), file_name_(file_name) {}

  const char* reached = nullptr;

  bool start_object(std::size_t) {
    if (level_ == Level::outside)
      level_ = Level::top;
    else if (level_ == Level::top)
      start_entry();
    else
      refuse("an object");
    return true;
  }

  bool key(std::string& name) {
    if (level_ == Level::tensor) {
      const auto found = std::ranges::find(fields_, name, &Field::name);
      if (found == fields_.end()) throw error("tensor \"{}\" has the unknown key \"{}\"", name_, name);
      if (std::exchange(found->given, true)) throw error("tensor \"{}\" has the key \"{}\" twice", name_, name);
      field_ = &*found;
    } else if (level_ == Level::metadata) {
      metadata_key_ = name;
      if (header_.metadata.contains(name)) throw error("the metadata have the key \"{}\" twice", name);
    } else {
      name_ = name;
    }
    return true;
  }

  bool string(std::string& value) {
    if (level_ == Level::metadata) {
      header_.metadata.emplace(metadata_key_, value);
    } else if (level_ == Level::tensor && field_ == &dtype_field()) {
      const SafetensorsType* type = find_safetensors_type(&SafetensorsType::name, std::string_view(value));
      if (!type)
        throw error("tensor \"{}\" has type \"{}\"; heed reads F64, F32, F16, BF16, I64, I32, I8, U8, BOOL", name_,
                    value);
      entry_.dtype = type->dtype;
    } else {
      refuse("a string");
    }
    return true;
  }

  bool start_array(std::size_t) {
    if (level_ != Level::tensor || in_array_ || field_ == &dtype_field()) refuse("an array");
    return in_array_ = true;
  }

  bool number_unsigned(std::uint64_t value) {
    if (!in_array_) refuse("a number");
    std::vector<std::int64_t>& numbers = field_ == &shape_field() ? extents_ : offsets_;
    if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) || numbers.size() == 64)
      throw error("tensor \"{}\" has a number in \"{}\" that is too great, or too many of them", name_, field_->name);
    numbers.push_back(static_cast<std::int64_t>(value));
    return true;
  }

  bool end_array() {
    in_array_ = false;
    return true;
  }

  bool end_object() {
    if (level_ == Level::tensor) end_entry();
    level_ = level_ == Level::top ? Level::outside : Level::top;
    return true;
  }

  bool null() { return refuse("null"); }
  bool boolean(bool) { return refuse("a boolean"); }
  bool number_integer(std::int64_t) { return refuse("a negative number"); }
  bool number_float(double, const std::string&) { return refuse("a number with a fraction"); }
  bool binary(std::vector<std::uint8_t>&) { return refuse("binary data"); }
  bool parse_error(std::size_t, const std::string&, const nlohmann::json::exception& parser_error) {
    throw error("not JSON: {}", json_reason(parser_error.what()));
  }

 private:
  enum class Level { outside, top, tensor, metadata };
  struct Field {
    std::string_view name;
    bool given = false;
  };

  template <class... Arguments>
  Error error(std::string_view pattern, const Arguments&... arguments) const {
    return Error("{}: safetensors header, byte {} of the file: {}", file_name_,
                 reached ? reached - file_.data() : length_bytes, format(pattern, arguments...));
  }

  bool refuse(std::string_view what) const {
    throw error("{} where the format has none{}", what, name_.empty() ? "" : " (at or after \"" + name_ + "\")");
  }

  Field& dtype_field() { return fields_[0]; }
  Field& shape_field() { return fields_[1]; }

  void start_entry() {
    level_ = name_ == "__metadata__" ? Level::metadata : Level::tensor;
    if (level_ == Level::metadata) {
      if (std::exchange(has_metadata_, true)) throw error("\"__metadata__\" is there twice");
      return;
    }
    entry_ = SafetensorsEntry{name_, {}, {}, 0, 0};
    extents_.clear();
    offsets_.clear();
    for (Field& field : fields_) field.given = false;
  }

  void end_entry() {
    for (const Field& field : fields_)
      if (!field.given) throw error("tensor \"{}\" lacks the key \"{}\"", name_, field.name);
    if (extents_.size() > Shape::max_rank)
      throw error("tensor \"{}\" has {} dimensions; heed's tensors have at most {}", name_, extents_.size(),
                  Shape::max_rank);
    if (offsets_.size() != 2 || offsets_[0] > offsets_[1])
      throw error("tensor \"{}\" needs two data_offsets, the first not above the second", name_);
    std::int64_t bytes = size_of(entry_.dtype);
    for (const std::int64_t extent : extents_) {
      if (__builtin_mul_overflow(bytes, extent, &bytes)) throw error("tensor \"{}\" has too many elements", name_);
      entry_.shape.append(extent);
    }
    if (bytes != offsets_[1] - offsets_[0])
      throw error("tensor \"{}\" is {} {} of {} bytes, but its data_offsets [{}, {}] hold {}", name_,
                  name_of(entry_.dtype), entry_.shape, bytes, offsets_[0], offsets_[1], offsets_[1] - offsets_[0]);
    const auto data_bytes = static_cast<std::int64_t>(file_.size()) - data_start_;
    if (offsets_[1] > data_bytes)
      throw error(
          "tensor \"{}\" ends {} bytes into the data, but the file has {} bytes of data: it was cut; copy it again",
          name_, offsets_[1], data_bytes);
    entry_.begin = data_start_ + offsets_[0];
    entry_.end = data_start_ + offsets_[1];
    if (!header_.index.emplace(name_, header_.entries.size()).second)
      throw error("tensor \"{}\" is there twice", name_);
    header_.entries.push_back(std::move(entry_));
  }

  SafetensorsHeader& header_;
  std::string_view file_;
  std::int64_t data_start_;
  const std::string& file_name_;
  Level level_ = Level::outside;
  bool in_array_ = false;
  bool has_metadata_ = false;
  std::string name_;
  std::string metadata_key_;
  std::array<Field, 3> fields_{{{"dtype"}, {"shape"}, {"data_offsets"}}};
  Field* field_ = nullptr;
  SafetensorsEntry entry_;
  std::vector<std::int64_t> extents_;
  std::vector<std::int64_t> offsets_;
};

/// The data must follow each other and end with the file.
void check_coverage(const SafetensorsHeader& header, std::int64_t data_start, std::int64_t file_bytes,
                    const std::string& file_name) {
  std::vector<const SafetensorsEntry*> by_place;
  for (const SafetensorsEntry& entry : header.entries) by_place.push_back(&entry);
  std::ranges::sort(by_place, {}, [](const SafetensorsEntry* entry) { return std::pair(entry->begin, entry->end); });
  std::int64_t covered = data_start;
  for (const SafetensorsEntry* entry : by_place) {
    if (entry->begin != covered)
      throw Error("{}: tensor \"{}\" starts at byte {} of the file, but the one before it ends at byte {}: {}",
                  file_name, entry->name, entry->begin, covered,
                  entry->begin < covered ? "they overlap" : "there is a hole");
    covered = entry->end;
  }
  if (covered != file_bytes)
    throw Error("{}: the tensors end at byte {}, but the file has {} bytes", file_name, covered, file_bytes);
}

}  // namespace

SafetensorsHeader parse_safetensors_header(std::string_view file, const std::string& file_name) {
  const auto file_bytes = static_cast<std::int64_t>(file.size());
  if (file_bytes < length_bytes + 2)
    throw Error("{}: a file of {} bytes is too short for safetensors", file_name, file_bytes);
  std::uint64_t length = 0;
  std::memcpy(&length, file.data(), length_bytes);
  if (length > static_cast<std::uint64_t>(longest_header))
    throw Error(
        "{}: byte 0 says that the safetensors header has {} bytes, at most {} are allowed; is it another format?",
        file_name, length, longest_header);
  const std::int64_t data_start = length_bytes + static_cast<std::int64_t>(length);
  if (data_start > file_bytes)
    throw Error(
        "{}: byte 0 says that the safetensors header ends at byte {}, but the file has {} bytes: it was cut, or is "
        "another format",
        file_name, data_start, file_bytes);
  const std::string_view json = file.substr(length_bytes, static_cast<std::size_t>(length));
  if (!json.starts_with('{'))
    throw Error("{}: byte 8 does not start a safetensors header, which is a JSON object; is it another format?",
                file_name);

  SafetensorsHeader header;
  HeaderBuilder builder(header, file, data_start, file_name);
  nlohmann::json::sax_parse(HeaderIterator{json.data(), &builder.reached},
                            HeaderIterator{json.data() + json.size(), &builder.reached}, &builder);
  check_coverage(header, data_start, file_bytes, file_name);
  return header;
}

}  // namespace heed
