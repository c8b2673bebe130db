#include "attention/reference.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "attention/problem.h"

namespace heed::attention::reference {

namespace {

using Row = std::vector<double>;

double element(const void* data, DType dtype, std::int64_t index) {
  if (dtype == DType::float32) return static_cast<const float*>(data)[index];
  if (dtype == DType::bfloat16) return static_cast<float>(static_cast<const bfloat16*>(data)[index]);
  return static_cast<float>(static_cast<const float16*>(data)[index]);
}

std::size_t at(std::int64_t row, std::int64_t width, std::int64_t column) {
  return static_cast<std::size_t>(row * width + column);
}

/// One head of one sequence as matrices of doubles, and its scores and weights.
struct Head {
  const AttentionProblem& problem;
  const AttentionSequence& sequence;
  std::size_t index;
  int head, key_value_head;
  std::int64_t queries, keys, width, value_width;
  double scale, cap;
  std::vector<Row> query, key, value;

  Head(const AttentionProblem& of, std::size_t sequence_index, int number)
      : problem(of),
        sequence(of.sequences[sequence_index]),
        index(sequence_index),
        head(number),
        key_value_head(number / (of.heads / of.key_value_heads)),
        queries(sequence.query_count),
        keys(sequence.key_count),
        width(of.head_width),
        value_width(of.value_width),
        scale(of.spec.scale ? *of.spec.scale : 1.0 / std::sqrt(static_cast<double>(of.head_width))),
        cap(of.spec.soft_cap) {
    for (std::int64_t i = 0; i < queries; ++i)
      query.push_back(row(problem.query.data, problem.query.dtype,
                          (sequence.query_begin + i) * problem.query.row_stride, head, width));
    for (const KeyValueSpan& span : sequence.spans)
      for (std::int64_t i = 0; i < span.count; ++i) {
        key.push_back(row(span.key, problem.key_value_dtype, i * problem.key_stride, key_value_head, width));
        value.push_back(
            row(span.value, problem.key_value_dtype, i * problem.value_stride, key_value_head, value_width));
      }
  }

  static Row row(const void* data, DType dtype, std::int64_t begin, int column, std::int64_t width) {
    Row result;
    for (std::int64_t i = 0; i < width; ++i) result.push_back(element(data, dtype, begin + column * width + i));
    return result;
  }

  static double dot(const Row& a, const Row& b) {
    double sum = 0.0;
    for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
    return sum;
  }

  std::int64_t position(std::int64_t i) const { return sequence.query_position + i; }

  /// Where in the table the relative bias of (query i, key j) stands.
  std::size_t relative_place(std::int64_t i, std::int64_t j) const {
    const std::int64_t reach = problem.relative_reach;
    return at(head, 2 * reach + 1, std::clamp(j - position(i), -reach, reach) + reach);
  }

  double score(std::int64_t i, std::int64_t j) const {
    if (!problem.spec.mask.allows(static_cast<int>(index), head, position(i), j))
      return -std::numeric_limits<double>::infinity();
    double score = scale * dot(query[static_cast<std::size_t>(i)], key[static_cast<std::size_t>(j)]);
    if (cap != 0.0) score = cap * std::tanh(score / cap);
    if (problem.slopes) score -= problem.slopes[head] * static_cast<double>(std::abs(position(i) - j));
    if (problem.relative) score += problem.relative[relative_place(i, j)];
    return score;
  }

  /// Weights of query i, and its log-sum-exp.
  Row weights(std::int64_t i, double* log_sum_exp = nullptr) const {
    Row weights;
    double maximum = -std::numeric_limits<double>::infinity(), sum = 0.0;
    for (std::int64_t j = 0; j < keys; ++j) {
      weights.push_back(score(i, j));
      maximum = std::max(maximum, weights.back());
    }
    const bool sees_any = maximum > -std::numeric_limits<double>::infinity();
    for (double& weight : weights) sum += weight = sees_any ? std::exp(weight - maximum) : 0.0;
    if (log_sum_exp) *log_sum_exp = sees_any ? maximum + std::log(sum) : maximum;
    if (sees_any)
      for (double& weight : weights) weight /= sum;
    return weights;
  }

