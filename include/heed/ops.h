#pragma once
#include <heed/pass.h>

namespace heed {

// Operators on packed rows: x is [tokens, width]. What feeds a product may be bfloat16 (Pass::product_dtype), all else is
// float32; gradients are float32 always. Each throws Error, naming the operator and both shapes, when shapes do not fit.

/// y = x·Wᵀ + bias. x: [tokens, in]; weight: [out, in]; bias: [out] or an empty Var. Result: [tokens, out] of type `result`
/// (float32; bfloat16 where only products and activations read it).
Var linear(const Var& x, const Var& weight, const Var& bias, DType result = DType::float32);
/// y = x·Wᵀ + bias + residual: the sum costs no pass of its own.
Var linear_add(const Var& x, const Var& weight, const Var& bias, const Var& residual);

/// Rows table[ids[i]] · scale. ids: one for each token of `sequences`; table: [entries, width]. Throws Error naming an id
/// outside the table.
Var embedding(Pass& pass, std::span<const std::int32_t> ids, SequencesPointer sequences, const Var& table, float scale = 1.0f);
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
/// In training, each element is 0 with probability `rate`, else divided by 1 − rate (Srivastava et al. 2014); outside it is
/// x. Draws depend on the pass's key, the call and the element alone.
Var dropout(const Var& x, float rate);
/// residual + dropout(x, rate), float32.
Var add_dropout(const Var& residual, const Var& x, float rate);

/// One row a sequence from its tokens' rows: [sequences, width].
enum class Pooling : unsigned char { mean, first, max };
Var pool(const Var& x, Pooling kind);

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
  /// Bias by distance, [heads, 2·reach + 1]: relative[head][key − query + reach]; or empty. It gets a gradient.
  Var relative;
  /// Keys and values of earlier passes: one cache a sequence, which this call's are appended to; or empty.
  std::vector<KeyValueCache*> caches;
  std::string name;  ///< for a probe
};

/// Self-attention over packed rows x = [query | key | value] of widths heads·h, key_value_heads·h and key_value_heads·h.
/// Result: [tokens, heads·h]. Turns queries and keys in place when `rotated` is set: x must be fresh.
Var self_attention(const Var& x, const AttentionOptions& options);
/// Each sequence of query: [tokens, heads·h] looks at the sequence of the same number in key_value = [key | value]. With
/// `caches` given and an empty key_value, it looks at those instead.
Var cross_attention(const Var& query, const Var& key_value, const AttentionOptions& options);
/// T5's table of distances from its buckets: [heads, 2·reach + 1] from [heads, buckets]. Raffel et al. 2020, section 2.1.
/// Half of the buckets serve each direction when `bidirectional`, else only keys behind the query are told apart.
Var relative_from_buckets(const Var& table, std::int64_t reach, bool bidirectional, std::int64_t largest_distance);
/// ALiBi's slopes for `heads`: a geometric sequence (Press et al. 2022, section 3; arXiv:2108.12409).
Tensor alibi_slopes(int heads);

/// Softmax cross-entropy of the classes logits = hidden·weightᵀ + bias against targets, with label smoothing; a target of −1
/// is not counted. The logits are made a chunk of rows at a time and become their own gradient in place, so they are
/// never held whole or twice; for this the weight's gradient is added during the forward.
Loss cross_entropy(const Var& hidden, const Var& weight, const Var& bias, std::span<const std::int32_t> targets,
                   float label_smoothing = 0.0f);

}  // namespace heed
