#pragma once
#include <heed/tensor.h>

#include <concepts>
#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

/// Rules of one's own for scores and masks, written as generic lambdas. The lambda is called once, with terms that
/// stand for the score and the positions, and leaves a formula behind: the library evaluates it with the machine's
/// vectors whatever flags the caller was compiled with, differentiates it, prints it, and asks it which blocks are
/// empty.
///
///   ScoreRule rule = score("distance", [](auto s, const auto& at) noexcept { return s - 0.5f * abs(at.query - at.key);
///   }); Mask near = mask("near", [](const auto& at) noexcept { return abs(at.query - at.key) < 100 || at.key < 4; });
namespace heed {

namespace detail {
struct TableValues;
struct Formula;  ///< a node: an operator over others, a constant, a position, the score, or an element of a tensor
using FormulaPointer = std::shared_ptr<const Formula>;
}  // namespace detail

class Condition;

/// A number that is not known yet. Computed in float32 (in the reference in double): positions are exact below 2^24.
/// What a rule does that cannot be (a table of two dimensions looked up by one index) is told when the rule is made,
/// not inside the lambda, which must not throw.
class Number {
 public:
  template <class T>
  requires std::integral<T> || std::floating_point<T> Number(T value) : Number(constant(static_cast<double>(value))) {}
  explicit Number(detail::FormulaPointer formula) : formula_(std::move(formula)) {}
  const detail::FormulaPointer& formula() const { return formula_; }
  Number& operator+=(const Number& b) { return *this = *this + b; }
  Number& operator-=(const Number& b) { return *this = *this - b; }
  Number& operator*=(const Number& b) { return *this = *this * b; }
  Number& operator/=(const Number& b) { return *this = *this / b; }
  friend Number operator+(const Number& a, const Number& b);
  friend Number operator-(const Number& a, const Number& b);
  friend Number operator*(const Number& a, const Number& b);
  friend Number operator/(const Number& a, const Number& b);
  friend Number operator-(const Number& a);
  friend Condition operator<(const Number& a, const Number& b);
  friend Condition operator<=(const Number& a, const Number& b);
  friend Condition operator>(const Number& a, const Number& b);
  friend Condition operator>=(const Number& a, const Number& b);
  friend Condition operator==(const Number& a, const Number& b);
  friend Condition operator!=(const Number& a, const Number& b);

 private:
  static Number constant(double value);
  detail::FormulaPointer formula_;
};

/// Whether something holds, not known yet. && and || evaluate both sides.
class Condition {
 public:
  Condition(bool value);
  explicit Condition(detail::FormulaPointer formula) : formula_(std::move(formula)) {}
  const detail::FormulaPointer& formula() const { return formula_; }
  friend Condition operator&&(const Condition& a, const Condition& b);
  friend Condition operator||(const Condition& a, const Condition& b);
  friend Condition operator!(const Condition& a);

 private:
  detail::FormulaPointer formula_;
};

Number exp(const Number& x);
Number log(const Number& x);
Number sqrt(const Number& x);
Number tanh(const Number& x);
Number abs(const Number& x);
Number floor(const Number& x);
Number min(const Number& a, const Number& b);
Number max(const Number& a, const Number& b);
/// condition ? a : b; neither is evaluated alone.
Number where(const Condition& condition, const Number& a, const Number& b);

/// Where a score stands: whole numbers from 0. Positions are absolute, as in a mask.
struct Place {
  Number batch, head, query, key;
};

/// A tensor of constants (float32, int32, uint8 or boolean, 1 to 4 dimensions) that a rule looks elements up in, by an
/// index a dimension. An index is rounded down and held to the extent. The elements are shared, not copied: they stay
/// as they are while rules of the table are in use.
class Table {
 public:
  explicit Table(Tensor values);
  template <class... Index>
  requires(sizeof...(Index) >= 1 && sizeof...(Index) <= 4) Number operator()(const Index&... index) const {
    const Number all[] = {Number(index)...};
    return at(all, sizeof...(Index));
  }

 private:
  Number at(const Number* index, std::size_t count) const noexcept;
  std::shared_ptr<const detail::TableValues> values_;
};

/// What a rule learns: tensor `number` of AttentionProblem::parameters (float32), looked up as in a Table; its gradient
/// goes to the same number of AttentionGradients::parameters.
class Parameter {
 public:
  explicit Parameter(int number) : number_(number) {}
  template <class... Index>
  requires(sizeof...(Index) >= 1 && sizeof...(Index) <= 4) Number operator()(const Index&... index) const {
    const Number all[] = {Number(index)...};
    return at(all, sizeof...(Index));
  }

 private:
  Number at(const Number* index, std::size_t count) const noexcept;
  int number_;
};

/// What becomes of a score. Empty: it stays.
class ScoreRule {
 public:
  ScoreRule() = default;
  ScoreRule(std::string name, const Number& value);
  explicit operator bool() const { return formula_ != nullptr; }
  const detail::FormulaPointer& formula() const { return formula_; }
  const std::string& name() const { return name_; }
  std::string text() const;  ///< "distance: score - 0.5 * abs(query - key)"
  /// The same name and the same formula.
  bool operator==(const ScoreRule& other) const;

 private:
  std::string name_;
  detail::FormulaPointer formula_;
};

namespace detail {
Number score_term();
Place place_terms();
}  // namespace detail

/// A rule of the score and its place: generic, it does not throw (and says so: noexcept), and gives a Number.
template <class Function>
concept ScoreFunction = std::is_invocable_v<const Function&, Number, const Place&> &&
    std::is_nothrow_invocable_v<const Function&, Number, const Place&> &&
    std::is_convertible_v<std::invoke_result_t<const Function&, Number, const Place&>, Number>;

template <class Function>
ScoreRule score(std::string name, const Function& function) {
  static_assert(std::is_invocable_v<const Function&, Number, const Place&>,
                "a score rule is a function of (auto score, const auto& at)");
  static_assert(std::is_nothrow_invocable_v<const Function&, Number, const Place&>,
                "a score rule must not throw: declare the lambda noexcept");
  static_assert(ScoreFunction<Function>, "a score rule gives a number");
  return ScoreRule(std::move(name), function(detail::score_term(), detail::place_terms()));
}

}  // namespace heed
