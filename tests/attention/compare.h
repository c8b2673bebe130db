#pragma once
// Kernels held to the reference. Tolerances follow from norms and epsilon alone.
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include "attention/choice.h"
#include "attention/reference_scores.h"

namespace heed::attention {

/// Euclidean norms of many short rows.
struct Norms {
  double largest = 0.0, smallest = std::numeric_limits<double>::infinity();
  void add(const double* row, std::int64_t width) {
    const double norm = std::sqrt(std::inner_product(row, row + width, row, 0.0));
    largest = std::max(largest, norm);
    if (norm > 0.0) smallest = std::min(smallest, norm);
  }
  static Norms of(const std::vector<double>& elements, std::int64_t width) {
    Norms norms;
    for (std::size_t i = 0; i < elements.size(); i += static_cast<std::size_t>(width)) norms.add(&elements[i], width);
    return norms;
  }
};

/// The norms of a sample's keys and values, head by head.
inline std::pair<Norms, Norms> key_and_value_norms(const AttentionProblem& problem) {
  std::pair<Norms, Norms> norms;
  const auto add = [&](Norms& to, const void* data, std::int64_t stride, std::int64_t width, const float* scales,
                       std::int64_t row) {
    for (int head = 0; head < problem.key_value_heads; ++head) {
      const double scale = scales ? scales[row * problem.key_value_heads + head] : 1.0;
      const std::vector<double> numbers =
          reference::read_row(data, problem.key_value_dtype, row, stride, head, width, scale);
      to.add(numbers.data(), width);
    }
  };
  const auto add_spans = [&](const std::vector<KeyValueSpan>& spans) {
    for (const KeyValueSpan& span : spans)
      for (std::int64_t row = 0; row < span.count; ++row) {
        add(norms.first, span.key, problem.key_stride, key_width_of(problem), span.key_scale, row);
        add(norms.second, span.value, problem.value_stride, problem.value_width, span.value_scale, row);
      }
  };
  for (const AttentionSequence& sequence : problem.sequences) add_spans(sequence.spans);
  for (const SharedPrefix& prefix : problem.prefixes) add_spans(prefix.spans);
  return norms;
}

/// How far a raw score moves: at most `size` itself, and by at most these for one unit of what it is made of.
struct RawBounds {
  double size = 0.0, by_query = 0.0, by_key = 0.0, by_learned = 0.0;

  RawBounds(const Sample& sample, const Norms& query, const Norms& key) {
    const AttentionProblem& problem = sample.problem;
    const double q = query.largest, k = key.largest;
    const auto largest_norm = [&](const Tensor& of) {
      std::vector<double> all(of.floats(), of.floats() + of.elements());
      return Norms::of(all, of.elements() / problem.heads).largest;
    };
    switch (problem.spec.score) {
      case Score::scaled_dot:
      case Score::dot:
        size = q * k, by_query = k, by_key = q;
        break;
      case Score::bilinear: {
        const double w = largest_norm(sample.bilinear);
        size = q * w * k, by_query = w * k, by_key = q * w, by_learned = q * k;
        break;
      }
      case Score::cosine:
        size = 1.0, by_query = 2.0 / query.smallest, by_key = 2.0 / key.smallest;
        break;
      case Score::euclidean:
        size = (q + k) * (q + k), by_query = by_key = 2.0 * (q + k);
        break;
      case Score::additive: {
        const double v = largest_norm(sample.direction);
        size = v * std::sqrt(static_cast<double>(problem.head_width)), by_query = by_key = v, by_learned = 1.0;
        break;
      }
    }
  }
};

/// How steeply weights follow scores, from the reference's weights w: w^(2 − α), which is w for softmax (α = 1), its
/// root for entmax15 and 1 for sparsemax. Errors of many sums add up as random numbers do, so columns are summed by
/// squares.
struct WeightNorms {
  double row = 1.0;     ///< largest sum over the keys of a query
  double column = 0.0;  ///< largest root of the sum of squares over the queries and heads of a key
  double all = 0.0;     ///< root of the sum of all squares
  double largest_score = 1.0;

