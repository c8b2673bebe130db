#include "attention/reference.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "attention/problem.h"
#include "attention/reference_normalisers.h"
#include "attention/reference_scores.h"
#include "attention/terms.h"

namespace heed::attention::reference {

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

std::size_t place(std::int64_t row, std::int64_t width, std::int64_t column) {
  return static_cast<std::size_t>(row * width + column);
}

/// One head of one sequence as matrices of doubles.
struct Head {
  const AttentionProblem& problem;
  const AttentionSequence& sequence;
  std::size_t index;
  int number, key_value_head;
  std::int64_t keys;  ///< with those of a shared prefix
  std::int64_t key_width;
  double scale, cap;
  const Terms* rule;  ///< null: none
  std::vector<Row> query, key, value;

  Head(const AttentionProblem& of, const Terms* score_rule, std::size_t sequence_index, int head)
      : problem(of),
        sequence(of.sequences[sequence_index]),
        index(sequence_index),
        number(head),
        key_value_head(head / (of.heads / of.key_value_heads)),
        keys(key_count_of(of, sequence_index)),
        key_width(key_width_of(of)),
        scale(of.spec.scale                        ? *of.spec.scale
              : of.spec.score == Score::scaled_dot ? 1.0 / std::sqrt(static_cast<double>(of.head_width))
                                                   : 1.0),
        cap(of.spec.soft_cap),
        rule(score_rule) {
    for (std::int64_t i = 0; i < sequence.query_count; ++i)
      query.push_back(read_row(problem.query.data, problem.query.dtype, sequence.query_begin + i,
                               problem.query.row_stride, number, problem.head_width));
    if (const SharedPrefix* prefix = prefix_of(problem, index)) read_keys(prefix->spans);
    read_keys(sequence.spans);
  }

  void read_keys(const std::vector<KeyValueSpan>& spans) {
    const DType dtype = problem.key_value_dtype;
    for (const KeyValueSpan& span : spans)
      for (std::int64_t i = 0; i < span.count; ++i) {
        const auto scale_of_row = [&](const float* scales) {
          return scales ? scales[i * problem.key_value_heads + key_value_head] : 1.0f;
        };
        key.push_back(
            read_row(span.key, dtype, i, problem.key_stride, key_value_head, key_width, scale_of_row(span.key_scale)));
        value.push_back(read_row(span.value, dtype, i, problem.value_stride, key_value_head, problem.value_width,
                                 scale_of_row(span.value_scale)));
      }
  }

  std::int64_t position(std::int64_t i) const { return sequence.query_position + i; }
  std::int64_t distance(std::int64_t i, std::int64_t j) const { return std::abs(position(i) - j); }

  /// Where in their tables the relative bias and the full bias of (query i, key j) stand.
  std::size_t relative_place(std::int64_t i, std::int64_t j) const {
    const std::int64_t reach = problem.relative_reach;
    return place(number, 2 * reach + 1, std::clamp(j - position(i), -reach, reach) + reach);
  }
  std::size_t bias_place(std::int64_t i, std::int64_t j) const {
    const std::int64_t* strides = problem.bias.strides;
    return static_cast<std::size_t>(static_cast<std::int64_t>(index) * strides[0] + number * strides[1] +
                                    i * strides[2] + j * strides[3]);
  }

  /// The keys that query i may see.
  std::vector<std::int64_t> seen(std::int64_t i) const {
    std::vector<std::int64_t> allowed;
    for (std::int64_t j = 0; j < keys; ++j)
      if (problem.spec.mask.allows(static_cast<int>(index), number, position(i), j)) allowed.push_back(j);
    return allowed;
  }

  double raw(std::int64_t i, std::int64_t j) const {
    return raw_score(problem, number, query[static_cast<std::size_t>(i)], key[static_cast<std::size_t>(j)]);
  }

  /// What the rule is given.
  Point point(std::int64_t i, std::int64_t j, double score) const {
    return {static_cast<int>(index), number, position(i), j, score};
  }

  double score(std::int64_t i, std::int64_t j) const {
    double score = scale * raw(i, j);
    if (cap != 0.0) score = cap * std::tanh(score / cap);
    if (rule) score = rule->value(point(i, j, score), problem.parameters);
    if (problem.slopes) score -= problem.slopes[number] * static_cast<double>(distance(i, j));
    if (problem.relative) score += problem.relative[relative_place(i, j)];
    if (problem.bias.data) score += problem.bias.data[bias_place(i, j)];
    return score;
  }

