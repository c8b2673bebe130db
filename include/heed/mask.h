#pragma once
#include <heed/rule.h>
#include <heed/tensor.h>

#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace heed {

/// Which keys a query may look at: a value made of primitives joined with &, | and !. It can be printed and compared.
///
/// Positions are absolute: where a sequence continues a cache, its first query stands behind the cached keys. A mask
/// also answers for whole blocks of positions, so that empty blocks cost nothing and full ones need no test.
class Mask {
 public:
  enum class Cover : unsigned char { empty, full, partial };
  struct Node;

  /// Every key.
  Mask() = default;
  explicit Mask(std::shared_ptr<const Node> node) : node_(std::move(node)) {}
  bool everything() const { return !node_; }
  const Node* node() const { return node_.get(); }
  bool allows(int batch, int head, std::int64_t query, std::int64_t key) const;
  /// What holds for all queries in [query_begin, query_end) and keys in [key_begin, key_end); `partial` when unsure.
  Cover cover(int batch, int head, std::int64_t query_begin, std::int64_t query_end, std::int64_t key_begin,
              std::int64_t key_end) const;
  std::string text() const;  ///< "causal & (window(1024) | first_keys(4))"
  /// Same structure; functions are equal when their names are.
  bool operator==(const Mask& other) const;

 private:
  std::shared_ptr<const Node> node_;
  friend Mask operator&(const Mask&, const Mask&);
  friend Mask operator|(const Mask&, const Mask&);
  friend Mask operator!(const Mask&);
};

/// key ≤ query + offset.
Mask causal(std::int64_t offset = 0);
/// |query − key| < width; with causal(), the last `width` keys.
Mask window(std::int64_t width);
/// key < count: attention sinks, or a prefix that all may see.
Mask first_keys(std::int64_t count);
/// (query − key) is a multiple of `stride`.
Mask dilated(std::int64_t stride);
/// Query and key are of the same document: ids[query] = ids[key], one id a position (packed sequences).
Mask documents(std::vector<std::int32_t> ids);
/// key < lengths[batch]: keys behind are padding.
Mask key_lengths(std::vector<std::int64_t> lengths);
/// A boolean or uint8 tensor, [queries, keys] to [batch, heads, queries, keys]; extents of 1 broadcast. Positions beyond
/// its extents are not allowed.
Mask allowed(Tensor table);
/// Block-sparse: what the boolean or uint8 `pattern` [query blocks, key blocks] says of blocks of `size` positions.
Mask blocks(Tensor pattern, std::int64_t size);

namespace detail {
Mask rule_mask(std::string name, Condition condition);
Mask function_mask(std::string name, std::function<bool(int, int, std::int64_t, std::int64_t)> rule);
}  // namespace detail

/// A rule of one's own: a generic lambda of the place, traced as a score's rule is (heed/rule.h), noexcept; or any
/// function of batch, head, query and key, which is called for each pair and is slow. The name is what is printed.
template <class Function>
Mask mask(std::string name, Function function) {
  if constexpr (std::is_invocable_v<const Function&, const Place&>) {
    static_assert(std::is_nothrow_invocable_v<const Function&, const Place&>,
                  "a mask's rule must not throw: declare the lambda noexcept");
    static_assert(std::is_convertible_v<std::invoke_result_t<const Function&, const Place&>, Condition>,
                  "a mask's rule gives a condition");
    return detail::rule_mask(std::move(name), function(detail::place_terms()));
  } else {
    static_assert(std::is_invocable_r_v<bool, Function, int, int, std::int64_t, std::int64_t>,
                  "a mask's rule is a function of (const auto& at), or of batch, head, query and key");
    return detail::function_mask(std::move(name), std::move(function));
  }
}

Mask operator&(const Mask& a, const Mask& b);
Mask operator|(const Mask& a, const Mask& b);
Mask operator!(const Mask& a);

}  // namespace heed
