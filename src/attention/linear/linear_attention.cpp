#include <algorithm>

#include "attention/linear/chunk_backward.h"
#include "attention/linear/forms.h"
#include "attention/linear/problem.h"
#include "kernels/rows.h"

namespace heed::attention::linear {

namespace {

constexpr std::int64_t few_rows = 8;  // read one by one: a chunk's products would be mostly empty

/// A view as float32: itself, or a copy.
class Floats {
 public:
  Floats(const View& view, ThreadPool& pool) : view_(view) {
    if (!view.data || view.dtype == DType::float32) return;
    copy_ = Tensor({view.rows, view.width});
    view_ = copy_.view();
    heed::kernels::convert(view, view_, pool);
  }
  const View& view() const { return view_; }

 private:
  Tensor copy_;
  View view_;
};

Rows rows_of(const View& view, std::int64_t row, std::int64_t column) {
  if (!view.data) return {};
  return {view.floats() + row * view.row_stride + column, view.row_stride};
}

/// The problem's inputs as float32.
struct Inputs {
  const LinearAttentionProblem& problem;
  Floats query, key, value, decay, beta;

  Inputs(const LinearAttentionProblem& of, ThreadPool& pool)
      : problem(of),
        query(of.query, pool),
        key(of.key, pool),
        value(of.value, pool),
        decay(of.decay, pool),
        beta(of.beta, pool) {}

  LinearHead head(const StateSequence& sequence, std::int64_t number, const View& output) const {
    const std::int64_t begin = sequence.begin, group = problem.heads / problem.key_value_heads;
    LinearHead head;
    head.group = static_cast<int>(group);
    head.key_width = problem.key_width;
    head.value_width = problem.value_width;
    head.scale = scale_of(problem);
    head.rows = sequence.count;
    head.query = rows_of(query.view(), begin, number * group * problem.key_width);
    head.key = rows_of(key.view(), begin, number * problem.key_width);
    head.value = rows_of(value.view(), begin, number * problem.value_width);
    head.output = rows_of(output, begin, number * group * problem.value_width);
    head.beta = rows_of(beta.view(), begin, problem.beta.width == 1 ? 0 : number);
    head.decay_each = decay_width(problem) > 1;
    head.decay = rows_of(decay.view(), begin, number * decay_width(problem));
    return head;
  }
};

/// `count` rows of a head from row `begin` on.
LinearHead part_of(LinearHead head, std::int64_t begin, std::int64_t count) {
  for (Rows* rows : {&head.query, &head.key, &head.value, &head.decay, &head.beta, &head.output})
    if (rows->data) *rows = rows->from(begin);
  head.rows = count;
  return head;
}

/// Calls f(part, its first row) for each chunk of a head's rows.
template <class Function>
void each_chunk(const LinearHead& head, Function&& f) {
  for (std::int64_t begin = 0; begin < head.rows; begin += chunk_rows)
    f(part_of(head, begin, std::min(chunk_rows, head.rows - begin)), begin);
}

void set_state(const float* from, std::int64_t size, float* to) {
  if (!from) std::fill_n(to, size, 0.0f);
  if (from && from != to) std::copy_n(from, size, to);
}

template <class Function>
void each_head(const LinearAttentionProblem& problem, ThreadPool& pool, Function&& f) {
  const std::int64_t heads = problem.key_value_heads;
  pool.parallel_for(static_cast<std::int64_t>(problem.sequences.size()) * heads,
                    [&](std::int64_t i) { f(static_cast<std::size_t>(i / heads), i % heads); });
}

void run_forward(const LinearHead& head, float* state, Form form) {
  if (form == Form::recurrent || (form == Form::automatic && head.rows <= few_rows)) {
    const Workspace faded(head.key_width);
    kernels().recur(head, state, faded.floats());
    return;
  }
  Scratch scratch(Chunk::floats(head));
  Chunk chunk(scratch, head);
  each_chunk(head, [&](const LinearHead& part, std::int64_t) { chunk.forward(part, state); });
}

/// Where gradients go, with memory for a chunk of those that the backward needs but nobody asked for.
class Targets {
 public:
  Targets(Scratch& scratch, const LinearHead& head, const HeadGradients& asked)
      : asked_(asked),
        spare_{{},
               scratch.take(chunk_rows, std::int64_t{head.group} * head.key_width),
               {},
               {},
               scratch.take(chunk_rows, head.key_width),
               scratch.take(chunk_rows, 1)} {}
  static std::int64_t floats(const LinearHead& head) {
    return chunk_rows * ((std::int64_t{head.group} + 1) * head.key_width + 1) + 64;
  }
  HeadGradients from(std::int64_t row) const {
    const auto part = [row](const Rows& rows, const Rows& spare) { return rows.data ? rows.from(row) : spare; };
    return {part(asked_.doutput, {}), part(asked_.query, spare_.query), part(asked_.key, {}),
            part(asked_.value, {}),   part(asked_.decay, spare_.decay), part(asked_.beta, spare_.beta)};
  }