  Normalised normalised(std::int64_t i, const std::vector<std::int64_t>& allowed) const {
    Row scores;
    for (const std::int64_t j : allowed) scores.push_back(score(i, j));
    const double sink = problem.spec.normaliser == Normaliser::softmax_zero   ? 0.0
                        : problem.spec.normaliser == Normaliser::softmax_sink ? problem.sinks[number]
                                                                              : -infinity;
    return normalise(problem.spec.normaliser, scores, sink);
  }

  /// What the weight of (query i, key j) is multiplied by: 0 when dropped, else 1 / (1 − dropout).
  double kept(std::int64_t i, std::int64_t j) const {
    const double dropout = problem.spec.dropout;
    if (dropout == 0.0) return 1.0;
    const bool dropped = drop_bits(drop_key(problem, index, number), i, j) < drop_below(problem.spec.dropout);
    return dropped ? 0.0 : 1.0 / (1.0 - dropout);
  }

  /// Adds what a score's derivative gives to everything that the score was made of.
  void add_score_gradients(std::int64_t i, std::int64_t j, double dscore, Gradients& to) const {
    const auto own = static_cast<std::size_t>(number);
    if (problem.slopes) to.slopes[own] -= dscore * static_cast<double>(distance(i, j));
    if (problem.relative) to.relative[relative_place(i, j)] += dscore;
    if (problem.bias.data) to.bias[bias_place(i, j)] += dscore;
    const double scaled = scale * raw(i, j), bent = cap == 0.0 ? 0.0 : std::tanh(scaled / cap);
    if (rule) {
      std::vector<ParameterShare> shares;
      const double slope = rule->derivative(point(i, j, cap == 0.0 ? scaled : cap * bent), problem.parameters, shares);
      for (const ParameterShare& share : shares)
        to.parameters[static_cast<std::size_t>(share.number)][static_cast<std::size_t>(share.element)] +=
            dscore * share.derivative;
      dscore *= slope;
    }
    const double draw = dscore * (1.0 - bent * bent) * scale;
    const std::int64_t width = problem.head_width;
    const RawGradients raw_gradients = {
        &to.query[place(sequence.query_begin + i, problem.heads * width, number * width)],
        &to.key[place(sequence.key_begin + j, problem.key_value_heads * key_width, key_value_head * key_width)],
        !to.bilinear.empty()    ? &to.bilinear[place(number, width * key_width, 0)]
        : !to.direction.empty() ? &to.direction[place(number, width, 0)]
                                : nullptr};
    add_raw_gradients(problem, number, query[static_cast<std::size_t>(i)], key[static_cast<std::size_t>(j)], draw,
                      raw_gradients);
  }
};

std::optional<Terms> rule_of(const AttentionSpec& spec) {
  if (!spec.rule) return {};
  return Terms({spec.rule.formula()});
}

template <class Function>
void each_head(const AttentionProblem& problem, Function f) {
  const std::optional<Terms> rule = rule_of(problem.spec);
  for (std::size_t sequence = 0; sequence < problem.sequences.size(); ++sequence)
    for (int head = 0; head < problem.heads; ++head) f(Head(problem, rule ? &*rule : nullptr, sequence, head));
}

Gradients zeros(const AttentionProblem& problem) {
  std::int64_t key_rows = 0, bias = 0;
  for (std::size_t s = 0; s < problem.sequences.size(); ++s) {
    const AttentionSequence& sequence = problem.sequences[s];
    key_rows = std::max(key_rows, sequence.key_begin + sequence.key_count);
    const std::int64_t* strides = problem.bias.strides;
    if (problem.bias.data && sequence.query_count > 0 && sequence.key_count > 0)
      bias = std::max(bias, static_cast<std::int64_t>(s) * strides[0] + (problem.heads - 1) * strides[1] +
                                (sequence.query_count - 1) * strides[2] + (sequence.key_count - 1) * strides[3] + 1);
  }
  const std::int64_t heads = problem.heads, key_value_heads = problem.key_value_heads, width = problem.head_width;
  const auto row = [](bool wanted, std::int64_t count) { return Row(wanted ? static_cast<std::size_t>(count) : 0); };
  Gradients to;
  to.query = row(true, problem.query.rows * heads * width);
  to.key = row(true, key_rows * key_value_heads * key_width_of(problem));
  to.value = row(true, key_rows * key_value_heads * problem.value_width);
  to.bilinear = row(problem.spec.score == Score::bilinear, heads * width * key_width_of(problem));
  to.direction = row(problem.spec.score == Score::additive, heads * width);
  to.sinks = row(problem.spec.normaliser == Normaliser::softmax_sink, heads);
  to.slopes = row(problem.slopes, heads);
  to.relative = row(problem.relative, heads * (2 * problem.relative_reach + 1));
  to.bias = row(true, bias);
  for (const Tensor& parameter : problem.parameters) to.parameters.push_back(row(true, parameter.elements()));
  return to;
}

}  // namespace

