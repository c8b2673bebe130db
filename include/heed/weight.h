#pragma once
#include <heed/random.h>
#include <heed/tensor.h>

#include <functional>
#include <memory>
#include <string>
#include <type_traits>

namespace heed {

/// How a weight gets its first values.
struct Initial {
  /// orthogonal: rows of [n·width, width] in n square blocks, each a random orthogonal matrix (Saxe et al. 2014,
  /// arXiv:1312.6120) times `spread`.
  enum class Kind : unsigned char { zeros, ones, normal, uniform, orthogonal };
  Kind kind = Kind::zeros;
  float spread = 0.0f;  ///< normal: the standard deviation; uniform: values lie in ±spread
  /// Of every `period` elements those in [ones_begin, ones_end) start at 1 instead (an LSTM's forget gates); 0: none.
  std::int64_t period = 0, ones_begin = 0, ones_end = 0;
};

/// A learned tensor with an identity and a version. Copies share one record, so a tied weight is one weight, saved and
/// updated once. It is declared with a shape alone; values come from `initialise` or `set` (a mapped file costs nothing
/// until it is read).
class Weight {
 public:
  struct Record {
    Shape shape;
    Initial initial;
    Tensor value;
    std::uint64_t version = 0;
    bool frozen = false;
  };

  Weight() = default;
  explicit Weight(Shape shape, Initial initial = {})
      : record_(std::make_shared<Record>(Record{shape, initial, {}, 0, false})) {}

  explicit operator bool() const { return record_ != nullptr; }
  const Shape& shape() const { return record_->shape; }
  std::int64_t elements() const { return record_->shape.elements(); }
  /// The values. Throws Error when there are none yet.
  const Tensor& value() const;
  bool has_value() const { return record_ && record_->value; }
  std::uint64_t version() const { return record_->version; }
  bool frozen() const { return record_->frozen; }
  /// What tells one weight from another, however many layers share it.
  const Record* identity() const { return record_.get(); }

  /// First values, drawn from the key: float32 memory of the weight's own.
  void initialise(RandomKey key);
  /// Takes over values of the declared shape. Throws Error when the shape differs.
  void set(Tensor value);
  /// Values as float32 memory that may be written (a mapped or half-precision value is copied first); the version
  /// rises.
  Tensor& change();
  void freeze(bool frozen) { record_->frozen = frozen; }

 private:
  std::shared_ptr<Record> record_;
};

using WeightVisitor = std::function<void(const std::string& name, Weight& weight)>;

namespace detail {

/// Calls visitor(name, weight) for every weight below `part`: a Weight, something with `visit`, or a range of such.
template <class Part, class Visitor>
void visit_part(const std::string& name, Part& part, Visitor& visitor) {
  if constexpr (std::is_same_v<std::remove_const_t<Part>, Weight>) {
    if (part) visitor(name, part);
  } else if constexpr (requires {
                         part.begin();
                         part.end();
                       }) {
    int index = 0;
    for (auto& element : part) visit_part(name + "." + std::to_string(index++), element, visitor);
  } else if constexpr (requires {
                         part.has_value();
                         *part;
                       }) {
    if (part.has_value()) visit_part(name, *part, visitor);
  } else {
    std::remove_const_t<Part>::visit(part, [&](const std::string& inner, auto& piece) {
      visit_part(name.empty() ? inner : name + "." + inner, piece, visitor);
    });
  }
}

}  // namespace detail

/// Calls visitor(name, weight) for every weight of a module, in the order of its `visit`: names are joined with dots. A
/// tied weight is met once for each name it has.
template <class Module, class Visitor>
void visit_weights(Module& module, Visitor&& visitor) {
  detail::visit_part(std::string(), module, visitor);
}

}  // namespace heed
