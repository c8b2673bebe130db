#pragma once
#include <heed/key_value_cache.h>
#include <heed/mask.h>
#include <heed/random.h>
#include <heed/rule.h>
#include <heed/tensor.h>
#include <heed/thread_pool.h>

#include <optional>
#include <string>
#include <vector>

namespace heed {

/// How a query q and a key k of one head make a score.
enum class Score : unsigned char {
  scaled_dot,  ///< q·k / sqrt(head width) (Vaswani et al. 2017, arXiv:1706.03762, eq. 1)
  dot,         ///< q·k (Luong et al. 2015, arXiv:1508.04025, "dot")
  bilinear,    ///< q·W·k with a matrix W a head (the same, "general")
  cosine,      ///< q·k / (|q|·|k|); 0 where either is 0. Its temperature is 1 / scale.
  euclidean,   ///< −|q − k|²
  additive,    ///< v·tanh(q + k) with a vector v a head (Bahdanau et al. 2015, arXiv:1409.0473)
};

/// How the scores s of a query become its weights.
enum class Normaliser : unsigned char {
  softmax,
  softmax_zero,  ///< exp(s) / (1 + Σ exp(s)): one more logit, 0, with no value
  softmax_sink,  ///< the same with a learned logit a head
  sigmoid,       ///< 1 / (1 + exp(−s)), each key by itself
  sparsemax,     ///< the nearest point of the simplex (Martins & Astudillo 2016, arXiv:1602.02068)
  entmax15,      ///< 1.5-entmax, between the two (Peters et al. 2019, arXiv:1905.05702)
};

std::string_view name_of(Score score);
std::string_view name_of(Normaliser normaliser);

/// What is computed: structure only, nothing about how. Of a query and every key that the mask allows
///   score = rule(cap · tanh(scale · raw / cap)) + biases,   weights = normaliser(scores),   output = weights · values.
/// A query that may see no key gives 0, gradients 0, log-sum-exp −∞ (or what a sink alone gives; a threshold is +∞).
struct AttentionSpec {
  Mask mask = {};
  Score score = Score::scaled_dot;
  /// Multiplies the raw score; by default 1/sqrt(head width) for scaled_dot and 1 for the others.
  std::optional<float> scale = {};
  /// score ← cap · tanh(score / cap); 0 is none.
  float soft_cap = 0.0f;
  /// A change of the score of one's own, after the soft cap (heed/rule.h).
  ScoreRule rule = {};
  Normaliser normaliser = Normaliser::softmax;
  /// Share of the weights that is dropped in training; the rest is divided by 1 − dropout.
  float dropout = 0.0f;

