#include "attention/linear/problem.h"

#include <algorithm>
#include <iterator>

namespace heed {

namespace {
constexpr std::string_view names[] = {"linear", "gated", "delta", "gated_delta"};
}

std::string_view name_of(UpdateRule rule) { return names[static_cast<std::size_t>(rule)]; }

UpdateRule update_rule_named(const std::string& name) {
  const auto found = std::ranges::find(names, name);
  if (found == std::end(names))
    throw Error("linear attention: {} is no update rule; expected linear, gated, delta or gated_delta", name);
  return static_cast<UpdateRule>(found - std::begin(names));
}

namespace attention::linear {

namespace {

void check_view(const char* name, const View& view, std::int64_t rows, std::int64_t width, bool only_float32 = false) {
  if (view.width != width || view.rows < rows || (view.rows > 1 && view.row_stride < width))
    throw Error("linear attention: {} is [{}, {}] with rows {} apart; expected [{}, {}]", name, view.rows, view.width,
                view.row_stride, rows, width);
  const bool half = view.dtype == DType::bfloat16 || view.dtype == DType::float16;
  if (view.dtype != DType::float32 && (only_float32 || !half))
    throw Error("linear attention: {} is {}; expected float32{}", name, name_of(view.dtype),
                only_float32 ? "" : ", bfloat16 or float16");
}

/// An input that a rule takes, of one of two widths, or does not.
void check_rate(const char* name, UpdateRule rule, bool takes, const View& view, std::int64_t rows, std::int64_t width,
                std::int64_t other_width) {
  if (!takes && view.data) throw Error("linear attention: the rule {} takes no {}", name_of(rule), name);
  if (takes) check_view(name, view, rows, view.width == other_width ? other_width : width);
}

void check_problem(const LinearAttentionProblem& problem) {
  if (problem.heads < 1 || problem.key_value_heads < 1 || problem.heads % problem.key_value_heads != 0)
    throw Error("linear attention: {} heads over {} key-value heads; the second must divide the first", problem.heads,
                problem.key_value_heads);
  if (problem.key_width < 1 || problem.value_width < 1)
    throw Error("linear attention: key width {} and value width {}; both must be 1 or more", problem.key_width,
                problem.value_width);
  if (problem.scale && !std::isfinite(*problem.scale))
    throw Error("linear attention: the scale is {}; expected a finite number", *problem.scale);
  std::int64_t rows = 0;
  for (std::size_t i = 0; i < problem.sequences.size(); ++i) {
    const StateSequence& sequence = problem.sequences[i];
    if (sequence.begin < 0 || sequence.count < 0)
      throw Error("linear attention: sequence {} has {} rows from row {}", i, sequence.count, sequence.begin);
    rows = std::max(rows, sequence.begin + sequence.count);
  }
  const std::int64_t heads = problem.key_value_heads;
  check_view("query", problem.query, rows, std::int64_t{problem.heads} * problem.key_width);
  check_view("key", problem.key, rows, heads * problem.key_width);
  check_view("value", problem.value, rows, heads * problem.value_width);
  check_rate("decay", problem.rule, decays(problem.rule), problem.decay, rows, heads, heads * problem.key_width);
  check_rate("beta", problem.rule, corrects(problem.rule), problem.beta, rows, heads, 1);
}

std::int64_t output_width(const LinearAttentionProblem& problem) {
  return std::int64_t{problem.heads} * problem.value_width;
}

}  // namespace

void check(const LinearAttentionProblem& problem, const View& output) {
  check_problem(problem);
  check_view("output", output, problem.query.rows, output_width(problem));
}

void check(const LinearAttentionProblem& problem, const View& doutput, const LinearAttentionGradients& gradients) {
  check_problem(problem);
  check_view("the output's gradient", doutput, problem.query.rows, output_width(problem), true);
  const struct {
    const char* name;
    const View &gradient, &input;
  } pairs[] = {{"the query's gradient", gradients.query, problem.query},
               {"the key's gradient", gradients.key, problem.key},
               {"the value's gradient", gradients.value, problem.value},
               {"the decay's gradient", gradients.decay, problem.decay},
               {"the beta's gradient", gradients.beta, problem.beta}};
  for (const auto& [name, gradient, input] : pairs) {
    if (!gradient.data) continue;
    if (!input.data && input.width == 0)
      throw Error("linear attention: {} is asked for, but the problem has none", name);
    check_view(name, gradient, input.rows, input.width, true);
  }
  if (!gradients.states.empty() && gradients.states.size() != problem.sequences.size())
    throw Error("linear attention: gradients of {} states for {} sequences", gradients.states.size(),
                problem.sequences.size());
}

}  // namespace attention::linear

}  // namespace heed
