#include <heed/error.h>

#include <limits>
#include <unordered_map>
#include <utility>

#include "attention/mask.h"

// Every primitive is a formula too, so that there is one way to evaluate, bound and compile them all.
namespace heed {

namespace {

using Node = Mask::Node;
using Kind = Mask::Node::Kind;

Mask primitive(Node node, const Condition& condition) {
  node.formula = condition.formula();
  node.terms = std::make_shared<const attention::Terms>(std::vector{node.formula});
  return Mask(std::make_shared<const Node>(std::move(node)));
}

Mask primitive(Kind kind, std::int64_t value, const Condition& condition) {
  Node node{};
  node.kind = kind;
  node.value = value;
  return primitive(std::move(node), condition);
}

/// A table of booleans over [queries, keys], with heads, or batch and heads, before, as one of four dimensions.
Tensor in_four_dimensions(const char* what, const Tensor& table) {
  const Shape& shape = table.shape();
  const int rank = shape.rank();
  if (rank < 2 || rank > 4)
    throw Error("{}: the tensor is {}, of {} dimensions; expected [queries, keys] to [batch, heads, queries, keys]",
                what, shape, rank);
  if (table.dtype() != DType::boolean && table.dtype() != DType::uint8)
    throw Error("{}: the tensor is {}; expected boolean or uint8", what, name_of(table.dtype()));
  if (table.elements() == 0) throw Error("{}: the tensor is {}, without elements", what, shape);
  return table.reshaped({rank > 3 ? shape[0] : 1, rank > 2 ? shape[-3] : 1, shape[-2], shape[-1]});
}

/// What the table of four dimensions says, false beyond its extents; an extent of 1 is for all.
Condition looked_up(const Tensor& values, const Number& batch, const Number& head, const Number& query,
                    const Number& key) {
  const Shape& shape = values.shape();
  const Table table(values);
  const auto index = [&](int dimension, const Number& at) { return shape[dimension] == 1 ? Number(0) : at; };
  const auto inside = [&](int dimension, const Number& at) {
    return shape[dimension] == 1 ? Condition(true) : at >= 0 && at < shape[dimension];
  };
  return table(index(0, batch), index(1, head), index(2, query), index(3, key)) != 0 &&
         (inside(0, batch) && inside(1, head)) && inside(2, query) && inside(3, key);
}

}  // namespace

Mask causal(std::int64_t offset) {
  const Place at = detail::place_terms();
  return primitive(Kind::causal, offset, at.key <= at.query + offset);
}

Mask window(std::int64_t width) {
  if (width < 1) throw Error("window: the width is {}; expected 1 or more", width);
  const Place at = detail::place_terms();
  return primitive(Kind::window, width, abs(at.query - at.key) < width);
}

Mask first_keys(std::int64_t count) {
  if (count < 0) throw Error("first_keys: the count is {}; expected 0 or more", count);
  const Place at = detail::place_terms();
  return primitive(Kind::first_keys, count, at.key < count);
}

Mask dilated(std::int64_t stride) {
  if (stride < 1) throw Error("dilated: the stride is {}; expected 1 or more", stride);
  const Place at = detail::place_terms();
  const auto remainder = [&](const Number& x) { return x - stride * floor(x / stride); };
  return primitive(Kind::dilated, stride, remainder(at.query) == remainder(at.key));
}

Mask documents(const std::vector<std::int32_t>& ids) {
  const auto count = static_cast<std::int64_t>(ids.size());
  if (ids.empty()) throw Error("documents: there are no ids; expected one a position");
  // Numbered in the order of appearance: numbers in place of ids are exact in float32, and neighbours are near.
  Tensor numbers({count}, DType::int32);
  std::unordered_map<std::int32_t, std::int32_t> number_of;
  for (std::size_t i = 0; i < ids.size(); ++i)
    numbers.as<std::int32_t>()[i] =
        number_of.emplace(ids[i], static_cast<std::int32_t>(number_of.size())).first->second;
  const Table table(numbers);
  const Place at = detail::place_terms();
  // Outside, queries are of a document before all and keys of one behind all: ranges of whole blocks stay apart, too.
  const Number of_query = where(at.query < count && at.query >= 0, table(at.query), -1);
  const Number of_key = where(at.key < count, table(at.key), number_of.size());
  return primitive(Kind::documents, count, of_query == of_key);
}

Mask key_lengths(const std::vector<std::int64_t>& lengths) {
  const auto count = static_cast<std::int64_t>(lengths.size());
  if (lengths.empty()) throw Error("key_lengths: there are no lengths; expected one a sequence");
  Tensor table({count}, DType::int32);
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    if (lengths[i] < 0 || lengths[i] > std::numeric_limits<std::int32_t>::max())
      throw Error("key_lengths: length {} is {}; expected 0 to 2147483647", i, lengths[i]);
    table.as<std::int32_t>()[i] = static_cast<std::int32_t>(lengths[i]);
  }
  const Place at = detail::place_terms();
  const Number length = Table(table)(at.batch);
  return primitive(Kind::key_lengths, count, at.key < (count == 1 ? length : where(at.batch < count, length, 0)));
}

Mask allowed(Tensor table) {
  const Place at = detail::place_terms();
  const Condition condition = looked_up(in_four_dimensions("allowed", table), at.batch, at.head, at.query, at.key);
  Node node{};
  node.kind = Kind::allowed;
  node.table = std::move(table);
  return primitive(std::move(node), condition);
}

Mask blocks(Tensor pattern, std::int64_t size) {
  if (size < 1) throw Error("blocks: the size is {}; expected 1 or more", size);
  const Tensor values = in_four_dimensions("blocks", pattern);
  const Place at = detail::place_terms();
  const Condition condition = looked_up(values, at.batch, at.head, floor(at.query / size), floor(at.key / size));
  Node node{};
  node.kind = Kind::blocks;
  node.value = size;
  node.table = std::move(pattern);
  return primitive(std::move(node), condition);
}

Mask detail::rule_mask(std::string name, const Condition& condition) {
  const std::string what = heed::format("mask rule '{}'", name);
  check_formula(what, condition.formula().get());
  if (condition.formula()->depends & (Formula::of_parameters | Formula::of_score))
    throw Error("{} reads a {}; a mask depends on positions and tables alone", what,
                condition.formula()->depends & Formula::of_score ? "score" : "parameter");
  Node node{};
  node.kind = Kind::rule;
  node.name = std::move(name);
  return primitive(std::move(node), condition);
}

Mask detail::function_mask(std::string name, std::function<bool(int, int, std::int64_t, std::int64_t)> rule) {
  if (!rule) throw Error("mask: the rule '{}' is empty; give a function of batch, head, query and key", name);
  Node node{};
  node.kind = Kind::function;
  node.name = name;
  node.function = std::make_shared<const PlainFunction>(std::move(rule));
  return primitive(node, Condition(function_formula(std::move(name), node.function)));
}

}  // namespace heed
