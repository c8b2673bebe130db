#pragma once
#include <heed/attention.h>

#include <vector>

/// Attention in double precision, in the most obvious way: what every kernel is held to. A key that the mask forbids
/// takes no part at all, so that what lies in its memory does not matter; whatever else is not finite follows the
/// formulas. Problems are expected to be checked (problem.h).
namespace heed::attention::reference {

struct Result {
  std::vector<double> output;       ///< [query rows, heads·value_width]
  std::vector<double> log_sum_exp;  ///< [heads, query rows], as attention_forward gives it
};
Result forward(const AttentionProblem& problem);

/// Weights of one head of one sequence, without dropout: [query_count, its keys with those of a shared prefix].
std::vector<double> weights(const AttentionProblem& problem, std::size_t sequence, int head);
/// The scores that the weights are made of; −∞ where the mask forbids.
std::vector<double> scores(const AttentionProblem& problem, std::size_t sequence, int head);

/// Of everything that the problem has; empty where it has nothing.
struct Gradients {
  std::vector<double> query;      ///< [query rows, heads·head_width]
  std::vector<double> key;        ///< [key rows, key_value_heads·key width]
  std::vector<double> value;      ///< [key rows, key_value_heads·value_width]
  std::vector<double> bilinear;   ///< [heads, head_width, key width]
  std::vector<double> direction;  ///< [heads, head_width]
  std::vector<double> sinks;      ///< [heads]
  std::vector<double> slopes;     ///< [heads]
  std::vector<double> relative;   ///< [heads, 2·reach + 1]
  std::vector<double> bias;       ///< with the problem's strides, as far as its farthest element
  std::vector<std::vector<double>> parameters;
};
/// Gradients of Σ output · doutput, doutput as the output; rows of keys are those of the sequences' key_begin.
Gradients backward(const AttentionProblem& problem, const std::vector<double>& doutput);

}  // namespace heed::attention::reference
