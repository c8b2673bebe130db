#include <algorithm>
#include <cmath>
#include <limits>

#include "attention/terms.h"

// What a condition is over a block of queries and keys, by intervals (Moore 1966, "Interval Analysis"). A value that is
// a whole-numbered combination of query and key keeps its coefficients as long as it can: query − key, or key − key, is
// known exactly.
namespace heed::attention {

using detail::Formula;
using detail::Operator;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

struct Interval {
  double low = -infinity, high = infinity;
  bool wild = false;    ///< may be anything, NaN included
  bool linear = false;  ///< is query·q + key·k + constant, computed without rounding
  double query = 0, key = 0, constant = 0;
};

constexpr Interval anything = {-infinity, infinity, true, false, 0, 0, 0};
constexpr Interval unsure = {0, 1, false, false, 0, 0, 0};

Interval between(double low, double high) {
  if (!(low <= high)) return anything;  // a NaN among them
  return {low, high, false, false, 0, 0, 0};
}
Interval truth(bool surely, bool surely_not) { return between(surely ? 1 : 0, surely_not ? 0 : 1); }

/// Small enough that products with positions and their sums are exact.
bool is_whole(double x, double below) { return std::floor(x) == x && std::abs(x) < below; }

struct Block {
  int batch, head;
  double query_first, query_last, key_first, key_last;

  Interval linear(double query, double key, double constant) const {
    if (!is_whole(query, 0x1p20) || !is_whole(key, 0x1p20) || !is_whole(constant, 0x1p40)) return anything;
    Interval result{constant, constant, false, true, query, key, constant};
    result.low += std::min(query * query_first, query * query_last) + std::min(key * key_first, key * key_last);
    result.high += std::max(query * query_first, query * query_last) + std::max(key * key_first, key * key_last);
    return result;
  }

  Interval sum(const Interval& a, const Interval& b, double sign) const {
    if (a.linear && b.linear) {
      const Interval exact = linear(a.query + sign * b.query, a.key + sign * b.key, a.constant + sign * b.constant);
      if (exact.linear) return exact;
    }
    if (a.wild || b.wild) return anything;
    return sign > 0 ? between(a.low + b.low, a.high + b.high) : between(a.low - b.high, a.high - b.low);
  }

  Interval product(const Interval& a, const Interval& b) const {
    for (const auto& [x, y] : {std::pair(&a, &b), std::pair(&b, &a)})
      if (x->linear && y->low == y->high && !y->wild) {
        const Interval exact = linear(x->query * y->low, x->key * y->low, x->constant * y->low);
        if (exact.linear) return exact;
      }
    if (a.wild || b.wild) return anything;
    const double all[] = {a.low * b.low, a.low * b.high, a.high * b.low, a.high * b.high};
    for (const double x : all)
      if (std::isnan(x)) return anything;
    return between(*std::min_element(all, all + 4), *std::max_element(all, all + 4));
  }

  Interval compared(Operator op, const Interval& a, const Interval& b) const {
    if (a.wild || b.wild) return unsure;
    bool equal = a.low == a.high && a.low == b.low && b.low == b.high;
    bool apart = a.high < b.low || b.high < a.low;
    bool less = a.high<b.low, not_less = a.low >= b.high, less_equal = a.high <= b.low, greater = a.low> b.high;
    if (const Interval difference = sum(a, b, -1); difference.linear) {
      const double low = difference.low, high = difference.high;
      equal = low == 0 && high == 0;
      apart = low > 0 || high < 0;
      less = high < 0;
      not_less = low >= 0;
      less_equal = high <= 0;
      greater = low > 0;
    }
    switch (op) {
      case Operator::less:
        return truth(less, not_less);
      case Operator::less_equal:
        return truth(less_equal, greater);
      case Operator::equal:
        return truth(equal, apart);
      default:
        return truth(apart, equal);
    }
  }
};

Interval quotient(const Interval& a, const Interval& b) {
  if (a.wild || b.wild || (b.low <= 0 && b.high >= 0)) return anything;
  const double all[] = {a.low / b.low, a.low / b.high, a.high / b.low, a.high / b.high};
  for (const double x : all)
    if (std::isnan(x)) return anything;
  return between(*std::min_element(all, all + 4), *std::max_element(all, all + 4));
}

/// Of a function that does not fall, defined from `from` on.
template <class Function>
Interval rising(const Interval& a, Function f, double from = -infinity) {
  if (a.wild || a.low < from) return anything;
  return between(f(a.low), f(a.high));
}

Interval absolute(const Interval& a) {
  if (a.wild) return a;
  if (a.low >= 0) return a;
  return between(a.high <= 0 ? -a.high : 0.0, std::max(-a.low, a.high));
}

Interval joined(const Interval& a, const Interval& b) {
  if (a.wild || b.wild) return anything;
  return between(std::min(a.low, b.low), std::max(a.high, b.high));
}

Interval looked_up(const Terms::Term& term, const Interval* values) {
  const detail::TableValues& table = *term.formula->table;
  std::int64_t first[4] = {}, last[4] = {};
  for (int i = 0; i < table.rank; ++i) {
    const Interval& index = values[term.child[i]];
    first[i] = index.wild ? 0 : detail::lookup_index(index.low, table.extent[i]);
    last[i] = index.wild ? table.extent[i] - 1 : detail::lookup_index(index.high, table.extent[i]);
  }
  const auto [low, high] = table.range(first, last);
  return std::isinf(low) && std::isinf(high) ? anything : between(low, high);
}

}  // namespace