  explicit WeightNorms(const AttentionProblem& problem) {
    const Normaliser normaliser = problem.spec.normaliser;
    for (std::size_t s = 0; s < problem.sequences.size(); ++s) {
      const auto keys = static_cast<std::size_t>(key_count_of(problem, s));
      std::vector<double> columns(keys);
      for (int head = 0; head < problem.heads; ++head) {
        if (head % (problem.heads / problem.key_value_heads) == 0) std::fill(columns.begin(), columns.end(), 0.0);
        const std::vector<double> weights = reference::weights(problem, s, head);
        double sum = 0.0;
        for (std::size_t i = 0; i < weights.size(); ++i) {
          const double weight = std::isfinite(weights[i]) ? weights[i] : 1.0;
          const double slope = normaliser == Normaliser::sparsemax  ? (weight > 0.0 ? 1.0 : 0.0)
                               : normaliser == Normaliser::entmax15 ? std::sqrt(weight)
                                                                    : weight;
          sum = i % keys == 0 ? slope : sum + slope;
          row = std::max(row, sum);
          columns[i % keys] += slope * slope;
          column = std::max(column, columns[i % keys]);
          all += slope * slope;
        }
        for (const double score : reference::scores(problem, s, head))
          if (std::isfinite(score)) largest_score = std::max(largest_score, std::abs(score));
      }
    }
    column = std::sqrt(column);
    all = std::sqrt(all);
  }
};

/// The largest differences that rounding may make of everything that a forward and a backward write: with scores off by
/// at most δ, weights are off by 2δ times their slope; from there on everything is sums of products, bounded by the
/// norms of what is multiplied.
struct Tolerances {
  double output, log_sum_exp, query, key, value, learned_raw, sinks, slopes, bias, parameters;

  /// With `bfloat16_products`, weights and their gradients are rounded to bfloat16 before they are multiplied.
  Tolerances(const Choice& choice, const Sample& sample, bool bfloat16_products = false) {
    const AttentionProblem& problem = sample.problem;
    const Norms query_norms = Norms::of(Sample::elements_of(problem.query), problem.head_width);
    const auto [key_norms, value_norms] = key_and_value_norms(problem);
    const double doutput = Norms::of(sample.doutput_in_double(), problem.value_width).largest;
    const RawBounds raw(sample, query_norms, key_norms);
    const WeightNorms weights(problem);
    double keys = 1.0, farthest = 1.0;
    for (std::size_t s = 0; s < problem.sequences.size(); ++s) {
      keys = std::max(keys, static_cast<double>(key_count_of(problem, s)));
      farthest = std::max(farthest, keys + static_cast<double>(problem.sequences[s].query_count));
    }
    const double epsilon = std::numeric_limits<float>::epsilon();
    const double output_epsilon =
        choice.output_dtype == DType::bfloat16 ? 0x1p-8 : epsilon;  // of rounding to the nearest
    const double scale = std::abs(static_cast<double>(scale_of(problem))), kept = 1.0 - problem.spec.dropout;
    const double rule = problem.spec.rule ? 4.0 : 1.0;  // samples' rules are less steep, and bend less
    const double bend = rule * (problem.spec.soft_cap == 0.0f ? 1.0 : 1.0 + 2.0 / problem.spec.soft_cap);
    const double size = rule * scale * raw.size, sum = epsilon * (4.0 + std::sqrt(keys));
    const double delta = 1.5 * epsilon * (size + weights.largest_score);
    // Of bfloat16 queries, q·W is rounded to bfloat16.
    const bool halved = problem.spec.score == Score::bilinear && choice.query_dtype == DType::bfloat16;
    const double coarse = (halved ? 0x1p-8 * size : 0.0) + (bfloat16_products ? 0x1p-8 : 0.0);
    // A bound by norms is reached where all vectors are parallel: measured differences stay below a tenth of it.
    const double share = (2.0 * delta + sum) / 4.0 + coarse;
    output = value_norms.largest / kept * weights.row * (share + output_epsilon);
    log_sum_exp = 2.0 * delta + sum + coarse;
    value = doutput / kept * share * weights.column;
    // dscore = weight · (dweight − Σ weight · dweight), by as much off for a weight of 1.
    const double dscore =
        doutput * value_norms.largest / kept * bend * weights.row * (share / 2.0 + coarse + output_epsilon);
    query = dscore * rule * scale * raw.by_query;
    key = dscore * rule * scale * raw.by_key * weights.column;
    bias = dscore * weights.all;
    learned_raw = bias * rule * scale * raw.by_learned;
    sinks = dscore * std::sqrt(static_cast<double>(problem.query.rows));
    slopes = bias * farthest;
    parameters = bias * (1.0 + weights.largest_score);
  }
};

/// The worst difference as a sentence; empty when all are within the tolerance. What is not finite is so in both.
inline std::string difference(const std::string& what, const std::vector<double>& actual,
                              const std::vector<double>& expected, double tolerance) {
  if (actual.size() < expected.size())
    return format("{} has {} elements, expected {}\n", what, actual.size(), expected.size());
  std::size_t worst = 0;
  double worst_difference = -1.0;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    const double should = i < expected.size() ? expected[i] : 0.0;
    const bool same = actual[i] == should || (std::isnan(actual[i]) && std::isnan(should));
    const double away = same                                                ? 0.0
                        : std::isfinite(actual[i]) && std::isfinite(should) ? std::abs(actual[i] - should)
                                                                            : std::numeric_limits<double>::infinity();
    if (away <= worst_difference) continue;
    worst_difference = away;
    worst = i;
  }
  if (worst_difference <= tolerance) return {};
  return format("{} is {} at {}, expected {}; the difference {} is above {}\n", what, actual[worst], worst,
                worst < expected.size() ? expected[worst] : 0.0, worst_difference, tolerance);
}

