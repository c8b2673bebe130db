#pragma once
#include <heed/linear_attention.h>

#include <vector>

/// Linear attention in double precision, row by row: what every kernel is held to.
namespace heed::attention::linear::reference {

using Numbers = std::vector<double>;

/// A problem's inputs, dense; states [sequences, key_value_heads, key_width, value_width].
struct Inputs {
  Numbers query, key, value, decay, beta, initial_states;
};
Inputs inputs_of(const LinearAttentionProblem& problem);

struct Result {
  Numbers output, final_states;
};
/// Of the problem only its rule, widths, scale and rows matter.
Result forward(const LinearAttentionProblem& problem, const Inputs& inputs);

/// Gradients of Σ output·doutput + Σ final_states·dfinal_states.
Inputs backward(const LinearAttentionProblem& problem, const Inputs& inputs, const Numbers& doutput,
                const Numbers& dfinal_states);

}  // namespace heed::attention::linear::reference