int Terms::cover(int batch, int head, std::int64_t query_first, std::int64_t query_last, std::int64_t key_first,
                 std::int64_t key_last) const {
  const Block block{batch,
                    head,
                    static_cast<double>(query_first),
                    static_cast<double>(query_last),
                    static_cast<double>(key_first),
                    static_cast<double>(key_last)};
  Interval few[32];
  std::vector<Interval> more(terms_.size() > std::size(few) ? terms_.size() : 0);
  Interval* const values = more.empty() ? few : more.data();
  for (std::size_t i = 0; i < terms_.size(); ++i) {
    const Term& term = terms_[i];
    const Formula& formula = *term.formula;
    const auto child = [&](int number) -> const Interval& { return values[term.child[number]]; };
    Interval& value = values[i];
    switch (formula.op) {
      case Operator::constant:
        value = block.linear(0, 0, formula.constant);
        if (!value.linear) value = between(formula.constant, formula.constant);
        break;
      case Operator::batch:
        value = block.linear(0, 0, batch);
        break;
      case Operator::head:
        value = block.linear(0, 0, head);
        break;
      case Operator::query:
        value = block.linear(1, 0, 0);
        break;
      case Operator::key:
        value = block.linear(0, 1, 0);
        break;
      case Operator::table:
        value = looked_up(term, values);
        break;
      case Operator::negate:
        value = block.product(child(0), block.linear(0, 0, -1));
        break;
      case Operator::absolute:
        value = absolute(child(0));
        break;
      case Operator::exp:
        value = rising(child(0), [](double x) { return std::exp(x); });
        break;
      case Operator::log:
        value = rising(
            child(0), [](double x) { return std::log(x); }, 0.0);
        break;
      case Operator::sqrt:
        value = rising(
            child(0), [](double x) { return std::sqrt(x); }, 0.0);
        break;
      case Operator::tanh:
        value = rising(child(0), [](double x) { return std::tanh(x); });
        break;
      case Operator::floor:
        value = child(0).linear ? child(0) : rising(child(0), [](double x) { return std::floor(x); });
        break;
      case Operator::add:
        value = block.sum(child(0), child(1), 1);
        break;
      case Operator::subtract:
        value = block.sum(child(0), child(1), -1);
        break;
      case Operator::multiply:
        value = block.product(child(0), child(1));
        break;
      case Operator::divide:
        value = quotient(child(0), child(1));
        break;
      case Operator::minimum:
      case Operator::maximum: {
        const Interval &a = child(0), &b = child(1);
        const bool least = formula.op == Operator::minimum;
        value = a.wild || b.wild ? anything
                : least          ? between(std::min(a.low, b.low), std::min(a.high, b.high))
                                 : between(std::max(a.low, b.low), std::max(a.high, b.high));
        break;
      }
      case Operator::less:
      case Operator::less_equal:
      case Operator::equal:
      case Operator::not_equal:
        value = block.compared(formula.op, child(0), child(1));
        break;
      case Operator::both:
        value = between(std::min(child(0).low, child(1).low), std::min(child(0).high, child(1).high));
        break;
      case Operator::either:
        value = between(std::max(child(0).low, child(1).low), std::max(child(0).high, child(1).high));
        break;
      case Operator::negation:
        value = between(1 - child(0).high, 1 - child(0).low);
        break;
      case Operator::choose:
        value = child(0).low == 1.0 ? child(1) : child(0).high == 0.0 ? child(2) : joined(child(1), child(2));
        break;
      case Operator::function:
        value = unsure;
        break;
      default:
        value = anything;
    }
    if (formula.is_condition && value.wild) value = unsure;
  }
  const Interval& result = values[roots_[0]];
  return result.low == 1.0 ? 1 : result.high == 0.0 ? 0 : 2;
}

}  // namespace heed::attention
