#pragma once
#include <heed/state_sequence.h>
#include <heed/tensor.h>
#include <heed/thread_pool.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace heed {

/// How a head's state S, a matrix [key width, value width], takes in the key k and value v of a row. Its output is
/// always scale · q·S after the update.
enum class UpdateRule : unsigned char {
  linear,       ///< S ← S + k⊗v (Katharopoulos et al. 2020, arXiv:2006.16236, without feature map and denominator)
  gated,        ///< S ← exp(g)·S + k⊗v (gated linear attention, Yang et al. 2024, arXiv:2312.06635)
  delta,        ///< S ← S + β·k⊗(v − k·S) (DeltaNet, Yang et al. 2024, arXiv:2406.06484)
  gated_delta,  ///< S ← exp(g)·S, then as delta (Gated DeltaNet, Yang et al. 2025, arXiv:2412.06464)
};
std::string_view name_of(UpdateRule rule);
/// "linear", "gated", … Throws Error listing them.
UpdateRule update_rule_named(const std::string& name);

/// Linear attention over packed sequences: attention without a normaliser, which can therefore be summed up in a state
/// of fixed size, in time linear in length. Inputs are float32, bfloat16 or float16, of any row stride; states, sums
/// and products are float32.
struct LinearAttentionProblem {
  UpdateRule rule = UpdateRule::linear;
  int heads = 1;
  int key_value_heads = 1;          ///< divides heads: a group of heads/key_value_heads query heads reads one state
  int key_width = 0;                ///< of a head's queries and keys
  int value_width = 0;              ///< of a head's values
  std::optional<float> scale = {};  ///< of the output; by default 1/sqrt(key_width)
  View query = {};                  ///< [rows, heads·key_width]
  View key = {};    ///< [rows, key_value_heads·key_width]; of length 1 (or less) each under the delta rules
  View value = {};  ///< [rows, key_value_heads·value_width]
  /// Gated rules: g, the logarithm of what is kept of the state (0 or less): [rows, key_value_heads], or one for each
  /// dimension of the keys: [rows, key_value_heads·key_width].
  View decay = {};
  /// Delta rules: β, the rate of the update: [rows, key_value_heads], or [rows, 1] for all heads.
  View beta = {};
  /// States are [key_value_heads, key_width, value_width].
  std::vector<StateSequence> sequences = {};
};

/// Float32, of the problem's shapes; without memory: not wanted. Written, at the rows of the sequences.
struct LinearAttentionGradients {
  View query = {}, key = {}, value = {}, decay = {}, beta = {};
  std::vector<StateGradient> states = {};  ///< one a sequence, or none at all
};

/// output: [rows, heads·value_width], float32, bfloat16 or float16. A few rows are read one by one (decoding), more in
/// chunks of 64 by matrix products (the chunkwise form of the papers above); both give the same but for rounding. Work
/// is shared out by sequence and head; the bits are the same for any number of threads. Throws Error when widths, heads
/// or rows do not fit, or a rule lacks or does not take decay or beta.
void linear_attention_forward(const LinearAttentionProblem& problem, View output, ThreadPool& pool);
/// Gradients from `doutput` (float32, as the output). States within a sequence are computed again, one each 64 rows
/// kept. The problem's final states are neither read nor written.
void linear_attention_backward(const LinearAttentionProblem& problem, View doutput,
                               const LinearAttentionGradients& gradients, ThreadPool& pool);

}  // namespace heed