/// A note when something was written between rows.
inline std::string gaps_untouched(const std::string& what, const Tensor& rows, const View& view) {
  for (std::int64_t row = 0; row < view.rows; ++row)
    for (std::int64_t i = 0; i < view.row_stride - view.width; ++i) {
      const std::int64_t element = row * view.row_stride + i;
      const float number =
          rows.dtype() == DType::bfloat16 ? static_cast<float>(rows.as<bfloat16>()[element]) : rows.floats()[element];
      if (!std::isnan(number)) return format("{} is written in the gap before row {}, at {}\n", what, row, i);
    }
  return {};
}

/// Sparsemax's gradient jumps where a score is at the threshold: queries with such a score get no gradient to start
/// from.
inline void keep_off_edges(const Sample& sample, const reference::Result& result, double margin) {
  const AttentionProblem& problem = sample.problem;
  if (problem.spec.normaliser != Normaliser::sparsemax) return;
  const View doutput = sample.view_of(sample.doutput);
  for (std::size_t s = 0; s < problem.sequences.size(); ++s)
    for (int head = 0; head < problem.heads; ++head) {
      const AttentionSequence& sequence = problem.sequences[s];
      const std::vector<double> scores = reference::scores(problem, s, head);
      for (std::size_t i = 0; i < scores.size(); ++i) {
        const std::int64_t row = sequence.query_begin + static_cast<std::int64_t>(i) / sequence.key_count;
        const double threshold = result.log_sum_exp[static_cast<std::size_t>(head * problem.query.rows + row)];
        if (std::abs(scores[i] - threshold) < margin)
          std::fill_n(doutput.floats() + row * doutput.row_stride + head * problem.value_width, problem.value_width,
                      0.0f);
      }
    }
}

/// What the reference says of a sample, which is computed once for all instruction sets.
class Comparison {
 public:
  Comparison(const Choice& choice, std::uint64_t seed)
      : choice_(choice),
        sample_(choice, seed),
        expected_(reference::forward(sample_.problem)),
        tolerances_(choice, sample_) {
    if (choice.query_dtype == DType::bfloat16 && choice.key_value_dtype == DType::bfloat16)
      of_bfloat16_ = Tolerances(choice, sample_, true);
    if (!choice.differentiable()) return;
    const int group = choice.heads / choice.key_value_heads;
    for (const AttentionSequence& sequence : sample_.problem.sequences)
      terms_ = std::max(terms_, static_cast<double>(std::max(group * sequence.query_count, sequence.key_count)));
    keep_off_edges(sample_, expected_, tolerances_.log_sum_exp);
    gradients_ = reference::backward(sample_.problem, sample_.doutput_in_double());
  }

