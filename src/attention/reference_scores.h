#pragma once
#include <heed/attention.h>

#include <vector>

/// The six raw scores of a query and a key, before scale, cap, rule and biases, and their derivatives.
namespace heed::attention::reference {

using Row = std::vector<double>;

/// One head of row `row` of a packed tensor whose rows lie `stride` elements apart: elements [head·width, (head +
/// 1)·width). Integers are multiplied by `scale`; in int4 the first of two elements is the low half of their byte.
Row read_row(const void* data, DType dtype, std::int64_t row, std::int64_t stride, int head, std::int64_t width,
             double scale = 1.0);

double raw_score(const AttentionProblem& problem, int head, const Row& query, const Row& key);

/// Where a raw score's derivatives are added to: the query's and the key's head, and W or v of the head.
struct RawGradients {
  double* query;
  double* key;
  double* learned;
};
void add_raw_gradients(const AttentionProblem& problem, int head, const Row& query, const Row& key, double draw,
                       const RawGradients& to);

}  // namespace heed::attention::reference
