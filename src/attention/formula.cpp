#include "attention/formula.h"

#include <heed/error.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

#include "attention/terms.h"

namespace heed {

namespace detail {

namespace {

std::uint64_t combined(std::uint64_t hash, std::uint64_t value) {
  return (std::rotl(hash, 23) ^ value) * 0x9e3779b97f4a7c15u;
}

/// Fills in what follows from the operator and the children.
FormulaPointer finished(Formula node) {
  node.hash = combined(static_cast<std::uint64_t>(node.op) + 1, static_cast<std::uint64_t>(node.number));
  node.hash = combined(node.hash, std::bit_cast<std::uint64_t>(node.constant));
  node.hash = combined(node.hash, std::hash<std::string>()(node.text));
  if (node.table)
    for (int i = 0; i < node.table->rank; ++i)
      node.hash = combined(node.hash, static_cast<std::uint64_t>(node.table->extent[i]));
  for (const FormulaPointer& child : node.children) {
    node.depends |= child->depends;
    node.hash = combined(node.hash, child->hash);
  }
  return std::make_shared<const Formula>(std::move(node));
}

FormulaPointer leaf(Operator op, unsigned depends) {
  Formula node;
  node.op = op;
  node.depends = depends;
  return finished(std::move(node));
}

bool is_condition(Operator op, const FormulaPointer* children) {
  return (op >= Operator::less && op <= Operator::negation) || (op == Operator::choose && children[1]->is_condition);
}

bool is_constant(const FormulaPointer& a, double value) { return a->op == Operator::constant && a->constant == value; }

bool is_negative(const FormulaPointer& a) { return a->op == Operator::constant && a->constant < 0.0; }

/// The simpler formula of the same value, or null.
FormulaPointer simplified(Operator op, const FormulaPointer* child) {
  const FormulaPointer &a = child[0], &b = child[1];
  switch (op) {
    case Operator::negate:
    case Operator::negation:
      return a->op == op ? a->children[0] : nullptr;
    case Operator::add:
      if (is_constant(a, 0)) return b;
      if (is_constant(b, 0)) return a;
      if (is_negative(b)) return formula(Operator::subtract, {a, constant_formula(-b->constant)});
      if (b->op == Operator::negate) return formula(Operator::subtract, {a, b->children[0]});
      if (a->op == Operator::negate) return formula(Operator::subtract, {b, a->children[0]});
      return nullptr;
    case Operator::subtract:
      if (is_constant(b, 0)) return a;
      if (is_constant(a, 0)) return formula(Operator::negate, {b});
      if (is_negative(b)) return formula(Operator::add, {a, constant_formula(-b->constant)});
      if (b->op == Operator::negate) return formula(Operator::add, {a, b->children[0]});
      return nullptr;
    case Operator::multiply:
    case Operator::weigh:
      if (is_constant(a, 1)) return b;
      if (is_constant(b, 1)) return a;
      if (is_constant(a, -1)) return formula(Operator::negate, {b});
      if (is_constant(b, -1)) return formula(Operator::negate, {a});
      return nullptr;
    case Operator::divide:
      return is_constant(b, 1) ? a : nullptr;
    case Operator::both:
      if (is_constant(a, 1) || is_constant(b, 0)) return b;
      return is_constant(b, 1) || is_constant(a, 0) ? a : nullptr;
    case Operator::either:
      if (is_constant(a, 0) || is_constant(b, 1)) return b;
      return is_constant(b, 0) || is_constant(a, 1) ? a : nullptr;
    case Operator::choose:
      if (a->op == Operator::constant) return a->constant != 0.0 ? b : child[2];
      return b == child[2] ? b : nullptr;
    default:
      return nullptr;
  }
}

FormulaPointer invalid(std::string sentence) {
  Formula node;
  node.op = Operator::invalid;
  node.text = std::move(sentence);
  return finished(std::move(node));
}

FormulaPointer lookup(Operator op, const Number* index, std::size_t count, std::shared_ptr<const TableValues> table,
                      int number = 0) {
  Formula node;
  node.op = op;
  node.number = number;
  if (op == Operator::parameter) node.depends = Formula::of_parameters;
  node.table = std::move(table);
  for (std::size_t i = 0; i < count; ++i) node.children.push_back(index[i].formula());
  return finished(std::move(node));
}

constexpr std::size_t most_terms = 512;

}  // namespace

FormulaPointer formula(Operator op, std::initializer_list<FormulaPointer> children) {
  const FormulaPointer* child = children.begin();
  if (std::all_of(children.begin(), children.end(), [](const auto& c) { return c->op == Operator::constant; }))
    return constant_formula(apply(op, child[0]->constant, children.size() > 1 ? child[1]->constant : 0.0,
                                  children.size() > 2 ? child[2]->constant : 0.0),
                            is_condition(op, child));
  if (FormulaPointer simpler = simplified(op, child)) return simpler;
  Formula node;
  node.op = op;
  node.is_condition = is_condition(op, child);
  node.children = children;
  return finished(std::move(node));
}

FormulaPointer constant_formula(double value, bool is_condition) {
  Formula node;
  node.constant = value;
  node.is_condition = is_condition;
  return finished(std::move(node));
}

FormulaPointer function_formula(std::string name, std::shared_ptr<const PlainFunction> function) {
  Formula node;
  node.op = Operator::function;
  node.is_condition = true;
  node.depends = Formula::of_batch | Formula::of_head | Formula::of_query | Formula::of_key;
  node.text = std::move(name);
  node.function = std::move(function);
  return finished(std::move(node));
}

double apply(Operator op, double a, double b, double c) {
  switch (op) {
    case Operator::negate:
      return -a;
    case Operator::absolute:
      return std::abs(a);
    case Operator::exp:
      return std::exp(a);
    case Operator::log:
      return std::log(a);
    case Operator::sqrt:
      return std::sqrt(a);
    case Operator::tanh:
      return std::tanh(a);
    case Operator::floor:
      return std::floor(a);
    case Operator::add:
      return a + b;
    case Operator::subtract:
      return a - b;
    case Operator::multiply:
      return a * b;
    case Operator::divide:
      return a / b;
    case Operator::minimum:
      return a < b ? a : b;
    case Operator::maximum:
      return a > b ? a : b;
    case Operator::less:
      return a < b;
    case Operator::less_equal:
      return a <= b;
    case Operator::equal:
      return a == b;
    case Operator::not_equal:
      return a != b;
    case Operator::both:
      return a != 0.0 && b != 0.0;
    case Operator::either:
      return a != 0.0 || b != 0.0;
    case Operator::negation:
      return a == 0.0;
    case Operator::choose:
      return a != 0.0 ? b : c;
    case Operator::weigh:
      return a == 0.0 ? 0.0 : a * b;
    default:
      return 0.0;
  }
}

bool equal(const Formula* a, const Formula* b) {
  if (a == b) return true;
  if (!a || !b || a->hash != b->hash) return false;
  const auto borrowed = [](const Formula* f) { return FormulaPointer(FormulaPointer(), f); };
  const attention::Terms terms({borrowed(a), borrowed(b)});
  return terms.root(0) == terms.root(1);
}

void check_formula(const std::string& what, const Formula* formula) {
  const attention::Terms terms({FormulaPointer(FormulaPointer(), formula)});
  for (const auto& term : terms.all())
    if (term.formula->op == Operator::invalid) throw Error("{}: {}", what, term.formula->text);
  if (terms.all().size() > most_terms)
    throw Error("{} has {} terms; the most is {}: put what it computes into a table", what, terms.all().size(),
                most_terms);
}

Number score_term() { return Number(leaf(Operator::score, Formula::of_score)); }

Place place_terms() {
  return {Number(leaf(Operator::batch, Formula::of_batch)), Number(leaf(Operator::head, Formula::of_head)),
          Number(leaf(Operator::query, Formula::of_query)), Number(leaf(Operator::key, Formula::of_key))};
}

}  // namespace detail

using detail::formula;
using detail::Operator;

Number Number::constant(double value) { return Number(detail::constant_formula(value)); }
Condition::Condition(bool value) : formula_(detail::constant_formula(value, true)) {}

Number operator+(const Number& a, const Number& b) { return Number(formula(Operator::add, {a.formula_, b.formula_})); }
Number operator-(const Number& a, const Number& b) {
  return Number(formula(Operator::subtract, {a.formula_, b.formula_}));
}
Number operator*(const Number& a, const Number& b) {
  return Number(formula(Operator::multiply, {a.formula_, b.formula_}));
}
Number operator/(const Number& a, const Number& b) {
  return Number(formula(Operator::divide, {a.formula_, b.formula_}));
}
Number operator-(const Number& a) { return Number(formula(Operator::negate, {a.formula_})); }
Condition operator<(const Number& a, const Number& b) {
  return Condition(formula(Operator::less, {a.formula_, b.formula_}));
}
Condition operator<=(const Number& a, const Number& b) {
  return Condition(formula(Operator::less_equal, {a.formula_, b.formula_}));
}
Condition operator>(const Number& a, const Number& b) { return b < a; }
Condition operator>=(const Number& a, const Number& b) { return b <= a; }
Condition operator==(const Number& a, const Number& b) {
  return Condition(formula(Operator::equal, {a.formula_, b.formula_}));
}
Condition operator!=(const Number& a, const Number& b) {
  return Condition(formula(Operator::not_equal, {a.formula_, b.formula_}));
}
Condition operator&&(const Condition& a, const Condition& b) {
  return Condition(formula(Operator::both, {a.formula_, b.formula_}));
}
Condition operator||(const Condition& a, const Condition& b) {
  return Condition(formula(Operator::either, {a.formula_, b.formula_}));
}
Condition operator!(const Condition& a) { return Condition(formula(Operator::negation, {a.formula_})); }

Number exp(const Number& x) { return Number(formula(Operator::exp, {x.formula()})); }
Number log(const Number& x) { return Number(formula(Operator::log, {x.formula()})); }
Number sqrt(const Number& x) { return Number(formula(Operator::sqrt, {x.formula()})); }
Number tanh(const Number& x) { return Number(formula(Operator::tanh, {x.formula()})); }
Number abs(const Number& x) { return Number(formula(Operator::absolute, {x.formula()})); }
Number floor(const Number& x) { return Number(formula(Operator::floor, {x.formula()})); }
Number min(const Number& a, const Number& b) { return Number(formula(Operator::minimum, {a.formula(), b.formula()})); }
Number max(const Number& a, const Number& b) { return Number(formula(Operator::maximum, {a.formula(), b.formula()})); }
Number where(const Condition& condition, const Number& a, const Number& b) {
  return Number(formula(Operator::choose, {condition.formula(), a.formula(), b.formula()}));
}

Table::Table(Tensor values) : values_(std::make_shared<const detail::TableValues>(std::move(values))) {}

Number Table::at(const Number* index, std::size_t count) const noexcept {
  if (static_cast<int>(count) != values_->rank)
    return Number(detail::invalid(heed::format("a table of shape {} is looked up by {} {}; give one a dimension",
                                               values_->tensor.shape(), count, count == 1 ? "index" : "indices")));
  return Number(detail::lookup(Operator::table, index, count, values_));
}

Number Parameter::at(const Number* index, std::size_t count) const noexcept {
  if (number_ < 0)
    return Number(detail::invalid(heed::format("parameter {} has no tensor; numbers count from 0", number_)));
  return Number(detail::lookup(Operator::parameter, index, count, nullptr, number_));
}

ScoreRule::ScoreRule(std::string name, const Number& value) : name_(std::move(name)), formula_(value.formula()) {
  detail::check_formula(heed::format("score rule '{}'", name_), formula_.get());
}

std::string ScoreRule::text() const {
  if (!formula_) return "score";
  return heed::format("{}: {}", name_, detail::text_of(formula_.get()));
}

bool ScoreRule::operator==(const ScoreRule& other) const {
  return name_ == other.name_ && detail::equal(formula_.get(), other.formula_.get());
}

}  // namespace heed
