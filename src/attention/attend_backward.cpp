#include <algorithm>
#include <cmath>
#include <thread>

#include "attention/attend.h"
#include "attention/call.h"
#include "attention/cpu/scratch.h"
#include "attention/problem.h"
#include "attention/schedule.h"
#include "attention/workspace.h"
#include "base/pause.h"

HEED_DECLARE_KERNELS(attention::Backward, attention_backward_kernel)

namespace heed::attention {

namespace {

constexpr kernels::Tables<Backward> backward_kernels = HEED_KERNEL_TABLES(attention_backward_kernel);

void wait_a_little() {
  thread_local int tries = 0;
  if (++tries % 256 == 0)
    std::this_thread::yield();
  else
    pause();
}

void clear(const View& view, std::int64_t row, std::int64_t rows, std::int64_t column, std::int64_t width) {
  for (std::int64_t i = row; view.data && i < row + rows; ++i)
    std::fill_n(view.floats() + i * view.row_stride + column, width, 0.0f);
}

/// Of each head of each sequence by itself: what all its pieces add to, added up in order at the end.
class Partial {
 public:
  Partial(const float* wanted, std::int64_t units, std::int64_t each)
      : each_(wanted ? each : 0), sums_(static_cast<std::size_t>(units * each_)) {}
  float* of(std::int64_t unit) { return each_ ? sums_.data() + unit * each_ : nullptr; }
  /// Unit u is added to group u % groups.
  void add_to(float* gradient, std::int64_t groups) const {
    for (std::size_t i = 0; i < sums_.size(); ++i) gradient[i % static_cast<std::size_t>(groups * each_)] += sums_[i];
  }

