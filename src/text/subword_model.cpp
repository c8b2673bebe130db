#include "text/subword_model.h"

#include <heed/error.h>

#include <cstdint>
#include <optional>

namespace heed {

namespace {

// The wire format of protocol buffers, as far as a model needs it: a field is a key, number · 8 + type, and what the
// type says (protobuf.dev/programming-guides/encoding).
enum : std::uint64_t { varint = 0, eight_bytes = 1, delimited = 2, four_bytes = 5 };

struct Field {
  std::uint64_t number;
  std::string_view contents;  ///< of a delimited one
};

class Message {
 public:
  explicit Message(std::string_view bytes) : bytes_(bytes) {}
  /// Nothing at the end.
  std::optional<Field> next() {
    if (at_ == bytes_.size()) return std::nullopt;
    const std::size_t begin = at_;
    const std::uint64_t key = number();
    Field field{key / 8, {}};
    switch (key % 8) {
      case varint:
        number();
        return field;
      case eight_bytes:
        take(8);
        return field;
      case delimited:
        field.contents = take(number());
        return field;
      case four_bytes:
        take(4);
        return field;
      default:
        throw Error("vocabulary: the subword model is damaged: a field of type {} at byte {} of {}", key % 8, begin,
                    bytes_.size());
    }
  }

 private:
  std::string_view take(std::uint64_t count) {
    if (count > bytes_.size() - at_)
      throw Error("vocabulary: the subword model is damaged: {} bytes announced at byte {} of {}", count, at_,
                  bytes_.size());
    const std::string_view taken = bytes_.substr(at_, static_cast<std::size_t>(count));
    at_ += taken.size();
    return taken;
  }
  std::uint64_t number() {
    std::uint64_t number = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<unsigned char>(take(1)[0]);
      number |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return number;
    }
    throw Error("vocabulary: the subword model is damaged: a number of more than 10 bytes ends at byte {}", at_);
  }

  std::string_view bytes_;
  std::size_t at_ = 0;
};

}  // namespace

void check_subword_model(std::string_view model) {
  std::int64_t pieces = 0;
  for (Message fields(model); const auto field = fields.next();) {
    if (field->number != 1) continue;
    for (Message piece(field->contents); const auto part = piece.next();)
      if (part->number == 1 && part->contents.find('\0') != std::string_view::npos)
        throw Error("vocabulary: piece {} of the subword model has a NUL byte; SentencePiece takes none", pieces);
    ++pieces;
  }
}

}  // namespace heed