  std::string text() const;
  bool operator==(const AttentionSpec&) const = default;
};

/// One sequence of a call: its queries are rows [query_begin, query_begin + query_count) of the packed queries.
struct AttentionSequence {
  std::int64_t query_begin = 0;
  std::int64_t query_count = 0;
  std::int64_t query_position = 0;  ///< absolute position of the first query; key positions start at 0
  std::int64_t key_begin = 0;       ///< row of the first key in the packed gradients (backward only)
  std::int64_t key_count = 0;
  std::vector<KeyValueSpan> spans = {};  ///< together key_count rows; the backward takes one span
};

/// Keys and values with which several sequences begin: read once for all of them where they are decoded. Those of each
/// sequence's own spans stand behind: key position `count` is the first of them, and key_count counts them alone.
struct SharedPrefix {
  std::vector<KeyValueSpan> spans = {};  ///< together `count` rows
  std::int64_t count = 0;
  std::vector<std::size_t> sequences = {};  ///< which begin with it; each with one prefix at most
};

/// score += data[sequence·strides[0] + head·strides[1] + query·strides[2] + key·strides[3]]: a stride of 0 broadcasts.
/// Queries count from the sequence's first in the call, keys from 0.
struct AttentionBias {
  const float* data = nullptr;
  std::int64_t strides[4] = {0, 0, 0, 0};
};

/// A call over packed sequences: no padding anywhere.
struct AttentionProblem {
  AttentionSpec spec = {};
  int heads = 1;
  int key_value_heads = 1;                 ///< divides heads: a group of heads/key_value_heads query heads shares one
  int head_width = 0;                      ///< of queries, and of keys but for bilinear scores
  int value_width = 0;                     ///< a head's
  int key_width = 0;                       ///< of a head's keys under bilinear scores; 0: head_width
  View query = {};                         ///< [query rows, heads·head_width], float32 or bfloat16, any row stride
  DType key_value_dtype = DType::float32;  ///< float32, bfloat16, float16; int8 or int4 with scales in the spans
  std::int64_t key_stride = 0;             ///< elements between two keys' rows: [key rows, key_value_heads·key width]
  std::int64_t value_stride = 0;
  std::vector<AttentionSequence> sequences = {};
  std::vector<SharedPrefix> prefixes = {};  ///< forward only
  /// Bilinear scores: W, [heads, head_width, key width].
  const float* bilinear = nullptr;
  /// Additive scores: v, [heads, head_width].
  const float* direction = nullptr;
  /// Sink logits of Normaliser::softmax_sink: [heads].
  const float* sinks = nullptr;
  /// score += slope[head] · −|query − key| (ALiBi, Press et al. 2022, arXiv:2108.12409), or null: [heads].
  const float* slopes = nullptr;
  /// score += relative[head][key − query + reach], the distance clamped to ±reach, or null: [heads, 2·reach + 1].
  const float* relative = nullptr;
  std::int64_t relative_reach = 0;
  AttentionBias bias = {};
  /// What the rule's Parameters are: tensors of float32, by their number.
  std::vector<Tensor> parameters = {};
  /// Dropout draws from (dropout_key, sequence, head, query, key), whatever the blocks and threads.
  RandomKey dropout_key = {};
};

/// Null: not wanted. Those of activations are written, or added to where asked; those of what is learned always added
/// to.
struct AttentionGradients {
  View query = {};            ///< as the problem's query, float32
  View key = {}, value = {};  ///< [key rows, key_value_heads·width], float32; written at key_begin
  bool accumulate_query = false, accumulate_key = false, accumulate_value = false;
  float* bilinear = nullptr;  ///< as the problem's, and so the next
  float* direction = nullptr;
  float* sinks = nullptr;
  float* slopes = nullptr;
  float* relative = nullptr;
  float* bias = nullptr;  ///< with the problem's strides
  std::vector<float*> parameters = {};
};

/// output: [query rows, heads·value_width], float32 or bfloat16. log_sum_exp: [heads, query rows] or null, what the
/// backward needs to compute weights again: the logarithm of the sum of exp(score) (with a sink's), under sparsemax and
/// entmax15 the threshold (+∞ where no key is seen: nothing exceeds it), under sigmoid 0. Throws Error when widths,
/// heads or spans do not fit.
void attention_forward(const AttentionProblem& problem, View output, float* log_sum_exp, ThreadPool& pool);
/// Gradients from `doutput` (float32), the forward's output (float32 or bfloat16) and log_sum_exp; the weights are
/// computed again, block by block.
void attention_backward(const AttentionProblem& problem, View output, const float* log_sum_exp, View doutput,
                        const AttentionGradients& gradients, ThreadPool& pool);
/// The exact weights (without dropout) of one head of one sequence: [query_count, its keys with those of a shared
/// prefix]. heed/attention_inspection.h shows more.
Tensor attention_weights(const AttentionProblem& problem, std::size_t sequence, int head);

/// What attend is given: dense tensors, a sequence of equal length for each entry of the batch.
struct AttentionInputs {
  Tensor query;           ///< [batch, heads, queries, width], float32 or bfloat16
  Tensor key;             ///< [batch, key-value heads, keys, key width], float32, bfloat16 or float16
  Tensor value;           ///< [batch, key-value heads, keys, value width], of the key's type
  Tensor bilinear = {};   ///< bilinear scores: W, [heads, width, key width]
  Tensor direction = {};  ///< additive scores: v, [heads, width]
  Tensor sinks = {};      ///< Normaliser::softmax_sink: [heads]
  Tensor slopes = {};     ///< ALiBi: [heads]
  Tensor relative = {};   ///< biases by distance: [heads, 2·reach + 1]
  /// Added to scores: 2 to 4 dimensions that broadcast (from the right, extents of 1) to [batch, heads, queries, keys].
  Tensor bias = {};
  std::vector<Tensor> parameters = {};  ///< of the spec's rule
  RandomKey dropout_key = {};
};

/// The short way, forward only: [batch, heads, queries, value width], of the query's type. Queries stand at the end:
/// with fewer queries than keys the last query sees what the last key sees. `log_sum_exp`, if given, becomes [batch,
/// heads, queries]. Throws Error naming the operand and both shapes when shapes do not fit.
Tensor attend(const AttentionInputs& inputs, const AttentionSpec& spec, ThreadPool& pool,
              Tensor* log_sum_exp = nullptr);
/// The same with threads of its own, where the work is worth their start, else on the calling thread alone. Whoever
/// calls often makes one pool and gives it.
Tensor attend(const AttentionInputs& inputs, const AttentionSpec& spec);
Tensor attend(const Tensor& query, const Tensor& key, const Tensor& value, const AttentionSpec& spec, ThreadPool& pool);

}  // namespace heed
