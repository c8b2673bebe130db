#pragma once
#include <heed/rule.h>

#include <functional>
#include <initializer_list>
#include <vector>

namespace heed::detail {

enum class Operator : unsigned char {
  constant,
  batch,
  head,
  query,
  key,
  score,
  table,      ///< an element of a Table; the children are its indices
  parameter,  ///< an element of a Parameter
  function,   ///< a plain function of the place
  invalid,    ///< what a lambda did that cannot be; `text` says what
  negate,
  absolute,
  exp,
  log,
  sqrt,
  tanh,
  floor,
  add,
  subtract,
  multiply,
  divide,
  minimum,  ///< a < b ? a : b
  maximum,
  less,
  less_equal,
  equal,
  not_equal,
  both,
  either,
  negation,
  choose,
  weigh,  ///< a · b, and 0 where a is 0 whatever b is: of derivatives alone
};

using PlainFunction = std::function<bool(int, int, std::int64_t, std::int64_t)>;

/// The elements of a Table, and what is known of them.
struct TableValues {
  Tensor tensor;
  int rank = 0;
  std::int64_t extent[4] = {1, 1, 1, 1}, stride[4] = {0, 0, 0, 0};

  explicit TableValues(Tensor values);
  double at(std::int64_t element) const;
  /// Least and largest element of the box [first, last] of indices; from −infinity to infinity when there are NaNs or
  /// too many to look at.
  std::pair<double, double> range(const std::int64_t* first, const std::int64_t* last) const;
  /// Of the same elements.
  bool operator==(const TableValues& other) const;

 private:
  struct Range {
    double low, high;
  };
  std::vector<Range> blocks_;  ///< of each 64 elements, for tables of one dimension
};

/// A node of a formula. Children are shared: formulas are graphs without cycles.
struct Formula {
  enum Dependence : unsigned { of_batch = 1, of_head = 2, of_query = 4, of_key = 8, of_score = 16, of_parameters = 32 };
  Operator op = Operator::constant;
  bool is_condition = false;
  unsigned depends = 0;
  int number = 0;       ///< of a parameter
  double constant = 0;  ///< conditions: 0 or 1
  std::uint64_t hash = 0;
  std::vector<FormulaPointer> children;
  std::shared_ptr<const TableValues> table;
  std::shared_ptr<const PlainFunction> function;
  std::string text;  ///< a function's name; of `invalid`, the sentence
};

/// A node with what follows from its operator and children; constants and identities are folded.
FormulaPointer formula(Operator op, std::initializer_list<FormulaPointer> children);
FormulaPointer constant_formula(double value, bool is_condition = false);
FormulaPointer function_formula(std::string name, std::shared_ptr<const PlainFunction> function);
/// An operator's result of one, two or three numbers.
double apply(Operator op, double a, double b, double c);
/// The index that a lookup makes of `x`: rounded down, held to [0, extent), 0 for NaN.
inline std::int64_t lookup_index(double x, std::int64_t extent) {
  if (!(x >= 1.0)) return 0;
  return x >= static_cast<double>(extent) ? extent - 1 : static_cast<std::int64_t>(x);
}

bool equal(const Formula* a, const Formula* b);
std::string text_of(const Formula* formula);
/// Throws Error with the sentence of an `invalid` term, if there is one, and when a rule has more terms than a program
/// may have. `what`: "score rule 'mine'".
void check_formula(const std::string& what, const Formula* formula);

}  // namespace heed::detail
