#include "attention/bands.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "attention/mask.h"
#include "attention/terms.h"

namespace heed::attention {

namespace {

using Band = Bands::Band;
using Union = std::vector<Band>;
using Kind = Mask::Node::Kind;
using detail::Formula;
using detail::Operator;

constexpr std::size_t most_between = 64;  // bands of an intermediate result

std::int64_t bounded(std::int64_t position) { return std::clamp(position, -Bands::unbounded, Bands::unbounded); }

bool is_empty(const Band& band) { return band.low >= band.high || band.first >= band.end; }

bool within(const Band& inner, const Band& outer) {
  return inner.low >= outer.low && inner.first >= outer.first && inner.high <= outer.high && inner.end <= outer.end;
}

void add(Union& bands, const Band& band) {
  if (is_empty(band)) return;
  for (const Band& other : bands)
    if (within(band, other)) return;
  std::erase_if(bands, [&](const Band& other) { return within(other, band); });
  bands.push_back(band);
}

Union intersection(const Union& a, const Union& b) {
  Union result;
  for (const Band& x : a)
    for (const Band& y : b)
      add(result,
          {std::max(x.low, y.low), std::max(x.first, y.first), std::min(x.high, y.high), std::min(x.end, y.end)});
  return result;
}

/// What is outside of one band lies before either of its lower ends or behind either of its upper ends.
Union outside(const Band& band) {
  Union result;
  if (band.low > -Bands::unbounded) add(result, {.high = band.low});
  if (band.first > -Bands::unbounded) add(result, {.end = band.first});
  if (band.high < Bands::unbounded) add(result, {.low = band.high});
  if (band.end < Bands::unbounded) add(result, {.first = band.end});
  return result;
}

Union union_of_both(const Union& a, const Union& b) {
  Union result = a;
  for (const Band& band : b) add(result, band);
  return result;
}

Union outside(const Union& bands) {
  Union result = {Band{}};
  for (const Band& band : bands) {
    result = intersection(result, outside(band));
    if (result.size() > most_between) break;
  }
  return result;
}

/// query·q + key·k + constant.
struct Linear {
  double query = 0, key = 0, constant = 0;
};

std::optional<Linear> linear_of(const Formula& formula) {
  const auto child = [&](std::size_t i) { return linear_of(*formula.children[i]); };
  switch (formula.op) {
    case Operator::constant:
      return Linear{0, 0, formula.constant};
    case Operator::query:
      return Linear{1, 0, 0};
    case Operator::key:
      return Linear{0, 1, 0};
    case Operator::negate:
    case Operator::add:
    case Operator::subtract: {
      const auto a = formula.op == Operator::negate ? Linear{} : child(0);
      const auto b = child(formula.children.size() - 1);
      const double sign = formula.op == Operator::add ? 1 : -1;
      if (!a || !b) return {};
      return Linear{a->query + sign * b->query, a->key + sign * b->key, a->constant + sign * b->constant};
    }
    default:
      return {};
  }
}

/// Where the linear form is at most 0, when that is one band.
std::optional<Union> where_not_positive(const Linear& form) {
  const auto whole = [](double x) { return bounded(static_cast<std::int64_t>(std::clamp(x, -1e9, 1e9))); };
  const double c = form.constant;
  if (std::isnan(c)) return {};
  Union result;
  if (form.query == 0 && form.key == 0) {
    if (c <= 0) add(result, {});
  } else if (form.query == -1 && form.key == 1) {
    add(result, {.high = whole(std::floor(-c) + 1)});
  } else if (form.query == 1 && form.key == -1) {
    add(result, {.low = whole(std::ceil(c))});
  } else if (form.query == 0 && form.key == 1) {
    add(result, {.end = whole(std::floor(-c) + 1)});
  } else if (form.query == 0 && form.key == -1) {
    add(result, {.first = whole(std::ceil(c))});
  } else {
    return {};
  }
  return result;
}

/// Where a ≤ b.
std::optional<Union> where_at_most(const Formula& a, const Formula& b) {
  if (a.op == Operator::absolute) {  // |x| ≤ b: x ≤ b and −x ≤ b
    const auto x = linear_of(*a.children[0]), bound = linear_of(b);
    if (!x || !bound || bound->query != 0 || bound->key != 0) return {};
    const auto below = where_not_positive({x->query, x->key, x->constant - bound->constant});
    const auto above = where_not_positive({-x->query, -x->key, -x->constant - bound->constant});
    return below && above ? std::optional(intersection(*below, *above)) : std::nullopt;
  }
  if (b.op == Operator::absolute) {  // a ≤ |x|: a ≤ x or a ≤ −x
    const auto x = linear_of(*b.children[0]), bound = linear_of(a);
    if (!x || !bound || bound->query != 0 || bound->key != 0) return {};
    const auto above = where_not_positive({-x->query, -x->key, bound->constant - x->constant});
    const auto below = where_not_positive({x->query, x->key, bound->constant + x->constant});
    return below && above ? std::optional(union_of_both(*below, *above)) : std::nullopt;
  }
  const auto x = linear_of(a), y = linear_of(b);
  if (!x || !y) return {};
  return where_not_positive({x->query - y->query, x->key - y->key, x->constant - y->constant});
}

/// A traced rule as bands, when it compares query, key and their difference with constants.
std::optional<Union> union_of(const Formula& formula) {
  const auto child = [&](std::size_t i) -> const Formula& { return *formula.children[i]; };
  const auto both = [](const std::optional<Union>& a, const std::optional<Union>& b) -> std::optional<Union> {
    return a && b ? std::optional(intersection(*a, *b)) : std::nullopt;
  };
  std::optional<Union> result;
  switch (formula.op) {
    case Operator::constant:
      result.emplace();
      if (formula.constant != 0.0) add(*result, {});
      break;
    case Operator::less_equal:
      result = where_at_most(child(0), child(1));
      break;
    case Operator::less:  // not b ≤ a
      if ((result = where_at_most(child(1), child(0)))) result = outside(*result);
      break;
    case Operator::equal:
    case Operator::not_equal:
      if (child(0).op == Operator::absolute || child(1).op == Operator::absolute) return {};
      result = both(where_at_most(child(0), child(1)), where_at_most(child(1), child(0)));
      if (result && formula.op == Operator::not_equal) result = outside(*result);
      break;
    case Operator::both:
      result = both(union_of(child(0)), union_of(child(1)));
      break;
    case Operator::either: {
      const auto a = union_of(child(0)), b = union_of(child(1));
      if (a && b) result = union_of_both(*a, *b);
      break;
    }
    case Operator::negation:
      if ((result = union_of(child(0)))) result = outside(*result);
      break;
    default:
      break;
  }
  return result && result->size() <= most_between ? result : std::nullopt;
}

std::optional<Union> union_of(const Mask::Node* node);

std::optional<Union> combined(const Mask::Node* node) {
  const std::optional<Union> left = union_of(node->left.get());
  if (!left) return {};
  if (node->kind == Kind::negation) {
    Union result = outside(*left);
    if (result.size() > most_between) return {};
    return result;
  }
  std::optional<Union> right = union_of(node->right.get());
  if (!right) return {};
  Union result;
  if (node->kind == Kind::both) {
    result = intersection(*left, *right);
  } else {
    result = union_of_both(*left, *right);
  }
  if (result.size() > most_between) return {};
  return result;
}

std::optional<Union> union_of(const Mask::Node* node) {
  Union result;
  if (!node) {
    add(result, {});
    return result;
  }
  const std::int64_t value = bounded(node->value);
  switch (node->kind) {
    case Kind::causal:
      add(result, {.high = bounded(value + 1)});
      return result;
    case Kind::window:
      add(result, {.low = bounded(1 - value), .high = value});
      return result;
    case Kind::first_keys:
      add(result, {.end = value});
      return result;
    case Kind::both:
    case Kind::either:
    case Kind::negation:
      return combined(node);
    case Kind::rule:
      return union_of(*node->formula);
    default:
      return {};
  }
}

}  // namespace

std::optional<Bands> bands_of(const Mask& mask) {
  const std::optional<Union> bands = union_of(mask.node());
  if (!bands || bands->size() > Bands::most) return {};
  Bands result;
  for (const Band& band : *bands) result.band[result.count++] = band;
  return result;
}

}  // namespace heed::attention