  /// Runs the kernels of `set` forward and, where that can be, backward: what differs from the reference, or nothing.
  std::string difference_of(kernels::InstructionSet set, ThreadPool& pool) {
    all_.clear();
    const bool of_bfloat16 = of_bfloat16_ && set == kernels::InstructionSet::avx512_bf16;
    const Tolerances& tolerances = of_bfloat16 ? *of_bfloat16_ : tolerances_;
    const View output = sample_.view_of(sample_.output);
    clear(output);
    sample_.log_sum_exp.fill(std::numeric_limits<float>::quiet_NaN());
    sample_.forward(pool, set);
    compare("output", Sample::elements_of(output), expected_.output, tolerances.output);
    all_ += gaps_untouched("output", sample_.output, output);
    compare("log-sum-exp", elements_of(sample_.log_sum_exp), expected_.log_sum_exp, tolerances.log_sum_exp);
    if (choice_.differentiable()) compare_gradients(set, tolerances, pool);
    return all_.empty() ? all_ : format("on {}:\n{}", kernels::name_of(set), all_);
  }

 private:
  void compare_gradients(kernels::InstructionSet set, const Tolerances& tolerances, ThreadPool& pool) {
    SampleGradients actual(sample_, choice_.accumulate, choice_.unwanted);
    actual.backward(sample_, pool, set);
    compare_rows("query's gradient", actual.query, actual.to.query, gradients_.query, tolerances.query);
    compare_rows("key's gradient", actual.key, actual.to.key, gradients_.key, tolerances.key);
    compare_rows("value's gradient", actual.value, actual.to.value, gradients_.value, tolerances.value);
    compare_learned("bilinear's gradient", actual.bilinear, gradients_.bilinear, tolerances.learned_raw);
    compare_learned("direction's gradient", actual.direction, gradients_.direction, tolerances.learned_raw);
    compare_learned("sinks' gradient", actual.sinks, gradients_.sinks, tolerances.sinks);
    compare_learned("slopes' gradient", actual.slopes, gradients_.slopes, tolerances.slopes);
    compare_learned("relative's gradient", actual.relative, gradients_.relative, tolerances.bias);
    compare_learned("bias's gradient", actual.bias, gradients_.bias, tolerances.bias);
    for (std::size_t i = 0; i < actual.parameters.size(); ++i)
      compare_learned(format("parameter {}'s gradient", i), actual.parameters[i], gradients_.parameters[i],
                      tolerances.parameters);
  }

  void compare(const std::string& what, const std::vector<double>& actual, const std::vector<double>& expected,
               double tolerance) {
    all_ += difference(what, actual, expected, tolerance);
  }
  /// Gradients, to which 1 was added where they are added to; sums are rounded to what they are, those that are added
  /// to at every term: the 1 is there from the first term on.
  void compare_gradient(const std::string& what, std::vector<double> actual, const std::vector<double>& expected,
                        double tolerance) {
    double largest = 1.0;
    for (const double element : expected)
      if (std::isfinite(element)) largest = std::max(largest, std::abs(element));
    for (double& element : actual) element -= choice_.accumulate ? 1.0 : 0.0;
    const double roundings = 8.0 + (choice_.accumulate ? 2.0 * std::sqrt(terms_) : 0.0);
    compare(what, actual, expected, tolerance + roundings * std::numeric_limits<float>::epsilon() * largest);
  }
  void compare_rows(const std::string& what, const Tensor& rows, const View& view, const std::vector<double>& expected,
                    double tolerance) {
    if (view.data) compare_gradient(what, Sample::elements_of(view), expected, tolerance);
    all_ += gaps_untouched(what, rows, sample_.view_of(rows));
  }
  void compare_learned(const std::string& what, const Tensor& tensor, const std::vector<double>& expected,
                       double tolerance) {
    if (tensor) compare_gradient(what, elements_of(tensor), expected, tolerance);
  }
  static std::vector<double> elements_of(const Tensor& tensor) {
    return {tensor.floats(), tensor.floats() + tensor.elements()};
  }
  /// What one instruction set wrote must not pass for what the next did not write.
  static void clear(const View& view) {
    for (std::int64_t row = 0; row < view.rows; ++row)
      std::memset(view.as<char>() + row * view.row_stride * size_of(view.dtype), 0xff,
                  static_cast<std::size_t>(view.width * size_of(view.dtype)));
  }

  const Choice& choice_;
  Sample sample_;
  reference::Result expected_;
  Tolerances tolerances_;
  std::optional<Tolerances> of_bfloat16_;
  reference::Gradients gradients_;
  double terms_ = 1.0;  ///< of the longest sum over a sequence's queries or keys
  std::string all_;
};

}  // namespace heed::attention
