#include "attention/linear/reference.h"

#include <algorithm>
#include <cmath>

#include "attention/linear/problem.h"

namespace heed::attention::linear::reference {

namespace {

Numbers numbers_of(const View& view) {
  Numbers result;
  if (!view.data) return result;
  for (std::int64_t row = 0; row < view.rows; ++row)
    for (std::int64_t i = 0; i < view.width; ++i) {
      const std::int64_t at = row * view.row_stride + i;
      result.push_back(view.dtype == DType::float32    ? view.as<const float>()[at]
                       : view.dtype == DType::bfloat16 ? static_cast<float>(view.as<const bfloat16>()[at])
                                                       : static_cast<float>(view.as<const float16>()[at]));
    }
  return result;
}

/// One key-value head of one sequence: where its elements stand in the inputs.
struct Head {
  const LinearAttentionProblem& problem;
  std::size_t sequence;
  std::int64_t head;
  std::int64_t keys = problem.key_width, values = problem.value_width;
  std::int64_t group = problem.heads / problem.key_value_heads;
  double scale = problem.scale ? *problem.scale : 1.0 / std::sqrt(static_cast<double>(problem.key_width));

  std::int64_t rows() const { return problem.sequences[sequence].count; }
  /// Element `i` of column block `block` of row `t`, where a row has blocks of `width`.
  std::size_t at(std::int64_t t, std::int64_t blocks, std::int64_t block, std::int64_t width, std::int64_t i) const {
    return static_cast<std::size_t>(((problem.sequences[sequence].begin + t) * blocks + block) * width + i);
  }
  std::size_t query(std::int64_t t, std::int64_t member, std::int64_t d) const {
    return at(t, problem.heads, head * group + member, keys, d);
  }
  std::size_t output(std::int64_t t, std::int64_t member, std::int64_t m) const {
    return at(t, problem.heads, head * group + member, values, m);
  }
  std::size_t key(std::int64_t t, std::int64_t d) const { return at(t, problem.key_value_heads, head, keys, d); }
  std::size_t value(std::int64_t t, std::int64_t m) const { return at(t, problem.key_value_heads, head, values, m); }
  std::size_t decay(std::int64_t t, std::int64_t d) const {
    const std::int64_t width = decay_width(problem);
    return at(t, problem.key_value_heads, head, width, width == 1 ? 0 : d);
  }
  std::size_t beta(std::int64_t t) const { return at(t, problem.beta.width, problem.beta.width == 1 ? 0 : head, 1, 0); }
  std::size_t in_state(std::int64_t d, std::int64_t m) const { return static_cast<std::size_t>(d * values + m); }
  std::size_t first_of_state() const {
    return (sequence * static_cast<std::size_t>(problem.key_value_heads) + static_cast<std::size_t>(head)) *
           static_cast<std::size_t>(keys * values);
  }
};

/// What happens to a state at row t.
struct Step {
  Numbers decayed;   ///< exp(g)·S
  Numbers expected;  ///< what k reads there
  Numbers written;   ///< u: what is written beside k
  Numbers state;     ///< decayed + k⊗u
};

Step step(const Head& head, const Inputs& in, std::int64_t t, const Numbers& before) {
  const LinearAttentionProblem& problem = head.problem;
  Step result{before, Numbers(static_cast<std::size_t>(head.values)), {}, {}};
  for (std::int64_t d = 0; d < head.keys; ++d)
    for (std::int64_t m = 0; m < head.values; ++m) {
      double& element = result.decayed[head.in_state(d, m)];
      if (decays(problem.rule)) element *= std::exp(in.decay[head.decay(t, d)]);
      result.expected[static_cast<std::size_t>(m)] += in.key[head.key(t, d)] * element;
    }
  for (std::int64_t m = 0; m < head.values; ++m) {
    const double value = in.value[head.value(t, m)];
    result.written.push_back(corrects(problem.rule)
                                 ? in.beta[head.beta(t)] * (value - result.expected[static_cast<std::size_t>(m)])
                                 : value);
  }
  result.state = result.decayed;
  for (std::int64_t d = 0; d < head.keys; ++d)
    for (std::int64_t m = 0; m < head.values; ++m)
      result.state[head.in_state(d, m)] += in.key[head.key(t, d)] * result.written[static_cast<std::size_t>(m)];
  return result;
}

template <class Function>
void each_head(const LinearAttentionProblem& problem, Function&& f) {
  for (std::size_t sequence = 0; sequence < problem.sequences.size(); ++sequence)
    for (std::int64_t head = 0; head < problem.key_value_heads; ++head) f(Head{problem, sequence, head});
}

/// All steps of a head, and the state before the first.
std::vector<Step> steps_of(const Head& head, const Inputs& in, Numbers& initial) {
  const auto first = in.initial_states.begin() + static_cast<std::ptrdiff_t>(head.first_of_state());
  initial.assign(first, first + head.keys * head.values);
  std::vector<Step> steps;
  for (std::int64_t t = 0; t < head.rows(); ++t)
    steps.push_back(step(head, in, t, t == 0 ? initial : steps.back().state));
  return steps;
}

}  // namespace

Inputs inputs_of(const LinearAttentionProblem& problem) {
  Inputs in{numbers_of(problem.query), numbers_of(problem.key),  numbers_of(problem.value),
            numbers_of(problem.decay), numbers_of(problem.beta), {}};
  for (const StateSequence& sequence : problem.sequences)
    for (std::int64_t i = 0; i < problem.key_value_heads * state_size(problem); ++i)
      in.initial_states.push_back(sequence.initial_state ? sequence.initial_state[i] : 0.0f);
  return in;
}

Result forward(const LinearAttentionProblem& problem, const Inputs& in) {
  Result result{Numbers(static_cast<std::size_t>(problem.query.rows * problem.heads * problem.value_width)),
                in.initial_states};
  each_head(problem, [&](const Head& head) {
    Numbers initial;
    const std::vector<Step> steps = steps_of(head, in, initial);
    for (std::int64_t t = 0; t < head.rows(); ++t)
      for (std::int64_t member = 0; member < head.group; ++member)
        for (std::int64_t m = 0; m < head.values; ++m)
          for (std::int64_t d = 0; d < head.keys; ++d)
            result.output[head.output(t, member, m)] += head.scale * in.query[head.query(t, member, d)] *
                                                        steps[static_cast<std::size_t>(t)].state[head.in_state(d, m)];
    if (!steps.empty())
      std::ranges::copy(steps.back().state,
                        result.final_states.begin() + static_cast<std::ptrdiff_t>(head.first_of_state()));
  });
  return result;
}

Inputs backward(const LinearAttentionProblem& problem, const Inputs& in, const Numbers& doutput,
                const Numbers& dfinal_states) {
  Inputs to{Numbers(in.query.size()), Numbers(in.key.size()),  Numbers(in.value.size()),
            Numbers(in.decay.size()), Numbers(in.beta.size()), Numbers(in.initial_states.size())};
  each_head(problem, [&](const Head& head) {
    Numbers initial;
    const std::vector<Step> steps = steps_of(head, in, initial);
    const auto first = dfinal_states.begin() + static_cast<std::ptrdiff_t>(head.first_of_state());
    Numbers dstate(first, first + head.keys * head.values);
    for (std::int64_t t = head.rows() - 1; t >= 0; --t) {
      const Step& now = steps[static_cast<std::size_t>(t)];
      // o = scale·q·S
      for (std::int64_t member = 0; member < head.group; ++member)
        for (std::int64_t d = 0; d < head.keys; ++d)
          for (std::int64_t m = 0; m < head.values; ++m) {
            const double dout = head.scale * doutput[head.output(t, member, m)];
            to.query[head.query(t, member, d)] += dout * now.state[head.in_state(d, m)];
            dstate[head.in_state(d, m)] += dout * in.query[head.query(t, member, d)];
          }
      // S = decayed + k⊗u
      Numbers dwritten(static_cast<std::size_t>(head.values));
      for (std::int64_t d = 0; d < head.keys; ++d)
        for (std::int64_t m = 0; m < head.values; ++m) {
          dwritten[static_cast<std::size_t>(m)] += in.key[head.key(t, d)] * dstate[head.in_state(d, m)];
          to.key[head.key(t, d)] += now.written[static_cast<std::size_t>(m)] * dstate[head.in_state(d, m)];
        }
      // u = v, or β·(v − k·decayed)
      for (std::int64_t m = 0; m < head.values; ++m) {
        const double du = dwritten[static_cast<std::size_t>(m)];
        if (!corrects(problem.rule)) {
          to.value[head.value(t, m)] += du;
          continue;
        }
        const double beta = in.beta[head.beta(t)];
        to.value[head.value(t, m)] += beta * du;
        to.beta[head.beta(t)] += du * (in.value[head.value(t, m)] - now.expected[static_cast<std::size_t>(m)]);
        for (std::int64_t d = 0; d < head.keys; ++d) {
          to.key[head.key(t, d)] -= beta * du * now.decayed[head.in_state(d, m)];
          dstate[head.in_state(d, m)] -= beta * du * in.key[head.key(t, d)];
        }
      }
      // decayed = exp(g)·S
      if (!decays(problem.rule)) continue;
      for (std::int64_t d = 0; d < head.keys; ++d)
        for (std::int64_t m = 0; m < head.values; ++m) {
          double& element = dstate[head.in_state(d, m)];
          to.decay[head.decay(t, d)] += element * now.decayed[head.in_state(d, m)];
          element *= std::exp(in.decay[head.decay(t, d)]);
        }
    }
    std::ranges::copy(dstate, to.initial_states.begin() + static_cast<std::ptrdiff_t>(head.first_of_state()));
  });
  return to;
}

}  // namespace heed::attention::linear::reference
