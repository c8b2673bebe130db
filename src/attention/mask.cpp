#include "attention/mask.h"

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
    case Kind::rule:
      return node->rule(batch, head, query, key);
    case Kind::both:
      return allows_node(node->left.get(), batch, head, query, key) &&
             allows_node(node->right.get(), batch, head, query, key);
    case Kind::either:
      return allows_node(node->left.get(), batch, head, query, key) ||
             allows_node(node->right.get(), batch, head, query, key);
    case Kind::negation:
      return !allows_node(node->left.get(), batch, head, query, key);
  }
  return true;
}

Cover cover_if(bool all, bool none) { return none ? Cover::empty : all ? Cover::full : Cover::partial; }

/// Blocks are not empty here: query_last ≥ query_first, key_last ≥ key_first.
Cover cover_node(const Node* node, std::int64_t query_first, std::int64_t query_last, std::int64_t key_first,
                 std::int64_t key_last) {
  if (!node) return Cover::full;
  const auto side = [&](const std::shared_ptr<const Node>& child) {
    return cover_node(child.get(), query_first, query_last, key_first, key_last);
  };
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
    case Kind::rule:
      return Cover::partial;
    case Kind::both: {
      const Cover left = side(node->left), right = side(node->right);
      return cover_if(left == Cover::full && right == Cover::full, left == Cover::empty || right == Cover::empty);
    }
    case Kind::either: {
      const Cover left = side(node->left), right = side(node->right);
      return cover_if(left == Cover::full || right == Cover::full, left == Cover::empty && right == Cover::empty);
    }
    case Kind::negation: {
      const Cover inner = side(node->left);
      return cover_if(inner == Cover::empty, inner == Cover::full);
    }
  }
  return Cover::partial;
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
    case Kind::rule:
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
  return equal(a->left.get(), b->left.get()) && equal(a->right.get(), b->right.get());
}

Mask primitive(Kind kind, std::int64_t value) {
  return Mask(std::make_shared<const Node>(Node{kind, value, {}, {}, nullptr, nullptr}));
}

}  // namespace

bool Mask::allows(int batch, int head, std::int64_t query, std::int64_t key) const {
  return allows_node(node_.get(), batch, head, query, key);
}

Mask::Cover Mask::cover([[maybe_unused]] int batch, [[maybe_unused]] int head, std::int64_t query_begin,
                        std::int64_t query_end, std::int64_t key_begin, std::int64_t key_end) const {
  if (query_begin >= query_end || key_begin >= key_end) return Cover::empty;
  return cover_node(node_.get(), query_begin, query_end - 1, key_begin, key_end - 1);
}

std::string Mask::text() const { return text_of(node_.get()); }

bool Mask::operator==(const Mask& other) const { return equal(node_.get(), other.node_.get()); }

Mask causal(std::int64_t offset) { return primitive(Kind::causal, offset); }
Mask window(std::int64_t width) { return primitive(Kind::window, width); }
Mask first_keys(std::int64_t count) { return primitive(Kind::first_keys, count); }

Mask detail::function_mask(std::string name, std::function<bool(int, int, std::int64_t, std::int64_t)> rule) {
  if (!rule) throw Error("mask: the rule '{}' is empty; give a function of batch, head, query and key", name);
  return Mask(std::make_shared<const Node>(Node{Kind::rule, 0, std::move(name), std::move(rule), nullptr, nullptr}));
}

Mask operator&(const Mask& a, const Mask& b) {
  if (a.everything()) return b;
  if (b.everything()) return a;
  return Mask(std::make_shared<const Node>(Node{Kind::both, 0, {}, {}, a.node_, b.node_}));
}

Mask operator|(const Mask& a, const Mask& b) {
  if (a.everything() || b.everything()) return {};
  return Mask(std::make_shared<const Node>(Node{Kind::either, 0, {}, {}, a.node_, b.node_}));
}

Mask operator!(const Mask& a) {
  return Mask(std::make_shared<const Node>(Node{Kind::negation, 0, {}, {}, a.node_, nullptr}));
}

}  // namespace heed
