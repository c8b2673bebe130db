#include "attention/mask.h"

#include <heed/error.h>

#include <algorithm>
#include <utility>

namespace heed {

namespace {

using Node = Mask::Node;
using Kind = Mask::Node::Kind;
using Cover = Mask::Cover;

bool allows_node(const Node* node, int batch, int head, std::int64_t query, std::int64_t key) {
  if (!node) return true;
  switch (node->kind) {
    case Kind::causal:
      return key <= query + node->value;
    case Kind::window:
      return query - key < node->value && key - query < node->value;
    case Kind::first_keys:
      return key < node->value;
    case Kind::dilated:
      return (query - key) % node->value == 0;
    case Kind::function:
      return (*node->function)(batch, head, query, key);
    case Kind::both:
      return allows_node(node->left.get(), batch, head, query, key) &&
             allows_node(node->right.get(), batch, head, query, key);
    case Kind::either:
      return allows_node(node->left.get(), batch, head, query, key) ||
             allows_node(node->right.get(), batch, head, query, key);
    case Kind::negation:
      return !allows_node(node->left.get(), batch, head, query, key);
    default:
      return node->terms->value({batch, head, query, key, 0.0}) != 0.0;
  }
}

/// Queries and keys from first to last.
struct Block {
  int batch, head;
  std::int64_t query_first, query_last, key_first, key_last;
};

Cover cover_if(bool all, bool none) { return none ? Cover::empty : all ? Cover::full : Cover::partial; }

Cover cover_node(const Node* node, const Block& block) {
  if (!node) return Cover::full;
  const auto& [batch, head, query_first, query_last, key_first, key_last] = block;
  switch (node->kind) {
    case Kind::causal:
      return cover_if(key_last <= query_first + node->value, key_first > query_last + node->value);
    case Kind::window: {
      const std::int64_t farthest = std::max(query_last - key_first, key_last - query_first);
      const std::int64_t nearest = std::max<std::int64_t>({query_first - key_last, key_first - query_last, 0});
      return cover_if(farthest < node->value, nearest >= node->value);
    }
    case Kind::first_keys:
      return cover_if(key_last < node->value, key_first >= node->value);
    case Kind::dilated: {
      const std::int64_t stride = node->value, low = query_first - key_last, high = query_last - key_first;
      const std::int64_t multiple = (low >= 0 ? (low + stride - 1) / stride : low / stride) * stride;  // the first
      return cover_if(stride == 1 || (low == high && multiple == low), multiple > high);
    }
    case Kind::both: {
      const Cover left = cover_node(node->left.get(), block);
      if (left == Cover::empty) return left;
      const Cover right = cover_node(node->right.get(), block);
      return cover_if(left == Cover::full && right == Cover::full, right == Cover::empty);
    }
    case Kind::either: {
      const Cover left = cover_node(node->left.get(), block);
      if (left == Cover::full) return left;
      const Cover right = cover_node(node->right.get(), block);
      return cover_if(right == Cover::full, left == Cover::empty && right == Cover::empty);
    }
    case Kind::negation: {
      const Cover inner = cover_node(node->left.get(), block);
      return cover_if(inner == Cover::empty, inner == Cover::full);
    }
    case Kind::function:
      return Cover::partial;
    default: {
      const int truth = node->terms->cover(batch, head, query_first, query_last, key_first, key_last);
      return cover_if(truth == 1, truth == 0);
    }
  }
}

/// How tightly what a node prints holds together: an argument of a tighter operator needs parentheses.
int tightness(const Node* node) {
  if (!node) return 3;
  return node->kind == Kind::either ? 0 : node->kind == Kind::both ? 1 : 3;
}

std::string text_of(const Node* node, int at_least = 0) {
  if (!node) return "everything";
  std::string text;
  switch (node->kind) {
    case Kind::causal:
      text = node->value == 0 ? "causal" : format("causal({})", node->value);
      break;
    case Kind::window:
      text = format("window({})", node->value);
      break;
    case Kind::first_keys:
      text = format("first_keys({})", node->value);
      break;
    case Kind::dilated:
      text = format("dilated({})", node->value);
      break;
    case Kind::documents:
      text = format("documents({} positions)", node->value);
      break;
    case Kind::key_lengths:
      text = format("key_lengths({} sequences)", node->value);
      break;
    case Kind::allowed:
      text = format("allowed({})", node->table.shape());
      break;
    case Kind::blocks:
      text = format("blocks({} of {})", node->table.shape(), node->value);
      break;
    case Kind::rule:
    case Kind::function:
      text = node->name;
      break;
    case Kind::both:
      text = format("{} & {}", text_of(node->left.get(), 1), text_of(node->right.get(), 2));
      break;
    case Kind::either:
      text = format("{} | {}", text_of(node->left.get(), 0), text_of(node->right.get(), 1));
      break;
    case Kind::negation:
      text = format("!{}", text_of(node->left.get(), 2));
      break;
  }
  return tightness(node) < at_least ? format("({})", text) : text;
}

bool equal(const Node* a, const Node* b) {
  if (a == b) return true;
  if (!a || !b || a->kind != b->kind || a->value != b->value || a->name != b->name) return false;
  if (a->kind == Kind::function) return true;
  if (a->formula || b->formula) return detail::equal(a->formula.get(), b->formula.get());
  return equal(a->left.get(), b->left.get()) && equal(a->right.get(), b->right.get());
}

Mask joined(Kind kind, std::shared_ptr<const Node> left, std::shared_ptr<const Node> right) {
  Node node{};
  node.kind = kind;
  node.left = std::move(left);
  node.right = std::move(right);
  return Mask(std::make_shared<const Node>(std::move(node)));
}

Condition condition_of_node(const Node* node) {
  if (!node) return true;
  if (node->formula) return Condition(node->formula);
  const Condition left = condition_of_node(node->left.get());
  if (node->kind == Kind::negation) return !left;
  const Condition right = condition_of_node(node->right.get());
  return node->kind == Kind::both ? left && right : left || right;
}

void check_node(const Node* node, std::int64_t sequences, std::int64_t heads) {
  if (!node) return;
  check_node(node->left.get(), sequences, heads);
  check_node(node->right.get(), sequences, heads);
  if (node->kind == Kind::key_lengths && node->value != 1 && node->value != sequences)
    throw Error("attention: the mask's key_lengths has {} lengths, the call has {} sequences; give one, or one each",
                node->value, sequences);
  if (!node->table) return;
  const auto expect = [&](std::string_view what, std::int64_t extent, std::int64_t wanted) {
    if (extent == 1 || extent == wanted) return;
    throw Error("attention: the mask's {} has {} {}, the call has {}; give 1{}", text_of(node), extent, what, wanted,
                wanted == 1 ? std::string() : format(" or {}", wanted));
  };
  const Shape& shape = node->table.shape();
  if (shape.rank() > 2) expect("heads", shape[-3], heads);
  if (shape.rank() > 3) expect("sequences", shape[0], sequences);
}

}  // namespace

bool Mask::allows(int batch, int head, std::int64_t query, std::int64_t key) const {
  return allows_node(node_.get(), batch, head, query, key);
}

Mask::Cover Mask::cover(int batch, int head, std::int64_t query_begin, std::int64_t query_end, std::int64_t key_begin,
                        std::int64_t key_end) const {
  if (query_begin >= query_end || key_begin >= key_end) return Cover::empty;
  return cover_node(node_.get(), {batch, head, query_begin, query_end - 1, key_begin, key_end - 1});
}

std::string Mask::text() const { return text_of(node_.get()); }

bool Mask::operator==(const Mask& other) const { return equal(node_.get(), other.node_.get()); }

Mask operator&(const Mask& a, const Mask& b) {
  if (a.everything()) return b;
  if (b.everything()) return a;
  return joined(Kind::both, a.node_, b.node_);
}

Mask operator|(const Mask& a, const Mask& b) {
  if (a.everything() || b.everything()) return {};
  return joined(Kind::either, a.node_, b.node_);
}

Mask operator!(const Mask& a) { return joined(Kind::negation, a.node_, nullptr); }

detail::FormulaPointer attention::condition_of(const Mask& mask) { return condition_of_node(mask.node()).formula(); }

void attention::check_mask(const Mask& mask, std::int64_t sequences, std::int64_t heads) {
  check_node(mask.node(), sequences, heads);
}

}  // namespace heed
