#include <heed/error.h>

#include <charconv>
#include <cmath>
#include <system_error>

#include "attention/formula.h"

namespace heed::detail {

namespace {

/// How tightly what an operator prints holds together.
enum Tightness { loosest, of_or, of_and, of_equality, of_comparison, of_sum, of_product, of_sign, tightest };

constexpr std::size_t longest = 4000;  // shared terms are printed each time: a formula's text may be far longer than it

struct Notation {
  const char* symbol;
  Tightness tightness;
};

Notation notation(Operator op) {
  switch (op) {
    case Operator::add:
      return {" + ", of_sum};
    case Operator::subtract:
      return {" - ", of_sum};
    case Operator::multiply:
    case Operator::weigh:
      return {" * ", of_product};
    case Operator::divide:
      return {" / ", of_product};
    case Operator::less:
      return {" < ", of_comparison};
    case Operator::less_equal:
      return {" <= ", of_comparison};
    case Operator::equal:
      return {" == ", of_equality};
    case Operator::not_equal:
      return {" != ", of_equality};
    case Operator::both:
      return {" && ", of_and};
    case Operator::either:
      return {" || ", of_or};
    case Operator::negate:
      return {"-", of_sign};
    case Operator::negation:
      return {"!", of_sign};
    case Operator::batch:
      return {"batch", tightest};
    case Operator::head:
      return {"head", tightest};
    case Operator::query:
      return {"query", tightest};
    case Operator::key:
      return {"key", tightest};
    case Operator::score:
      return {"score", tightest};
    case Operator::absolute:
      return {"abs", tightest};
    case Operator::exp:
      return {"exp", tightest};
    case Operator::log:
      return {"log", tightest};
    case Operator::sqrt:
      return {"sqrt", tightest};
    case Operator::tanh:
      return {"tanh", tightest};
    case Operator::floor:
      return {"floor", tightest};
    case Operator::minimum:
      return {"min", tightest};
    case Operator::maximum:
      return {"max", tightest};
    case Operator::choose:
      return {"where", tightest};
    default:
      return {"", tightest};
  }
}

/// The fewest digits that give the number back, as float32 where it is one.
std::string number_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  char text[64];
  const auto single = static_cast<float>(value);
  const std::to_chars_result end = static_cast<double>(single) == value
                                       ? std::to_chars(text, text + sizeof text, single)
                                       : std::to_chars(text, text + sizeof text, value);
  return std::string(text, end.ptr);
}

void write(const Formula* formula, int at_least, std::string& to) {
  if (to.size() > longest) return;
  if (formula->op == Operator::constant) {
    to += !formula->is_condition ? number_text(formula->constant) : formula->constant != 0.0 ? "true" : "false";
    return;
  }
  if (formula->op == Operator::function || formula->op == Operator::invalid) {
    to += formula->text;
    return;
  }
  const auto& children = formula->children;
  const auto [symbol, tightness] = notation(formula->op);
  if (tightness == tightest) {
    to += formula->op == Operator::table       ? "table" + formula->table->tensor.shape().text()
          : formula->op == Operator::parameter ? heed::format("parameter{}", formula->number)
                                               : std::string(symbol);
    if (children.empty()) return;
    for (std::size_t i = 0; i < children.size(); ++i) {
      to += i == 0 ? "(" : ", ";
      write(children[i].get(), loosest, to);
    }
    to += ")";
    return;
  }
  if (tightness < at_least) to += "(";
  if (children.size() == 1) {
    to += symbol;
    write(children[0].get(), tightness + 1, to);
  } else {
    const bool chains = tightness != of_comparison && tightness != of_equality;
    write(children[0].get(), chains ? tightness : tightness + 1, to);
    to += symbol;
    write(children[1].get(), tightness + 1, to);
  }
  if (tightness < at_least) to += ")";
}

}  // namespace

std::string text_of(const Formula* formula) {
  std::string text;
  write(formula, loosest, text);
  if (text.size() > longest) text = text.substr(0, longest) + "…";
  return text;
}

}  // namespace heed::detail
