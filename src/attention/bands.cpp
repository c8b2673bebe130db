#include "attention/bands.h"

#include <algorithm>
#include <vector>

#include "attention/mask.h"

namespace heed::attention {

namespace {

using Band = Bands::Band;
using Union = std::vector<Band>;
using Kind = Mask::Node::Kind;

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

std::optional<Union> union_of(const Mask::Node* node);

std::optional<Union> combined(const Mask::Node* node) {
  const std::optional<Union> left = union_of(node->left.get());
  if (!left) return {};
  if (node->kind == Kind::negation) {
    Union result = {Band{}};
    for (const Band& band : *left) {
      result = intersection(result, outside(band));
      if (result.size() > most_between) return {};
    }
    return result;
  }
  std::optional<Union> right = union_of(node->right.get());
  if (!right) return {};
  Union result;
  if (node->kind == Kind::both) {
    result = intersection(*left, *right);
  } else {
    result = *left;
    for (const Band& band : *right) add(result, band);
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