Result forward(const AttentionProblem& problem) {
  const std::int64_t rows = problem.query.rows, width = std::int64_t{problem.heads} * problem.value_width;
  Result result{Row(static_cast<std::size_t>(rows * width)), Row(static_cast<std::size_t>(problem.heads * rows))};
  each_head(problem, [&](const Head& head) {
    for (std::int64_t i = 0; i < head.sequence.query_count; ++i) {
      const std::int64_t row = head.sequence.query_begin + i;
      const std::vector<std::int64_t> keys = head.seen(i);
      const Normalised normalised = head.normalised(i, keys);
      result.log_sum_exp[place(head.number, rows, row)] = normalised.log_sum_exp;
      double* output = result.output.data() + place(row, width, head.number * problem.value_width);
      for (std::size_t seen = 0; seen < keys.size(); ++seen) {
        const Row& value = head.value[static_cast<std::size_t>(keys[seen])];
        for (std::size_t c = 0; c < value.size(); ++c)
          output[c] += head.kept(i, keys[seen]) * normalised.weights[seen] * value[c];
      }
    }
  });
  return result;
}

std::vector<double> weights(const AttentionProblem& problem, std::size_t sequence, int number) {
  const std::optional<Terms> rule = rule_of(problem.spec);
  const Head head(problem, rule ? &*rule : nullptr, sequence, number);
  const std::int64_t queries = head.sequence.query_count, key_count = head.keys;
  Row all(static_cast<std::size_t>(queries * key_count));
  for (std::int64_t i = 0; i < queries; ++i) {
    const std::vector<std::int64_t> keys = head.seen(i);
    const Normalised normalised = head.normalised(i, keys);
    for (std::size_t seen = 0; seen < keys.size(); ++seen)
      all[place(i, key_count, keys[seen])] = normalised.weights[seen];
  }
  return all;
}

std::vector<double> scores(const AttentionProblem& problem, std::size_t sequence, int number) {
  const std::optional<Terms> rule = rule_of(problem.spec);
  const Head head(problem, rule ? &*rule : nullptr, sequence, number);
  const std::int64_t queries = head.sequence.query_count, key_count = head.keys;
  Row all(static_cast<std::size_t>(queries * key_count), -infinity);
  for (std::int64_t i = 0; i < queries; ++i)
    for (const std::int64_t j : head.seen(i)) all[place(i, key_count, j)] = head.score(i, j);
  return all;
}

Gradients backward(const AttentionProblem& problem, const std::vector<double>& doutput) {
  Gradients to = zeros(problem);
  const std::int64_t output_width = std::int64_t{problem.heads} * problem.value_width;
  const std::int64_t value_width = std::int64_t{problem.key_value_heads} * problem.value_width;
  each_head(problem, [&](const Head& head) {
    for (std::int64_t i = 0; i < head.sequence.query_count; ++i) {
      const std::vector<std::int64_t> keys = head.seen(i);
      const Normalised normalised = head.normalised(i, keys);
      const double* dout =
          doutput.data() + place(head.sequence.query_begin + i, output_width, head.number * problem.value_width);
      Row dweights;
      for (std::size_t seen = 0; seen < keys.size(); ++seen) {
        const std::int64_t j = keys[seen];
        const Row& value = head.value[static_cast<std::size_t>(j)];
        double* dvalue = to.value.data() +
                         place(head.sequence.key_begin + j, value_width, head.key_value_head * problem.value_width);
        const double kept = head.kept(i, j);
        double dweight = 0.0;
        for (std::size_t c = 0; c < value.size(); ++c) {
          dweight += kept * dout[c] * value[c];
          dvalue[c] += kept * normalised.weights[seen] * dout[c];
        }
        dweights.push_back(dweight);
      }
      const ScoreGradients dscores = normalise_backward(problem.spec.normaliser, normalised, dweights);
      if (!to.sinks.empty()) to.sinks[static_cast<std::size_t>(head.number)] += dscores.sink;
      for (std::size_t seen = 0; seen < keys.size(); ++seen)
        head.add_score_gradients(i, keys[seen], dscores.scores[seen], to);
    }
  });
  return to;
}

}  // namespace heed::attention::reference
