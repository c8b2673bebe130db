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
/// |query − key| < width; with causal(), the last `width` keys. Throws Error when width is below 1, and so the next.
Mask window(std::int64_t width);
/// key < count: attention sinks, or a prefix that all may see. Throws Error when count is below 0.
Mask first_keys(std::int64_t count);
/// (query − key) is a multiple of `stride`, 1 or more.
Mask dilated(std::int64_t stride);
/// Query and key are of the same document: ids[query] = ids[key], one id a position (packed sequences). Positions
/// behind the ids are of no document and see nothing.
Mask documents(const std::vector<std::int32_t>& ids);
/// key < lengths[batch]: keys behind are padding. One length serves every batch; batches behind the lengths see
/// nothing.
Mask key_lengths(const std::vector<std::int64_t>& lengths);
/// A boolean or uint8 tensor, [queries, keys], [heads, queries, keys] or [batch, heads, queries, keys]; extents of 1
/// broadcast. Positions, heads and batches beyond its extents are not allowed. The elements are shared, not copied.
Mask allowed(Tensor table);
/// Block-sparse: what the boolean or uint8 `pattern` [query blocks, key blocks] (or with heads, or batch and heads,
/// before: as above) says of blocks of `size` positions, 1 or more.
Mask blocks(Tensor pattern, std::int64_t size);

namespace detail {
Mask rule_mask(std::string name, const Condition& condition);
Mask function_mask(std::string name, std::function<bool(int, int, std::int64_t, std::int64_t)> rule);
}  // namespace detail

/// A mask's rule of the place: generic, it does not throw (and says so: noexcept), and gives a Condition.
template <class Function>
concept MaskFunction =
    std::is_invocable_v<const Function&, const Place&> && std::is_nothrow_invocable_v<const Function&, const Place&> &&
    std::is_convertible_v<std::invoke_result_t<const Function&, const Place&>, Condition>;
/// Or of four whole numbers: it does not throw either.
template <class Function>
concept PlainMaskFunction = std::is_nothrow_invocable_r_v<bool, Function&, int, int, std::int64_t, std::int64_t>;

/// A rule of one's own: a generic lambda of the place, traced as a score's rule is (heed/rule.h); or any function of
/// batch, head, query and key, which is called for each pair, by several threads, and is slow. Either is noexcept. The
/// name is what is printed.
template <class Function>
Mask mask(std::string name, Function function) {  // NOLINT(performance-unnecessary-value-param): it is moved from
  if constexpr (std::is_invocable_v<const Function&, const Place&>) {
    static_assert(std::is_nothrow_invocable_v<const Function&, const Place&>,
                  "a mask's rule must not throw: declare the lambda noexcept");
    static_assert(MaskFunction<Function>, "a mask's rule gives a condition");
    return detail::rule_mask(std::move(name), function(detail::place_terms()));
  } else {
    static_assert(std::is_invocable_r_v<bool, Function&, int, int, std::int64_t, std::int64_t>,
                  "a mask's rule is a function of (const auto& at), or of batch, head, query and key");
    static_assert(PlainMaskFunction<Function>, "a mask's rule must not throw: declare the lambda noexcept");
    return detail::function_mask(std::move(name), std::move(function));
  }
}

Mask operator&(const Mask& a, const Mask& b);
Mask operator|(const Mask& a, const Mask& b);
Mask operator!(const Mask& a);

}  // namespace heed