 private:
  HeadGradients asked_, spare_;
};

void run_backward(const LinearHead& head, const float* initial_state, const HeadGradients& asked,
                  const StateGradient& states) {
  const std::int64_t size = std::int64_t{head.key_width} * head.value_width;
  const std::int64_t chunks = (head.rows + chunk_rows - 1) / chunk_rows;
  Scratch scratch(ChunkBackward::floats(head) + Targets::floats(head) + (chunks + 2) * (size + 16));
  const Rows before = scratch.take(chunks + 1, size);  // the state before each chunk, and the last
  float* const dstate = scratch.take(1, size).data;
  set_state(initial_state, size, before.row(0));
  {
    Scratch forward_scratch(Chunk::floats(head));
    Chunk chunk(forward_scratch, head);
    each_chunk(head, [&](const LinearHead& part, std::int64_t begin) {
      float* const next = before.row(begin / chunk_rows + 1);
      std::copy_n(before.row(begin / chunk_rows), size, next);
      chunk.forward(part, next);
    });
  }
  set_state(states.final_state, size, dstate);
  const Targets targets(scratch, head, asked);
  ChunkBackward chunk(scratch, head);
  for (std::int64_t i = chunks - 1; i >= 0; --i) {
    const std::int64_t begin = i * chunk_rows;
    chunk.run(part_of(head, begin, std::min(chunk_rows, head.rows - begin)), before.row(i), before.row(i + 1), dstate,
              targets.from(begin));
  }
  if (states.initial_state) std::copy_n(dstate, size, states.initial_state);
}

}  // namespace

void forward(const LinearAttentionProblem& problem, View output, ThreadPool& pool, Form form) {
  check(problem, output);
  const Inputs inputs(problem, pool);
  Tensor wide;  // what is rounded at the end
  if (output.dtype != DType::float32) wide = Tensor({output.rows, output.width});
  const View target = wide ? wide.view() : output;
  const std::int64_t size = state_size(problem);
  each_head(problem, pool, [&](std::size_t i, std::int64_t number) {
    const StateSequence& sequence = problem.sequences[i];
    const Workspace own(sequence.final_state ? 0 : size);
    float* const state = sequence.final_state ? sequence.final_state + number * size : own.floats();
    set_state(sequence.initial_state ? sequence.initial_state + number * size : nullptr, size, state);
    run_forward(inputs.head(sequence, number, target), state, form);
  });
  if (wide) heed::kernels::convert(target, output, pool);
}

}  // namespace heed::attention::linear

namespace heed {

void linear_attention_forward(const LinearAttentionProblem& problem, View output, ThreadPool& pool) {
  attention::linear::forward(problem, output, pool, attention::linear::Form::automatic);
}

void linear_attention_backward(const LinearAttentionProblem& problem, View doutput,
                               const LinearAttentionGradients& gradients, ThreadPool& pool) {
  using namespace attention::linear;
  check(problem, doutput, gradients);
  const Inputs inputs(problem, pool);
  // A beta that heads share gets its gradient from each of them, added in their order.
  const std::int64_t heads = problem.key_value_heads, size = state_size(problem);
  Tensor shares;
  if (gradients.beta.data && problem.beta.width != heads) shares = Tensor({problem.beta.rows, heads});
  const View beta = shares ? shares.view() : gradients.beta;
  each_head(problem, pool, [&](std::size_t i, std::int64_t number) {
    const StateSequence& sequence = problem.sequences[i];
    const std::int64_t begin = sequence.begin, group = problem.heads / heads;
    const HeadGradients to = {rows_of(doutput, begin, number * group * problem.value_width),
                              rows_of(gradients.query, begin, number * group * problem.key_width),
                              rows_of(gradients.key, begin, number * problem.key_width),
                              rows_of(gradients.value, begin, number * problem.value_width),
                              rows_of(gradients.decay, begin, number * decay_width(problem)),
                              rows_of(beta, begin, number)};
    StateGradient states = gradients.states.empty() ? StateGradient{} : gradients.states[i];
    if (states.final_state) states.final_state += number * size;
    if (states.initial_state) states.initial_state += number * size;
    run_backward(inputs.head(sequence, number, {}),
                 sequence.initial_state ? sequence.initial_state + number * size : nullptr, to, states);
  });
  if (!shares) return;
  for (const StateSequence& sequence : problem.sequences)
    for (std::int64_t row = sequence.begin; row < sequence.begin + sequence.count; ++row) {
      float sum = 0.0f;
      for (std::int64_t head = 0; head < heads; ++head) sum += shares.floats()[row * heads + head];
      gradients.beta.floats()[row * gradients.beta.row_stride] = sum;
    }
}

}  // namespace heed
