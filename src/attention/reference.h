#pragma once
#include <heed/attention.h>

#include <vector>

/// Attention in double precision, in the most obvious way: what every kernel is held to.
namespace heed::attention::reference {

struct Result {
  std::vector<double> output;       ///< [query rows, heads·value_width]
  std::vector<double> log_sum_exp;  ///< [heads, query rows]
};
Result forward(const AttentionProblem& problem);

/// Weights of one head of one sequence, without dropout: [query_count, key_count].
std::vector<double> weights(const AttentionProblem& problem, std::size_t sequence, int head);

struct Gradients {
  std::vector<double> query;     ///< [query rows, heads·head_width]
  std::vector<double> key;       ///< [key rows, key_value_heads·head_width]
  std::vector<double> value;     ///< [key rows, key_value_heads·value_width]
  std::vector<double> relative;  ///< [heads, 2·reach + 1], empty without relative biases
};
/// Gradients of Σ output · doutput, doutput as the output; rows of keys are those of the sequences' key_begin.
Gradients backward(const AttentionProblem& problem, const std::vector<double>& doutput);

}  // namespace heed::attention::reference
