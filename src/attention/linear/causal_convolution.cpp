#include <heed/causal_convolution.h>

#include <algorithm>

#include "attention/cpu/convolution.h"
#include "attention/workspace.h"
#include "kernels/dispatch.h"
#include "kernels/rows.h"

HEED_DECLARE_KERNELS(attention::ConvolutionKernels, convolution_kernels)

namespace heed {

namespace {

using attention::Rows;

constexpr kernels::Tables<attention::ConvolutionKernels> tables = HEED_KERNEL_TABLES(convolution_kernels);

void check_view(const char* name, const View& view, std::int64_t rows, std::int64_t width, bool only_float32) {
  if (view.width != width || view.rows < rows || (view.rows > 1 && view.row_stride < width))
    throw Error("causal convolution: {} is [{}, {}] with rows {} apart; expected [{}, {}]", name, view.rows, view.width,
                view.row_stride, rows, width);
  const bool half = view.dtype == DType::bfloat16 || view.dtype == DType::float16;
  if (view.dtype != DType::float32 && (only_float32 || !half))
    throw Error("causal convolution: {} is {}; expected float32{}", name, name_of(view.dtype),
                only_float32 ? "" : ", bfloat16 or float16");
}

void check(const CausalConvolution& problem) {
  if (problem.channels < 1 || problem.width < 1 || !problem.weight)
    throw Error("causal convolution: {} channels and a kernel of width {}{}; both must be 1 or more", problem.channels,
                problem.width, problem.weight ? "" : " without memory");
  std::int64_t rows = 0;
  for (std::size_t i = 0; i < problem.sequences.size(); ++i) {
    const StateSequence& sequence = problem.sequences[i];
    if (sequence.begin < 0 || sequence.count < 0)
      throw Error("causal convolution: sequence {} has {} rows from row {}", i, sequence.count, sequence.begin);
    rows = std::max(rows, sequence.begin + sequence.count);
  }
  check_view("input", problem.input, rows, problem.channels, false);
}

/// The problem as the kernels want it: float32, the weights turned.
class Operands {
 public:
  Operands(const CausalConvolution& problem, ThreadPool& pool)
      : problem_(problem), input_(problem.input), weight_({problem.width, problem.channels}) {
    if (input_.dtype != DType::float32) {
      copy_ = Tensor({input_.rows, input_.width});
      input_ = copy_.view();
      kernels::convert(problem.input, input_, pool);
    }
    for (std::int64_t c = 0; c < problem.channels; ++c)
      for (std::int64_t j = 0; j < problem.width; ++j)
        weight_.floats()[j * problem.channels + c] = problem.weight[c * problem.width + j];
  }
  attention::ConvolutionRows of(const StateSequence& sequence) const {
    return {.state = {const_cast<float*>(sequence.initial_state), problem_.channels},
            .input = rows_of(input_, sequence.begin),
            .weight = weight_.floats(),
            .bias = problem_.bias,
            .rows = sequence.count,
            .width = problem_.width,
            .channels = problem_.channels,
            .silu = problem_.silu};
  }
  static Rows rows_of(const View& view, std::int64_t row) {
    if (!view.data) return {};
    return {view.floats() + row * view.row_stride, view.row_stride};
  }

