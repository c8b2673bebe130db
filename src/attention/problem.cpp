#include "attention/problem.h"

#include <algorithm>
#include <initializer_list>

#include "attention/mask.h"
#include "attention/terms.h"

namespace heed::attention {

namespace {

bool is_activation_type(DType dtype) { return dtype == DType::float32 || dtype == DType::bfloat16; }

void check_view(std::string_view name, const View& view, std::int64_t rows, std::int64_t width) {
  if (view.rows < rows || view.width != width || (view.rows > 1 && view.row_stride < width))
    throw Error("attention: {} is [{}, {}] with rows {} apart; expected [{}, {}]", name, view.rows, view.width,
                view.row_stride, rows, width);
  if (!view.data && rows * width > 0) throw Error("attention: {}, [{}, {}], has no memory", name, rows, width);
}

void check_gradient(std::string_view name, const View& view, std::int64_t rows, std::int64_t width) {
  check_view(name, view, rows, width);
  if (view.dtype != DType::float32) throw Error("attention: {} is {}; expected float32", name, name_of(view.dtype));
}

/// An operand that one choice needs and the others refuse.
void check_operand(std::string_view name, Shape shape, const float* data, std::string_view needs, bool needed,
                   std::string_view chosen) {
  if (needed && !data) throw Error("attention: {} need {}, {}, but the problem has none", needs, name, shape);
  if (!needed && data)
    throw Error("attention: the problem has {}, {}, which only {} take; it asks for {}", name, shape, needs, chosen);
}

void check_heads(const AttentionProblem& problem) {
  if (problem.heads < 1 || problem.key_value_heads < 1 || problem.heads % problem.key_value_heads != 0)
    throw Error("attention: {} heads over {} key-value heads; the second must divide the first", problem.heads,
                problem.key_value_heads);
  if (problem.head_width < 1 || problem.value_width < 1)
    throw Error("attention: head width {} and value width {}; both must be 1 or more", problem.head_width,
                problem.value_width);
  if (problem.key_width < 0 ||
      (problem.key_width != key_width_of(problem) && problem.key_width != 0))  // another width than the scores take
    throw Error(
        "attention: queries of width {} and keys of width {} under {} scores; only bilinear scores take two widths",
        problem.head_width, problem.key_width, name_of(problem.spec.score));
  const std::int64_t query_width = std::int64_t{problem.heads} * problem.head_width;
  if (problem.query.width != query_width)
    throw Error("attention: query is [{}, {}]; {} heads of width {} need a width of {}", problem.query.rows,
                problem.query.width, problem.heads, problem.head_width, query_width);
  check_view("query", problem.query, problem.query.rows, query_width);
  if (!is_activation_type(problem.query.dtype))
    throw Error("attention: query is {}; expected float32 or bfloat16", name_of(problem.query.dtype));
}

void check_keys(const AttentionProblem& problem) {
  const DType dtype = problem.key_value_dtype;
  if (!is_activation_type(dtype) && dtype != DType::float16 && !is_quantised(dtype))
    throw Error("attention: keys and values are {}; expected float32, bfloat16, float16, int8 or int4", name_of(dtype));
  const std::int64_t key_width = problem.key_value_heads * key_width_of(problem);
  const std::int64_t value_width = std::int64_t{problem.key_value_heads} * problem.value_width;
  if (problem.key_stride < key_width || problem.value_stride < value_width)
    throw Error("attention: rows of keys and values are {} and {} apart; {} key-value heads need {} and {}",
                problem.key_stride, problem.value_stride, problem.key_value_heads, key_width, value_width);
  if (dtype != DType::q4) return;
  if (key_width_of(problem) % 2 != 0 || problem.value_width % 2 != 0)
    throw Error(
        "attention: int4 keys and values of widths {} and {} a head; two share a byte, so expected even numbers",
        key_width_of(problem), problem.value_width);
  if (problem.key_stride % 2 != 0 || problem.value_stride % 2 != 0)
    throw Error(
        "attention: rows of keys and values are {} and {} apart; two int4 share a byte, so expected even numbers",
        problem.key_stride, problem.value_stride);
}

void check_spec(const AttentionProblem& problem) {
  const AttentionSpec& spec = problem.spec;
  if (spec.scale && !std::isfinite(*spec.scale))
    throw Error("attention: the scale is {}; expected a finite number", *spec.scale);
  if (!(spec.soft_cap >= 0.0f && std::isfinite(spec.soft_cap)))
    throw Error("attention: the soft cap is {}; expected 0 (none) or a finite number above", spec.soft_cap);
  if (!(spec.dropout >= 0.0f && spec.dropout < 1.0f))
    throw Error("attention: dropout is {}; expected a share in [0, 1)", spec.dropout);
}

void check_operands(const AttentionProblem& problem) {
  const std::int64_t heads = problem.heads;
  const std::string scores = format("{} scores", name_of(problem.spec.score));
  const std::string weights = format("{} weights", name_of(problem.spec.normaliser));
  check_operand("a bilinear matrix", {heads, problem.head_width, key_width_of(problem)}, problem.bilinear,
                "bilinear scores", problem.spec.score == Score::bilinear, scores);
  check_operand("a direction", {heads, problem.head_width}, problem.direction, "additive scores",
                problem.spec.score == Score::additive, scores);
  check_operand("sinks", {heads}, problem.sinks, "softmax_sink weights",
                problem.spec.normaliser == Normaliser::softmax_sink, weights);
  if (problem.relative_reach < 0)
    throw Error("attention: the reach of relative biases is {}; expected 0 or more", problem.relative_reach);
  const std::int64_t* strides = problem.bias.strides;
  if (problem.bias.data && std::any_of(strides, strides + 4, [](std::int64_t stride) { return stride < 0; }))
    throw Error("attention: the bias has strides {}, {}, {}, {}; expected 0 (broadcast) or more", strides[0],
                strides[1], strides[2], strides[3]);
}

void check_parameters(const AttentionProblem& problem) {
  const std::vector<Tensor>& parameters = problem.parameters;
  for (std::size_t i = 0; i < parameters.size(); ++i)
    if (!parameters[i] || parameters[i].dtype() != DType::float32 || parameters[i].elements() == 0)
      throw Error("attention: parameter {} is {} of {}; expected float32 and one element or more", i,
                  parameters[i].shape(), name_of(parameters[i].dtype()));
  if (!problem.spec.rule) return;
  const Terms rule({problem.spec.rule.formula()});
  for (const Terms::Term& term : rule.all()) {
    const detail::Formula& formula = *term.formula;
    if (formula.op != detail::Operator::parameter) continue;
    const auto number = static_cast<std::size_t>(formula.number);
    if (formula.number < 0 || number >= parameters.size())
      throw Error("attention: the rule '{}' reads parameter {}, but the problem has {}", problem.spec.rule.name(),
                  formula.number, parameters.size());
    if (parameters[number].shape().rank() != static_cast<int>(formula.children.size()))
      throw Error("attention: the rule '{}' reads parameter {} by {} indices, but it is {}", problem.spec.rule.name(),
                  number, formula.children.size(), parameters[number].shape());
  }
}

/// `of`: "sequence 3" or "prefix 0".
void check_spans(const AttentionProblem& problem, const std::string& of, const std::vector<KeyValueSpan>& spans,
                 std::int64_t count) {
  const bool quantised = is_quantised(problem.key_value_dtype);
  std::int64_t keys = 0;
  for (const KeyValueSpan& span : spans) {
    if (span.count < 0 || (span.count > 0 && (!span.key || !span.value)))
      throw Error("attention: {} has a span of {} keys without memory", of, span.count);
    if (span.count > 0 && (quantised != (span.key_scale != nullptr) || quantised != (span.value_scale != nullptr)))
      throw Error("attention: {} has a span of {} keys of {} {}", of, span.count, name_of(problem.key_value_dtype),
                  quantised ? format("without scales; expected [{}, {}] for the keys and for the values", span.count,
                                     problem.key_value_heads)
                            : std::string("with scales; only int8 and int4 have some"));
    keys += span.count;
  }
  if (keys != count) throw Error("attention: {} has {} keys, but its spans hold {}", of, count, keys);
}

/// The keys that each sequence has before its own.
std::vector<std::int64_t> check_prefixes(const AttentionProblem& problem) {
  std::vector<std::int64_t> counts(problem.sequences.size());
  std::vector<bool> begun(counts.size());
  for (std::size_t i = 0; i < problem.prefixes.size(); ++i) {
    const SharedPrefix& prefix = problem.prefixes[i];
    check_spans(problem, format("prefix {}", i), prefix.spans, prefix.count);
    for (const std::size_t sequence : prefix.sequences) {
      if (sequence >= begun.size())
        throw Error("attention: prefix {} is of sequence {}, but the problem has {}", i, sequence, begun.size());
      if (begun[sequence]) throw Error("attention: prefix {} is the second of sequence {}", i, sequence);
      begun[sequence] = true;
      counts[sequence] = prefix.count;
    }
  }
  return counts;
}

void check_sequence(const AttentionProblem& problem, std::size_t index, std::int64_t prefix) {
  const AttentionSequence& sequence = problem.sequences[index];
  if (sequence.query_begin < 0 || sequence.query_count < 0 ||
      sequence.query_begin + sequence.query_count > problem.query.rows)
    throw Error("attention: sequence {} has query rows {} to {}, the query is [{}, {}]", index, sequence.query_begin,
                sequence.query_begin + sequence.query_count, problem.query.rows, problem.query.width);
  check_spans(problem, format("sequence {}", index), sequence.spans, sequence.key_count);
  const std::int64_t last = sequence.query_position + sequence.query_count, keys = prefix + sequence.key_count;
  if (last >= Bands::unbounded || sequence.query_position <= -Bands::unbounded || keys >= Bands::unbounded)
    throw Error("attention: sequence {} has positions {} to {} and {} keys; the limit is {}", index,
                sequence.query_position, last, keys, Bands::unbounded);
}

/// Only what the problem has can have a gradient.
void check_asked(const AttentionProblem& problem, const AttentionGradients& gradients) {
  struct Asked {
    const char* what;
    const float *gradient, *operand;
  };
  for (const Asked& asked : std::initializer_list<Asked>{
           {"the bilinear matrix", gradients.bilinear, problem.bilinear},
           {"the direction", gradients.direction, problem.direction},
           {"the sinks", gradients.sinks, problem.sinks},
           {"slopes", gradients.slopes, problem.slopes},
           {"relative biases", gradients.relative, problem.relative},
           {"the bias", gradients.bias, problem.bias.data},
       })
    if (asked.gradient && !asked.operand)
      throw Error("attention: a gradient of {} is asked for, but the problem has none", asked.what);
  if (gradients.parameters.size() > problem.parameters.size())
    throw Error("attention: gradients of {} parameters are asked for, but the problem has {}",
                gradients.parameters.size(), problem.parameters.size());
}

}  // namespace

const SharedPrefix* prefix_of(const AttentionProblem& problem, std::size_t sequence) {
  for (const SharedPrefix& prefix : problem.prefixes)
    if (std::find(prefix.sequences.begin(), prefix.sequences.end(), sequence) != prefix.sequences.end()) return &prefix;
  return nullptr;
}

std::int64_t key_count_of(const AttentionProblem& problem, std::size_t sequence) {
  const SharedPrefix* prefix = prefix_of(problem, sequence);
  return problem.sequences[sequence].key_count + (prefix ? prefix->count : 0);
}

void check(const AttentionProblem& problem) {
  check_heads(problem);
  check_keys(problem);
  check_spec(problem);
  check_operands(problem);
  check_parameters(problem);
  check_mask(problem.spec.mask, static_cast<std::int64_t>(problem.sequences.size()), problem.heads);
  const std::vector<std::int64_t> prefixes = check_prefixes(problem);
  for (std::size_t i = 0; i < prefixes.size(); ++i) check_sequence(problem, i, prefixes[i]);
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
  if (!log_sum_exp && problem.query.rows > 0)
    throw Error("attention: the backward needs the forward's log-sum-exp, [{}, {}]", problem.heads, problem.query.rows);
  if (is_quantised(problem.key_value_dtype))
    throw Error("attention: the backward takes keys and values of float32, bfloat16 or float16; they are {}",
                name_of(problem.key_value_dtype));
  if (!problem.prefixes.empty())
    throw Error("attention: the backward takes no shared prefixes; the problem has {}", problem.prefixes.size());
  std::int64_t keys = 0;
  for (std::size_t i = 0; i < problem.sequences.size(); ++i) {
    const AttentionSequence& sequence = problem.sequences[i];
    keys = std::max(keys, sequence.key_begin + sequence.key_count);
    if (sequence.spans.size() > 1 || sequence.key_begin < 0)
      throw Error("attention: the backward takes one span a sequence; sequence {} has {} and begins at row {}", i,
                  sequence.spans.size(), sequence.key_begin);
  }
  check_gradient("the output's gradient", doutput, problem.query.rows, output.width);
  if (gradients.query.data)
    check_gradient("the query's gradient", gradients.query, problem.query.rows, problem.query.width);
  if (gradients.key.data)
    check_gradient("the keys' gradient", gradients.key, keys, problem.key_value_heads * key_width_of(problem));
  if (gradients.value.data)
    check_gradient("the values' gradient", gradients.value, keys,
                   std::int64_t{problem.key_value_heads} * problem.value_width);
  check_asked(problem, gradients);
}

}  // namespace heed::attention