 private:
  std::int64_t each_;
  std::vector<float> sums_;
};

/// d sink = −Σ exp(sink − log-sum-exp) · D, with D the sum of doutput · output of a query.
void sink_gradients(const AttentionProblem& problem, const View& output, const float* log_sum_exp, const View& doutput,
                    float* gradient, ThreadPool& pool) {
  pool.parallel_for(problem.heads, [&](std::int64_t head) {
    double sum = 0.0;
    const std::int64_t column = head * problem.value_width;
    for (const AttentionSequence& sequence : problem.sequences)
      for (std::int64_t row = sequence.query_begin; row < sequence.query_begin + sequence.query_count; ++row) {
        double product = 0.0;
        for (std::int64_t i = column; i < column + problem.value_width; ++i) {
          const std::int64_t at = row * output.row_stride + i;
          const float value =
              output.dtype == DType::float32 ? output.floats()[at] : static_cast<float>(output.as<bfloat16>()[at]);
          product += static_cast<double>(value) * doutput.floats()[row * doutput.row_stride + i];
        }
        sum +=
            std::exp(static_cast<double>(problem.sinks[head]) - log_sum_exp[head * problem.query.rows + row]) * product;
      }
    gradient[head] -= static_cast<float>(sum);
  });
}

}  // namespace

void backward(const AttentionProblem& problem, View output, const float* log_sum_exp, View doutput,
              const AttentionGradients& gradients, ThreadPool& pool, kernels::InstructionSet set) {
  check_backward(problem, output, log_sum_exp, doutput, gradients);
  const Operands operands(problem, pool);
  const Operands::Gradients own = operands.begin_backward(gradients);
  const Call call(problem, operands, output, const_cast<float*>(log_sum_exp), true, set);
  const BackwardSteps plan(
      problem, gradients.bias,
      gradients.slopes || gradients.relative || gradients.direction || !gradients.parameters.empty());
  const std::int64_t heads = problem.heads, group = heads / problem.key_value_heads, width = operands.width();
  const std::int64_t value_width = problem.value_width, table = 2 * problem.relative_reach + 1;
  const auto sequences = static_cast<std::int64_t>(problem.sequences.size());

  /// Gradients of keys and values that are not added to begin at zero, just before they are first written.
  const auto clear_keys = [&](std::size_t index, std::int64_t head) {
    const AttentionSequence& sequence = problem.sequences[index];
    if (!own.add_key) clear(own.key, sequence.key_begin, sequence.key_count, head * width, width);
    if (!gradients.accumulate_value)
      clear(gradients.value, sequence.key_begin, sequence.key_count, head * value_width, value_width);
  };
  for (std::size_t i = 0; i < problem.sequences.size(); ++i)
    for (std::int64_t head = 0; head < problem.key_value_heads && problem.sequences[i].query_count == 0; ++head)
      clear_keys(i, head);

  // What the gradient of each weight is held against; softmax finds it in the output.
  Tensor products;
  if (problem.spec.normaliser >= Normaliser::sigmoid) products = Tensor({heads, problem.query.rows});

  Partial directions(gradients.direction, sequences * heads, width);
  Partial slopes(gradients.slopes, sequences * heads, 1), relative(gradients.relative, sequences * heads, table);
  std::vector<Partial> parameters;
  for (std::size_t i = 0; i < gradients.parameters.size(); ++i)
    parameters.emplace_back(gradients.parameters[i], sequences * heads,
                            gradients.parameters[i] ? problem.parameters[i].elements() : 0);

  constexpr std::int64_t line = 8;  // words of a cache line
  std::vector<std::int64_t> finished(plan.steps.size() * line, 0);
  const auto count = static_cast<std::int64_t>(plan.steps.size());
  const std::vector<Share> shares = shares_of(count, [&](std::int64_t i) {
    const Piece& piece = plan.steps[static_cast<std::size_t>(i)].piece;
    return piece.count * (problem.sequences[piece.sequence].key_count + 16) * (width + value_width) * 5 / 2;
  });
  const auto place = [](const View& view, std::int64_t row, std::int64_t column) {
    return view.data ? static_cast<float*>(Call::place(view, row, column)) : nullptr;
  };
  /// Where the gradients of step `s` go.
  const auto gradients_of = [&](std::int64_t s) {
    const BackwardSteps::Step& step = plan.steps[static_cast<std::size_t>(s)];
    const AttentionSequence& sequence = problem.sequences[step.piece.sequence];
    const std::int64_t head = step.piece.head, shared = head / group, rows = problem.query.rows;
    const auto index = static_cast<std::int64_t>(step.piece.sequence);
    const std::int64_t unit = index * heads + head;
    const std::int64_t* const strides = problem.bias.strides;
    HeadGradients to;
    to.doutput = place(doutput, sequence.query_begin, head * value_width);
    to.doutput_stride = doutput.row_stride;
    to.query = place(own.query, sequence.query_begin, head * width);
    to.query_stride = own.query.row_stride;
    to.add_query = own.add_query;
    to.key = place(own.key, sequence.key_begin, shared * width);
    to.key_stride = own.key.row_stride;
    to.value = place(gradients.value, sequence.key_begin, shared * value_width);
    to.value_stride = gradients.value.row_stride;
    to.direction = directions.of(unit);
    if (own.query_terms) to.query_term = own.query_terms.floats() + head * rows + sequence.query_begin;
    if (own.key_terms) to.key_term = own.key_terms.floats() + head * own.key_terms.width() + sequence.key_begin;
    to.slope = slopes.of(unit);
    to.relative = relative.of(unit);
    if (gradients.bias) to.bias = gradients.bias + index * strides[0] + head * strides[1];
    if (products) to.product = products.floats() + head * rows + sequence.query_begin;
    if (step.before >= 0) to.before = &finished[static_cast<std::size_t>(step.before) * line];
    to.finished = &finished[static_cast<std::size_t>(s) * line];
    to.wait = wait_a_little;
    to.serial = plan.serial;
    return to;
  };
  const auto ahead_of = [&](std::int64_t s) {
    Ahead ahead;
    if (s >= count) return ahead;
    const Piece& piece = plan.steps[static_cast<std::size_t>(s)].piece;
    const Head head = call.head(piece.sequence, piece.head, nullptr);
    const HeadGradients to = gradients_of(s);
    add_rows(ahead, head, piece.begin);
    const auto add = [&](const float* data, std::int64_t row, std::int64_t stride, std::int64_t columns,
                         std::int64_t rows) {
      constexpr std::int64_t bytes = sizeof(float);
      if (data) ahead.add(data + row * stride, stride * bytes, columns * bytes, rows);
    };
    add(to.doutput, piece.begin, to.doutput_stride, value_width, piece.count);
    add(to.query, piece.begin, to.query_stride, width, piece.count);
    add(to.key, 0, to.key_stride, width, head.keys);
    add(to.value, 0, to.value_stride, value_width, head.keys);
    return ahead;
  };
  pool.parallel_for(static_cast<std::int64_t>(shares.size()), [&](std::int64_t i) {
    std::vector<float*> of_parameters(parameters.size());
    for (std::int64_t s = shares[static_cast<std::size_t>(i)].begin; s < shares[static_cast<std::size_t>(i)].end; ++s) {
      const Piece& piece = plan.steps[static_cast<std::size_t>(s)].piece;
      if (plan.steps[static_cast<std::size_t>(s)].first) clear_keys(piece.sequence, piece.head / group);
      HeadGradients to = gradients_of(s);
      for (std::size_t p = 0; p < parameters.size(); ++p)
        of_parameters[p] = parameters[p].of(static_cast<std::int64_t>(piece.sequence) * heads + piece.head);
      if (!parameters.empty()) to.parameters = of_parameters.data();
      const Workspace workspace(backward_scratch(operands.width(), problem.value_width, piece.count) +
                                call.rule_scratch());
      const Head head = call.head(piece.sequence, piece.head, workspace.floats());
      if (averages_first(problem.spec.normaliser)) {
        float* const product =
            products.floats() + piece.head * problem.query.rows + problem.sequences[piece.sequence].query_begin;
        to.product = nullptr;
        backward_kernels[set].average(head, to, piece.begin, piece.count, product);
        to.product = product;
      }
      backward_kernels[set].block(head, to, piece.begin, piece.count, ahead_of(s + 1));
    }
  });
  if (gradients.direction) directions.add_to(gradients.direction, heads);
  if (gradients.slopes) slopes.add_to(gradients.slopes, heads);
  if (gradients.relative) relative.add_to(gradients.relative, heads);
  for (std::size_t p = 0; p < parameters.size(); ++p)
    if (gradients.parameters[p]) parameters[p].add_to(gradients.parameters[p], 1);
  if (gradients.sinks) sink_gradients(problem, output, log_sum_exp, doutput, gradients.sinks, pool);
  operands.finish_backward(gradients, own, pool);
}

}  // namespace heed::attention
