#include "attention/problem.h"

#include <algorithm>

namespace heed::attention {

namespace {

bool is_key_type(DType dtype) { return dtype == DType::float32 || dtype == DType::bfloat16 || dtype == DType::float16; }
bool is_activation_type(DType dtype) { return dtype == DType::float32 || dtype == DType::bfloat16; }

void check_view(const char* name, const View& view, std::int64_t rows, std::int64_t width) {
  if (view.rows < rows || view.width != width || (view.rows > 1 && view.row_stride < width))
    throw Error("attention: {} is [{}, {}] with rows {} apart; expected [{}, {}]", name, view.rows, view.width,
                view.row_stride, rows, width);
}

void check_sequence(const AttentionProblem& problem, std::size_t index) {
  const AttentionSequence& sequence = problem.sequences[index];
  if (sequence.query_begin < 0 || sequence.query_count < 0 ||
      sequence.query_begin + sequence.query_count > problem.query.rows)
    throw Error("attention: sequence {} has query rows {} to {}, the query is [{}, {}]", index, sequence.query_begin,
                sequence.query_begin + sequence.query_count, problem.query.rows, problem.query.width);
  std::int64_t keys = 0;
  for (const KeyValueSpan& span : sequence.spans) {
    if (span.count < 0 || (span.count > 0 && (!span.key || !span.value)))
      throw Error("attention: sequence {} has a span of {} keys without memory", index, span.count);
    keys += span.count;
  }
  if (keys != sequence.key_count)
    throw Error("attention: sequence {} has {} keys, but its spans hold {}", index, sequence.key_count, keys);
  const std::int64_t last = sequence.query_position + sequence.query_count;
  if (last >= Bands::unbounded || sequence.query_position <= -Bands::unbounded || keys >= Bands::unbounded)
    throw Error("attention: sequence {} has positions {} to {} and {} keys; the limit is {}", index,
                sequence.query_position, last, keys, Bands::unbounded);
}

}  // namespace

void check(const AttentionProblem& problem) {
  if (problem.heads < 1 || problem.key_value_heads < 1 || problem.heads % problem.key_value_heads != 0)
    throw Error("attention: {} heads over {} key-value heads; the second must divide the first", problem.heads,
                problem.key_value_heads);
  if (problem.head_width < 1 || problem.value_width < 1)
    throw Error("attention: head width {} and value width {}; both must be 1 or more", problem.head_width,
                problem.value_width);
  if (problem.query.width != std::int64_t{problem.heads} * problem.head_width)
    throw Error("attention: query is [{}, {}]; {} heads of width {} need a width of {}", problem.query.rows,
                problem.query.width, problem.heads, problem.head_width,
                std::int64_t{problem.heads} * problem.head_width);
  if (!is_activation_type(problem.query.dtype))
    throw Error("attention: query is {}; expected float32 or bfloat16", name_of(problem.query.dtype));
  if (!is_key_type(problem.key_value_dtype))
    throw Error("attention: keys and values are {}; expected float32, bfloat16 or float16",
                name_of(problem.key_value_dtype));
  const std::int64_t key_width = std::int64_t{problem.key_value_heads} * problem.head_width;
  const std::int64_t value_width = std::int64_t{problem.key_value_heads} * problem.value_width;
  if (problem.key_stride < key_width || problem.value_stride < value_width)
    throw Error("attention: rows of keys and values are {} and {} apart; {} key-value heads need {} and {}",
                problem.key_stride, problem.value_stride, problem.key_value_heads, key_width, value_width);
  if (!(problem.spec.dropout >= 0.0f && problem.spec.dropout < 1.0f))
    throw Error("attention: dropout is {}; expected a share in [0, 1)", problem.spec.dropout);
  if (!(problem.spec.soft_cap >= 0.0f))
    throw Error("attention: soft cap is {}; expected 0 (none) or more", problem.spec.soft_cap);
  if (problem.relative_reach < 0)
    throw Error("attention: the reach of relative biases is {}; expected 0 or more", problem.relative_reach);
  for (std::size_t i = 0; i < problem.sequences.size(); ++i) check_sequence(problem, i);
}

void check_forward(const AttentionProblem& problem, const View& output) {
  check(problem);
  check_view("output", output, problem.query.rows, std::int64_t{problem.heads} * problem.value_width);
  if (!is_activation_type(output.dtype))
    throw Error("attention: output is {}; expected float32 or bfloat16", name_of(output.dtype));
}

void check_backward(const AttentionProblem& problem, const View& output, const float* log_sum_exp, const View& doutput,
                    const AttentionGradients& gradients) {
  check_forward(problem, output);
  if (!log_sum_exp) throw Error("attention: the backward needs the forward's log-sum-exp");
  check_view("the output's gradient", doutput, problem.query.rows, output.width);
  std::int64_t keys = 0;
  for (std::size_t i = 0; i < problem.sequences.size(); ++i) {
    const AttentionSequence& sequence = problem.sequences[i];
    keys = std::max(keys, sequence.key_begin + sequence.key_count);
    if (sequence.spans.size() > 1 || sequence.key_begin < 0)
      throw Error("attention: the backward takes one span a sequence; sequence {} has {} and begins at row {}", i,
                  sequence.spans.size(), sequence.key_begin);
  }
  if (gradients.query.data)
    check_view("the query's gradient", gradients.query, problem.query.rows, problem.query.width);
  if (gradients.key.data)
    check_view("the keys' gradient", gradients.key, keys, std::int64_t{problem.key_value_heads} * problem.head_width);
  if (gradients.value.data)
    check_view("the values' gradient", gradients.value, keys,
               std::int64_t{problem.key_value_heads} * problem.value_width);
  for (const View* view : {&doutput, &gradients.query, &gradients.key, &gradients.value})
    if (view->data && view->dtype != DType::float32)
      throw Error("attention: a gradient is {}; expected float32", name_of(view->dtype));
  if (gradients.relative && !problem.relative)
    throw Error("attention: a gradient of relative biases is asked for, but the problem has none");
}

}  // namespace heed::attention