  /// What the weight of (query i, key j) is multiplied by: 0 when dropped, else 1 / (1 − dropout).
  double kept(std::int64_t i, std::int64_t j) const {
    const double dropout = problem.spec.dropout;
    if (dropout == 0.0) return 1.0;
    const bool dropped = drop_bits(drop_key(problem, index, head), i, j) < drop_below(problem.spec.dropout);
    return dropped ? 0.0 : 1.0 / (1.0 - dropout);
  }
};

template <class Function>
void each_head(const AttentionProblem& problem, Function f) {
  for (std::size_t sequence = 0; sequence < problem.sequences.size(); ++sequence)
    for (int head = 0; head < problem.heads; ++head) f(Head(problem, sequence, head));
}

}  // namespace

Result forward(const AttentionProblem& problem) {
  const std::int64_t rows = problem.query.rows, width = std::int64_t{problem.heads} * problem.value_width;
  Result result{Row(static_cast<std::size_t>(rows * width)), Row(static_cast<std::size_t>(problem.heads * rows))};
  each_head(problem, [&](const Head& head) {
    for (std::int64_t i = 0; i < head.queries; ++i) {
      const std::int64_t row = head.sequence.query_begin + i;
      const Row weights = head.weights(i, &result.log_sum_exp[at(head.head, rows, row)]);
      for (std::int64_t j = 0; j < head.keys; ++j)
        for (std::int64_t c = 0; c < head.value_width; ++c)
          result.output[at(row, width, head.head * head.value_width + c)] +=
              head.kept(i, j) * weights[static_cast<std::size_t>(j)] *
              head.value[static_cast<std::size_t>(j)][static_cast<std::size_t>(c)];
    }
  });
  return result;
}

std::vector<double> weights(const AttentionProblem& problem, std::size_t sequence, int number) {
  const Head head(problem, sequence, number);
  Row all;
  for (std::int64_t i = 0; i < head.queries; ++i) {
    const Row row = head.weights(i);
    all.insert(all.end(), row.begin(), row.end());
  }
  return all;
}

Gradients backward(const AttentionProblem& problem, const std::vector<double>& doutput) {
  std::int64_t key_rows = 0;
  for (const AttentionSequence& sequence : problem.sequences)
    key_rows = std::max(key_rows, sequence.key_begin + sequence.key_count);
  const std::int64_t query_width = std::int64_t{problem.heads} * problem.head_width;
  const std::int64_t output_width = std::int64_t{problem.heads} * problem.value_width;
  const std::int64_t key_width = std::int64_t{problem.key_value_heads} * problem.head_width;
  const std::int64_t value_width = std::int64_t{problem.key_value_heads} * problem.value_width;
  Gradients to;
  to.query.resize(static_cast<std::size_t>(problem.query.rows * query_width));
  to.key.resize(static_cast<std::size_t>(key_rows * key_width));
  to.value.resize(static_cast<std::size_t>(key_rows * value_width));
  if (problem.relative) to.relative.resize(static_cast<std::size_t>(problem.heads * (2 * problem.relative_reach + 1)));

  each_head(problem, [&](const Head& head) {
    for (std::int64_t i = 0; i < head.queries; ++i) {
      const std::int64_t row = head.sequence.query_begin + i;
      const auto begin = doutput.begin() + row * output_width + head.head * head.value_width;
      const Row dout(begin, begin + head.value_width);
      const Row weights = head.weights(i);
      Row dweights;  // of the weights before dropout
      double mean = 0.0;
      for (std::int64_t j = 0; j < head.keys; ++j) {
        const auto key = static_cast<std::size_t>(j);
        dweights.push_back(head.kept(i, j) * Head::dot(dout, head.value[key]));
        mean += weights[key] * dweights[key];
      }
      for (std::int64_t j = 0; j < head.keys; ++j) {
        const auto key = static_cast<std::size_t>(j);
        const std::int64_t key_row = head.sequence.key_begin + j;
        for (std::int64_t c = 0; c < head.value_width; ++c)
          to.value[at(key_row, value_width, head.key_value_head * head.value_width + c)] +=
              head.kept(i, j) * weights[key] * dout[static_cast<std::size_t>(c)];
        double dscore = weights[key] * (dweights[key] - mean);
        if (problem.relative) to.relative[head.relative_place(i, j)] += dscore;
        const Row& query = head.query[static_cast<std::size_t>(i)];
        if (head.cap != 0.0) {
          const double bent = std::tanh(head.scale * Head::dot(query, head.key[key]) / head.cap);
          dscore *= 1.0 - bent * bent;
        }
        dscore *= head.scale;
        for (std::int64_t c = 0; c < head.width; ++c) {
          const auto column = static_cast<std::size_t>(c);
          to.query[at(row, query_width, head.head * head.width + c)] += dscore * head.key[key][column];
          to.key[at(key_row, key_width, head.key_value_head * head.width + c)] += dscore * query[column];
        }
      }
    }
  });
  return to;
}

}  // namespace heed::attention::reference
