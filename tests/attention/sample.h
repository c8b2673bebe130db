#pragma once
// Random problems with their memory, and comparisons with the reference. Tolerances come from norms and epsilon.
#include <gtest/gtest.h>
#include <heed/attention.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "attention/attend.h"
#include "attention/reference.h"

namespace heed::attention {

/// What a sample is drawn from.
struct Choice {
  AttentionSpec spec;
  int heads = 2, key_value_heads = 1, head_width = 16, value_width = 16;
  std::vector<std::pair<std::int64_t, std::int64_t>> lengths = {{5, 7}};  ///< queries and keys of each sequence
  DType query_dtype = DType::float32, key_value_dtype = DType::float32;
  std::int64_t span = 0;  ///< rows of a span; 0: one span a sequence
  bool slopes = false;
  std::int64_t reach = -1;  ///< of relative biases; −1: none
  bool queries_at_end = true;

  std::string text() const {
    std::string text =
        format("{}; {} heads over {}, widths {} and {}, {} queries, {} keys, span {}, slopes {}, reach {}; lengths",
               spec, heads, key_value_heads, head_width, value_width, name_of(query_dtype), name_of(key_value_dtype),
               span, slopes, reach);
    for (const auto& [queries, keys] : lengths) text += format(" {}x{}", queries, keys);
    return text;
  }
};

/// A problem and the memory that it points into.
struct Sample {
  AttentionProblem problem;
  Tensor query, key, value, slopes, relative, output, log_sum_exp, doutput;

  Sample(const Choice& choice, std::uint64_t seed, float size = 1.0f) {
    std::int64_t queries = 0, keys = 0;
    for (const auto& [q, k] : choice.lengths) {
      AttentionSequence sequence;
      sequence.query_begin = queries;
      sequence.query_count = q;
      sequence.query_position = choice.queries_at_end ? k - q : 0;
      sequence.key_begin = keys;
      sequence.key_count = k;
      problem.sequences.push_back(sequence);
      queries += q;
      keys += k;
    }
    const RandomKey random{seed};
    query = draw({queries, choice.heads * choice.head_width}, random.fold(0), size).to(choice.query_dtype);
    key = draw({keys, choice.key_value_heads * choice.head_width}, random.fold(1), size).to(choice.key_value_dtype);
    value = draw({keys, choice.key_value_heads * choice.value_width}, random.fold(2), size).to(choice.key_value_dtype);
    doutput = draw({queries, choice.heads * choice.value_width}, random.fold(3), size);
    output = Tensor({queries, choice.heads * choice.value_width});
    log_sum_exp = Tensor({choice.heads, queries});
    problem.spec = choice.spec;
    problem.heads = choice.heads;
    problem.key_value_heads = choice.key_value_heads;
    problem.head_width = choice.head_width;
    problem.value_width = choice.value_width;
    problem.query = query.view();
    problem.key_value_dtype = choice.key_value_dtype;
    problem.key_stride = key.width();
    problem.value_stride = value.width();
    problem.dropout_key = random.fold(4);
    if (choice.slopes) {
      slopes = draw({choice.heads}, random.fold(5), 0.1f);
      problem.slopes = slopes.floats();
    }
    if (choice.reach >= 0) {
      relative = draw({choice.heads, 2 * choice.reach + 1}, random.fold(6), size);
      problem.relative = relative.floats();
      problem.relative_reach = choice.reach;
    }
    for (AttentionSequence& sequence : problem.sequences) {
      const std::int64_t most = choice.span ? choice.span : std::max<std::int64_t>(sequence.key_count, 1);
      for (std::int64_t row = 0; row < sequence.key_count; row += most)
        sequence.spans.push_back({row_of(key, sequence.key_begin + row), row_of(value, sequence.key_begin + row),
                                  std::min(most, sequence.key_count - row)});
    }
  }

  static Tensor draw(Shape shape, RandomKey key, float size) {
    Tensor tensor(shape);
    for (std::int64_t i = 0; i < tensor.elements(); ++i)
      tensor.floats()[i] = size * normal(key, static_cast<std::uint64_t>(i));
    return tensor;
  }
  static const void* row_of(const Tensor& tensor, std::int64_t row) {
    return static_cast<const char*>(tensor.data()) + row * tensor.width() * size_of(tensor.dtype());
  }

  void forward(ThreadPool& pool, kernels::InstructionSet set = kernels::chosen()) {
    attention::forward(problem, output.view(), log_sum_exp.floats(), pool, set);
  }
  std::vector<double> doutput_in_double() const { return {doutput.floats(), doutput.floats() + doutput.elements()}; }
};

/// Gradients as tensors, begun with NaN so that anything not written shows.
struct SampleGradients {
  Tensor query, key, value, relative;
  AttentionGradients to;

  explicit SampleGradients(const Sample& sample)
      : query(sample.query.shape()), key(sample.key.shape()), value(sample.value.shape()) {
    for (Tensor* tensor : {&query, &key, &value}) tensor->fill(std::numeric_limits<float>::quiet_NaN());
    to = {.query = query.view(), .key = key.view(), .value = value.view()};
    if (sample.relative) {
      relative = Tensor(sample.relative.shape());
      to.relative = relative.floats();
    }
  }
  void backward(const Sample& sample, ThreadPool& pool, kernels::InstructionSet set = kernels::chosen()) {
    attention::backward(sample.problem, sample.output.view(), sample.log_sum_exp.floats(), sample.doutput.view(), to,
                        pool, set);
  }
};

/// The difference's largest element against the expected values' scale: `epsilons` of float32 times its largest element
/// (and 1, what scores are made of).
inline void expect_close(const Tensor& actual, const std::vector<double>& expected, double epsilons,
                         const std::string& what) {
  ASSERT_EQ(actual.elements(), static_cast<std::int64_t>(expected.size())) << what;
  double norm = 1.0, worst = 0.0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double value = actual.floats()[i];
    if (std::isinf(expected[i])) {
      ASSERT_EQ(value, expected[i]) << what << " at " << i;
      continue;
    }
    ASSERT_FALSE(std::isnan(value)) << what << " at " << i;
    norm = std::max(norm, std::abs(expected[i]));
    worst = std::max(worst, std::abs(value - expected[i]));
  }
  EXPECT_LE(worst, epsilons * std::numeric_limits<float>::epsilon() * norm) << what;
}

/// Rounding grows with the length of the sums: scores over the width, outputs over the keys.
inline double epsilons_of(const Choice& choice) {
  std::int64_t longest = 1;
  for (const auto& [queries, keys] : choice.lengths) longest = std::max({longest, queries, keys});
  return 8.0 * (8.0 + std::sqrt(static_cast<double>(choice.head_width)) + std::sqrt(static_cast<double>(longest)));
}

}  // namespace heed::attention
