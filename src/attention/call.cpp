#include "attention/call.h"

#include <algorithm>

#include "attention/bands.h"
#include "attention/problem.h"
#include "attention/rules.h"

namespace heed::attention {

namespace {

int cover(const Head& head, std::int64_t query, std::int64_t query_end, std::int64_t key, std::int64_t key_end) {
  return static_cast<int>(head.mask->cover(head.batch, head.number, query, query_end, key, key_end));
}

}  // namespace

Call::Call(const AttentionProblem& problem, const Operands& operands, const View& output, float* log_sum_exp,
           bool backward, kernels::InstructionSet set)
    : problem_(problem),
      operands_(operands),
      output_(output),
      log_sum_exp_(log_sum_exp),
      bands_(bands_of(problem.spec.mask)),
      kernels_(&rule_kernels(set)) {
  if (!bands_ || problem.spec.rule) rules_ = std::make_unique<Rules>(problem.spec, problem.parameters, backward);
}

void* Call::place(const View& view, std::int64_t row, std::int64_t column) {
  return !view.data ? nullptr : view.as<char>() + (row * view.row_stride + column) * size_of(view.dtype);
}

Head Call::head(std::size_t index, int number, float* scratch) const {
  const AttentionSequence& sequence = problem_.sequences[index];
  const int group = problem_.heads / problem_.key_value_heads;
  Head head;
  head.width = operands_.width();
  head.value_width = problem_.value_width;
  head.queries = sequence.query_count;
  head.position = sequence.query_position;
  head.query = place(operands_.query(), sequence.query_begin, std::int64_t{number} * head.width);
  head.query_type = operands_.query().dtype;
  head.query_stride = operands_.query().row_stride;
  const Operands::Keys keys = operands_.keys(index);
  head.spans = keys.spans->data();
  head.span_count = static_cast<int>(keys.spans->size());
  head.keys = keys.count;
  head.key_type = keys.dtype;
  head.value_type = problem_.key_value_dtype;
  head.key_stride = keys.stride;
  head.value_stride = problem_.value_stride;
  head.key_value_head = number / group;
  head.key_value_heads = problem_.key_value_heads;
  head.key_column = std::int64_t{head.key_value_head} * head.width;
  head.value_column = std::int64_t{head.key_value_head} * problem_.value_width;
  head.output = place(output_, sequence.query_begin, std::int64_t{number} * problem_.value_width);
  head.output_type = output_.dtype;
  head.output_stride = output_.row_stride;
  if (log_sum_exp_) head.log_sum_exp = log_sum_exp_ + number * problem_.query.rows + sequence.query_begin;

  const AttentionSpec& spec = problem_.spec;
  head.normaliser = spec.normaliser;
  if (spec.normaliser == Normaliser::softmax_sink) head.sink = problem_.sinks[number];
  head.scale = operands_.scale();
  head.soft_cap = spec.soft_cap;
  head.query_term = operands_.query_term(index, number);
  head.key_term = operands_.key_term(index, head.key_value_head);
  if (problem_.direction) head.direction = problem_.direction + std::int64_t{number} * head.width;
  if (spec.dropout > 0.0f) {
    const RandomKey key = drop_key(problem_, index, number);
    head.kept = 1.0f - spec.dropout;
    head.drop_below = drop_below(spec.dropout);
    head.drop_key_low = static_cast<std::uint32_t>(key.seed);
    head.drop_key_high = static_cast<std::uint32_t>(key.seed >> 32);
  }
  if (problem_.slopes) head.slope = problem_.slopes[number];
  if (problem_.relative) head.relative = problem_.relative + number * (2 * problem_.relative_reach + 1);
  head.reach = problem_.relative_reach;
  if (const AttentionBias& bias = problem_.bias; bias.data) {
    head.bias = bias.data + static_cast<std::int64_t>(index) * bias.strides[0] + number * bias.strides[1];
    head.bias_query_stride = bias.strides[2];
    head.bias_key_stride = bias.strides[3];
  }
  head.bands = bands_ ? &*bands_ : nullptr;
  head.program = rules_ ? &rules_->program() : nullptr;
  head.rules = kernels_;
  head.mask = &spec.mask;
  head.cover = cover;
  head.batch = static_cast<int>(index);
  head.number = number;
  head.scratch = scratch;
  return head;
}

void add_rows(Ahead& ahead, const Head& head, std::int64_t begin) {
  const auto add = [&](const void* data, DType dtype, std::int64_t first, std::int64_t stride, std::int64_t column,
                       std::int64_t width, std::int64_t rows) {
    if (is_quantised(dtype)) return;
    const std::int64_t bytes = size_of(dtype);
    ahead.add(static_cast<const char*>(data) + (first * stride + column) * bytes, stride * bytes, width * bytes, rows);
  };
  const std::int64_t queries = head.queries - begin;
  add(head.query, head.query_type, begin, head.query_stride, 0, head.width, queries);
  add(head.output, head.output_type, begin, head.output_stride, 0, head.value_width, queries);
  if (head.span_count == 0) return;
  const KeyValueSpan& span = head.spans[0];
  add(span.key, head.key_type, 0, head.key_stride, head.key_column, head.width, span.count);
  add(span.value, head.value_type, 0, head.value_stride, head.value_column, head.value_width, span.count);
}

}  // namespace heed::attention