 private:
  const CausalConvolution& problem_;
  View input_;
  Tensor copy_, weight_;
};

/// Rows [begin, end) of one sequence: what one thread takes at a time.
struct Piece {
  std::size_t sequence;
  std::int64_t begin, end;
};
/// Pieces of about 2¹⁶ elements, of each sequence's rows and `more`.
std::vector<Piece> pieces_of(const CausalConvolution& problem, std::int64_t more) {
  const std::int64_t step = std::max<std::int64_t>(65536 / problem.channels, 4 * problem.width);
  std::vector<Piece> pieces;
  for (std::size_t i = 0; i < problem.sequences.size(); ++i) {
    const std::int64_t rows = problem.sequences[i].count + more;
    for (std::int64_t begin = 0; begin < rows; begin += step)
      pieces.push_back({i, begin, std::min(rows, begin + step)});
  }
  return pieces;
}

/// The last rows of what was read. `to` may be the initial state's memory: rows are moved forwards.
void write_state(const attention::ConvolutionRows& rows, float* to) {
  for (std::int64_t i = 0; i + 1 < rows.width; ++i, to += rows.channels) {
    const std::int64_t p = rows.rows + i;
    if (p >= rows.width - 1)
      std::copy_n(rows.input.row(p - (rows.width - 1)), rows.channels, to);
    else if (!rows.state.data)
      std::fill_n(to, rows.channels, 0.0f);
    else if (rows.state.row(p) != to)
      std::copy_n(rows.state.row(p), rows.channels, to);
  }
}

}  // namespace

void causal_convolution_forward(const CausalConvolution& problem, View output, ThreadPool& pool) {
  check(problem);
  check_view("output", output, problem.input.rows, problem.channels, false);
  const Operands operands(problem, pool);
  Tensor wide;  // what is rounded at the end
  if (output.dtype != DType::float32) wide = Tensor({output.rows, output.width});
  const View target = wide ? wide.view() : output;
  const std::vector<Piece> pieces = pieces_of(problem, 0);
  pool.parallel_for(static_cast<std::int64_t>(pieces.size()), [&](std::int64_t i) {
    const Piece& piece = pieces[static_cast<std::size_t>(i)];
    const StateSequence& sequence = problem.sequences[piece.sequence];
    tables.best().forward(operands.of(sequence), piece.begin, piece.end, Operands::rows_of(target, sequence.begin));
  });
  if (wide) kernels::convert(target, output, pool);
  for (const StateSequence& sequence : problem.sequences)
    if (sequence.final_state) write_state(operands.of(sequence), sequence.final_state);
}

void causal_convolution_backward(const CausalConvolution& problem, View doutput,
                                 const CausalConvolutionGradients& gradients, ThreadPool& pool) {
  check(problem);
  check_view("the output's gradient", doutput, problem.input.rows, problem.channels, true);
  if (gradients.input.data)
    check_view("the input's gradient", gradients.input, problem.input.rows, problem.channels, true);
  if (!gradients.states.empty() && gradients.states.size() != problem.sequences.size())
    throw Error("causal convolution: gradients of {} states for {} sequences", gradients.states.size(),
                problem.sequences.size());
  const Operands operands(problem, pool);
  const std::int64_t channels = problem.channels, width = problem.width;
  const std::vector<Piece> pieces = pieces_of(problem, width - 1);
  const auto count = static_cast<std::int64_t>(pieces.size());
  Tensor sums({count, width + 1, channels});  // what each piece gives to weight and bias, added in their order below
  pool.parallel_for(count, [&](std::int64_t i) {
    const Piece& piece = pieces[static_cast<std::size_t>(i)];
    const StateSequence& sequence = problem.sequences[piece.sequence];
    const StateGradient state = gradients.states.empty() ? StateGradient{} : gradients.states[piece.sequence];
    float* const sum = sums.floats() + i * (width + 1) * channels;
    const attention::Workspace scratch(2 * width * 16);
    tables.best().backward(operands.of(sequence), piece.begin, piece.end,
                           {.doutput = Operands::rows_of(doutput, sequence.begin),
                            .dfinal_state = {const_cast<float*>(state.final_state), channels},
                            .state = {state.initial_state, channels},
                            .input = Operands::rows_of(gradients.input, sequence.begin),
                            .weight = sum,
                            .bias = sum + width * channels},
                           scratch.floats());
  });
  const auto total = [&](std::int64_t row, std::int64_t channel) {
    float sum = 0.0f;
    for (std::int64_t i = 0; i < count; ++i) sum += sums.floats()[(i * (width + 1) + row) * channels + channel];
    return sum;
  };
  for (std::int64_t c = 0; c < channels; ++c) {
    for (std::int64_t j = 0; gradients.weight && j < width; ++j) gradients.weight[c * width + j] += total(j, c);
    if (gradients.bias) gradients.bias[c] += total(width, c);
  }
}

}  // namespace heed
