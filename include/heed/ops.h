#pragma once
#include <heed/pass.h>

namespace heed {

// Operators on packed rows: x is [tokens, width]. What feeds a product may be bfloat16 (Pass::product_dtype), all else
// is float32; gradients are float32 always. Each throws Error, naming the operator and both shapes, when shapes do not
// fit.

/// y = x·Wᵀ + bias. x: [tokens, in]; weight: [out, in]; bias: [out] or an empty Var. Result: [tokens, out] of type
/// `result` (float32; bfloat16 where only products and activations read it).
Var linear(const Var& x, const Var& weight, const Var& bias, DType result = DType::float32);
/// y = x·Wᵀ + bias + residual: the sum costs no pass of its own.
Var linear_add(const Var& x, const Var& weight, const Var& bias, const Var& residual);

/// Rows table[ids[i]] · scale. ids: one for each token of `sequences`; table: [entries, width]. Throws Error naming an
/// id outside the table.
Var embedding(Pass& pass, std::span<const std::int32_t> ids, SequencesPointer sequences, const Var& table,
              float scale = 1.0f);
/// x + table[position]: learned positions; table: [context, width]. Throws Error when a position is past the table.
Var add_learned_positions(const Var& x, const Var& table);
/// x + the sinusoidal encoding of each token's position (Vaswani et al. 2017, section 3.5): sine in even, cosine in odd
/// columns, wavelengths from 2π to 10000·2π.
Var add_sinusoidal_positions(const Var& x);

/// y = gain·(x − mean)/sqrt(variance + epsilon) + bias over the last dimension. Ba et al. 2016 (arXiv:1607.06450).
/// bias may be empty. Statistics are float32.
Var layer_norm(const Var& x, const Var& gain, const Var& bias, float epsilon = 1e-5f, DType result = DType::float32);
/// y = gain·x/sqrt(mean(x²) + epsilon). Zhang & Sennrich 2019, eq. 4 (arXiv:1910.07467).
Var rms_norm(const Var& x, const Var& gain, float epsilon = 1e-6f, DType result = DType::float32);

enum class ActivationKind : unsigned char { relu, gelu, gelu_tanh, silu, tanh, sigmoid };
/// "relu", "gelu", … Throws Error listing them.
ActivationKind activation_named(const std::string& name);
/// f(x), elementwise, in x's type.
Var activate(const Var& x, ActivationKind kind);
/// f(gate)·up, where x = [gate | up] has twice the result's width. Shazeer 2020 (arXiv:2002.05202).
Var gated(const Var& x, ActivationKind kind);

/// x + y, float32.
Var add(const Var& x, const Var& y);
inline Var operator+(const Var& x, const Var& y) { return add(x, y); }
/// x∘y, elementwise; all float32.
Var multiply(const Var& x, const Var& y);
/// In training, each element is 0 with probability `rate`, else divided by 1 − rate (Srivastava et al. 2014); outside
/// it is x. Draws depend on the pass's key, the call and the element alone.
Var dropout(const Var& x, float rate);
/// residual + dropout(x, rate), float32.
Var add_dropout(const Var& residual, const Var& x, float rate);

/// One row a sequence from its tokens' rows: [sequences, width].
enum class Pooling : unsigned char {
  mean,
  first,
  max,
  last,
  ends,  ///< the last row's first half, the first row's second half: where each direction of a recurrence has ended
};
Var pool(const Var& x, Pooling kind);

/// One-dimensional convolution within each sequence (Kim 2014, arXiv:1408.5882): y[t] = bias + Σ_j W_j·x[t + j − (width
/// − 1)/2] for j from 0 below width, rows before the first and behind the last token being zero, so that there is a
/// result for every token. weight: [out, width·in] = [W_0 | W_1 | …]; bias: [out] or empty. Result: [tokens, out].
Var convolve(const Var& x, const Var& weight, const Var& bias, std::int64_t width);
/// [x | y], the columns of both; float32.
Var beside(const Var& x, const Var& y);

/// What a recurrent network computes in a step from x (products of the input, with biases), the state before the step
/// and U. σ is the logistic function, ∘ the elementwise product.
enum class RecurrentCell : unsigned char {
  lstm,  ///< i, f, g, o = σ, σ, tanh, σ of (x + U·h); c ← f∘c + i∘g; h ← o∘tanh(c) (Gers et al. 2000)
  gru,  ///< r, z = σ(x + U·h); n = tanh(x + U·(r∘h)); h ← (1 − z)∘n + z∘h (Cho et al. 2014, arXiv:1406.1078)
  gru_reset_after,  ///< the same with n = tanh(x + r∘(U·h)): one product a step
  tanh,             ///< h ← tanh(x + U·h) (Elman 1990)
  relu,             ///< h ← max(0, x + U·h)
};
/// 4, 3 or 1.
std::int64_t gates_of(RecurrentCell cell);
/// Width of what a direction remembers: h, and an LSTM's c behind it.
std::int64_t state_width(RecurrentCell cell, std::int64_t hidden);
enum class Direction : unsigned char {
  forward,
  backward,  ///< from each sequence's last token to its first
  both,      ///< both side by side: all that is said of one direction stands twice, the forward one first
};
struct RecurrentResult {
  Var output;  ///< h after each token: [tokens, directions·hidden]
  Var state;   ///< after each sequence's last step, of each direction [h | c]: [sequences, directions·state width]
};
/// A recurrent network over packed sequences of any lengths. gates: x of all tokens, [tokens, directions·gates·hidden]
/// in the order of the cell's gates above, made by one `linear` and fresh: the memory is used. weight: U,
/// [directions·gates· hidden, hidden]. bias: of U's products, [directions·gates·hidden], or empty. state: where each
/// sequence starts, as the result's, or empty: zeros. A call may go through whole sequences or take one step of each;
/// states and their gradients go from call to call.
RecurrentResult recurrent(const Var& gates, const Var& weight, const Var& bias, const Var& state, RecurrentCell cell,
                          Direction direction = Direction::forward);

/// What attention is told beside queries, keys and values.
struct AttentionOptions {
  AttentionSpec spec;
  int heads = 1;
  int key_value_heads = 1;
  int head_width = 0;
  /// Rotary positions: how many of a head's elements turn (0: none) and the base of the wavelengths.
  int rotated = 0;
  float rotary_base = 10000.0f;
  /// ALiBi slopes, one a head, or empty.
  Tensor slopes;
  /// Cross-attention, additive scores: the vector of each head, [heads, head_width], or empty. It gets a gradient.
  Var direction;
  /// Bias by distance, [heads, 2·reach + 1]: relative[head][key − query + reach]; or empty. It gets a gradient.
  Var relative;
  /// Keys and values of earlier passes: one cache a sequence, which this call's are appended to; or empty.
  std::vector<KeyValueCache*> caches;
  std::string name;  ///< for a probe
};

/// Self-attention over packed rows x = [query | key | value] of widths heads·h, key_value_heads·h and
/// key_value_heads·h. Result: [tokens, heads·h]. Turns queries and keys in place when `rotated` is set: x must be
/// fresh.
Var self_attention(const Var& x, const AttentionOptions& options);
/// Each sequence of query: [tokens, heads·h] looks at the sequence of the same number in key_value = [key | value].
/// With `caches` given and an empty key_value, it looks at those instead.
Var cross_attention(const Var& query, const Var& key_value, const AttentionOptions& options);
/// The same of one head, with keys of query's width and values of any: what pools tokens by attention. `learned`:
/// additive scores' vector, [1, query's width], bilinear scores' matrix, [query's width, key's width], or empty.
/// Result: [query's tokens, value's width].
Var attend_to(const Var& query, const Var& key, const Var& value, const Var& learned, const AttentionSpec& spec,
              const std::string& name);
/// T5's table of distances from its buckets: [heads, 2·reach + 1] from [heads, buckets]. Raffel et al. 2020,
/// section 2.1. Half of the buckets serve each direction when `bidirectional`, else only keys behind the query are told
/// apart.
Var relative_from_buckets(const Var& table, std::int64_t reach, bool bidirectional, std::int64_t largest_distance);
/// ALiBi's slopes for `heads`: a geometric sequence (Press et al. 2022, section 3; arXiv:2108.12409).
Tensor alibi_slopes(int heads);

/// Softmax cross-entropy of the classes logits = hidden·weightᵀ + bias against targets, with label smoothing; a target
/// of −1 is not counted. The logits are made a chunk of rows at a time and become their own gradient in place, so they
/// are never held whole or twice; for this the weight's gradient is added during the forward. row_weights: for each row
/// what its loss and gradient are multiplied by (the likelihood and the counts are not), or empty.
Loss cross_entropy(const Var& hidden, const Var& weight, const Var& bias, std::span<const std::int32_t> targets,
                   float label_smoothing = 0.0f, std::span<const float> row_weights = {});

/// The same against about `samples` of the classes, drawn with the pass's key: a loss for training whose products are
/// smaller. Class j is taken with probability q_j = min(1, c/(j + 1)), for ids that are ranked by frequency, and its
/// exponential then counts 1/q_j times, so that the sum over all classes is met on average (importance sampling as
/// Jean et al. 2015, section 3.2; arXiv:1412.2007); a row's own target always counts, once. Throws Error when there are
/// not more classes than samples.
Loss sampled_cross_entropy(const Var& hidden, const Var& weight, const Var& bias, std::span<const std::int32_t> targets,
                           std::int64_t samples);

/// The same where a word may also be copied from the source (See et al. 2017, arXiv:1704.04368, eq. 9): the probability
/// of a target is g·softmax(logits) + (1 − g)·a, where g is the logistic function of the row's `gate` and a the weight
/// of all places of its sequence's source where the target stands, under scaled-dot attention of `query` over `key`.
/// Label smoothing is the vocabulary's. `correct` counts the vocabulary's likeliest.
struct CopySource {
  Var query;                          ///< [tokens, width], in the sequences of hidden
  Var key;                            ///< [source tokens, width]: each sequence's source
  Var gate;                           ///< [tokens, 1]
  std::span<const std::int32_t> ids;  ///< of the source's tokens; −1 is never copied
};
Loss copy_cross_entropy(const Var& hidden, const Var& weight, const Var& bias, const CopySource& source,
                        std::span<const std::int32_t> targets, float label_smoothing = 0.0f);

/// Rows of x, ascending, as a value of their own: y[i] = x[rows[i]], in x's type. `sequences`: how they divide, or
/// null.
Var take_rows(const Var& x, std::span<const std::int64_t> rows, SequencesPointer sequences);
/// The other way round: y[rows[p][i]] = parts[p][i]. All parts together have each row once; float32.
Var join_rows(std::span<const Var> parts, std::span<const std::vector<std::int64_t>> rows, SequencesPointer sequences);
/// Softmax cross-entropy of positions: each column of scores: [tokens, columns] is, within each sequence, a
/// distribution over its tokens. targets: for each column one position a sequence, from 0; −1 is not counted.
Loss position_cross_entropy(const Var& scores, const std::vector<std::span<const std::int32_t>>& targets);

}  // namespace heed
