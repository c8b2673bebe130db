#pragma once
#include <heed/random.h>
#include <heed/tensor.h>
#include <heed/thread_pool.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
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
  /// Same structure; two lambdas are equal when their names are.
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
/// Any rule of batch, head, query and key. The name is what is printed and compared.
Mask mask(std::string name, std::function<bool(int batch, int head, std::int64_t query, std::int64_t key)> rule);
Mask operator&(const Mask& a, const Mask& b);
Mask operator|(const Mask& a, const Mask& b);
Mask operator!(const Mask& a);

/// What is computed: structure only, no tensors, nothing about how. weights = softmax(score + bias) over the keys that
/// the mask allows; output = weights · value. A query that may see no key gives 0, gradients 0, log-sum-exp −∞.
struct AttentionSpec {
  Mask mask = {};
  /// Multiplies query·key; by default 1/sqrt(head width) (Vaswani et al. 2017, eq. 1).
  std::optional<float> scale = {};
  /// score ← cap · tanh(score / cap), before bias and mask; 0 is none.
  float soft_cap = 0.0f;
  /// Share of the weights that is dropped in training; the rest is divided by 1 − dropout.
  float dropout = 0.0f;

  std::string text() const;
  bool operator==(const AttentionSpec&) const = default;
};

/// Keys and values of one sequence that lie together: rows of a packed tensor, or one page of a cache.
struct KeyValueSpan {
  const void* key = nullptr;
  const void* value = nullptr;
  std::int64_t count = 0;
};

/// One sequence of a call: its queries are rows [query_begin, query_begin + query_count) of the packed queries.
struct AttentionSequence {
  std::int64_t query_begin = 0;
  std::int64_t query_count = 0;
  std::int64_t query_position = 0;  ///< absolute position of the first query; key positions start at 0
  std::int64_t key_begin = 0;       ///< row of the first key in the packed gradients (backward only)
  std::int64_t key_count = 0;
  std::vector<KeyValueSpan> spans;  ///< together key_count rows; the backward takes one span
};

/// A call over packed sequences: no padding anywhere.
struct AttentionProblem {
  AttentionSpec spec;
  int heads = 1;
  int key_value_heads = 1;                 ///< divides heads: a group of heads/key_value_heads query heads shares one
  int head_width = 0;                      ///< of queries and keys
  int value_width = 0;                     ///< a head's
  View query;                              ///< [query rows, heads·head_width], float32 or bfloat16, any row stride
  DType key_value_dtype = DType::float32;  ///< float32, bfloat16 or float16
  std::int64_t key_stride = 0;             ///< elements between two keys' rows: [key rows, key_value_heads·head_width]
  std::int64_t value_stride = 0;
  std::vector<AttentionSequence> sequences;
  /// score += slope[head] · −|query − key| (ALiBi, Press et al. 2022, arXiv:2108.12409), or null.
  const float* slopes = nullptr;
  /// score += relative[head][key − query + reach], the distance clamped to ±reach, or null: [heads, 2·reach + 1].
  const float* relative = nullptr;
  std::int64_t relative_reach = 0;
  /// Dropout draws from (dropout_key, sequence, head, query, key), whatever the blocks and threads.
  RandomKey dropout_key;
};

struct AttentionGradients {
  View query;       ///< as the problem's query, float32; null data: not wanted
  View key, value;  ///< [key rows, key_value_heads·width], float32; written at key_begin
  bool accumulate_query = false, accumulate_key = false, accumulate_value = false;
  float* relative = nullptr;  ///< as relative; always added to
};

/// output: [query rows, heads·value_width], float32 or bfloat16. log_sum_exp: [heads, query rows] or null; needed by
/// the backward. Throws Error when widths, heads or spans do not fit.
void attention_forward(const AttentionProblem& problem, View output, float* log_sum_exp, ThreadPool& pool);
/// Gradients from `doutput` (float32), the forward's output (float32 or bfloat16) and log_sum_exp; the weights are
/// computed again, block by block.
void attention_backward(const AttentionProblem& problem, View output, const float* log_sum_exp, View doutput,
                        const AttentionGradients& gradients, ThreadPool& pool);
/// The exact weights (without dropout) of one head of one sequence: [query_count, key_count].
Tensor attention_weights(const AttentionProblem& problem, std::size_t sequence, int head);

/// The short way: query [batch, heads, queries, width], key and value [batch, key_value_heads, keys, width], float32.
/// Queries stand at the end: with fewer queries than keys the last query sees what the last key sees.
Tensor attend(const Tensor& query, const Tensor& key, const Tensor& value, const AttentionSpec& spec, ThreadPool& pool);

/// Keys and values of one sequence in one layer, in pages that copies share: copying (a beam, a snapshot) is cheap, and
/// the page that both would write is copied at the first write.
class KeyValueCache {
 public:
  static constexpr std::int64_t page_rows = 16;
  KeyValueCache() = default;
  KeyValueCache(std::int64_t key_width, std::int64_t value_width, DType dtype);
  explicit operator bool() const { return key_width_ > 0; }
  std::int64_t length() const { return length_; }
  DType dtype() const { return dtype_; }
  std::int64_t key_width() const { return key_width_; }
  std::int64_t value_width() const { return value_width_; }
  /// Adds rows (float32 or bfloat16, converted).
  void append(View keys, View values);
  /// Forgets all but the first `length` rows (speculation, rolling back).
  void truncate(std::int64_t length);
  std::vector<KeyValueSpan> spans() const;
  std::int64_t bytes() const;

 private:
  struct Page;
  void own_last_page();
  std::int64_t key_width_ = 0, value_width_ = 0, length_ = 0;
  DType dtype_ = DType::float32;
  std::vector<std::shared_ptr<Page>> pages_;
};

}  // namespace heed
