#include "attention/plan.h"

#include <algorithm>

#include "attention/attend.h"
#include "attention/cpu/scratch.h"
#include "attention/decode.h"
#include "attention/problem.h"
#include "attention/schedule.h"

namespace heed {

namespace attention {

kernels::InstructionSet instruction_set_named(const std::string& name) {
  std::string all;
  for (const kernels::InstructionSet set : kernels::available()) {
    if (kernels::name_of(set) == name) return set;
    all += format("{}{}", all.empty() ? "" : ", ", kernels::name_of(set));
  }
  throw Error("plan: the instruction set '{}' is not here; there are {}", name, all);
}

namespace {

void check_plan(const AttentionProblem& problem, const AttentionPlanOptions& options) {
  const std::int64_t rows = problem.query.rows, width = std::int64_t{problem.heads} * problem.value_width;
  // What is checked are shapes: any memory will do.
  void* const memory = problem.query.data;
  const View output{memory, options.output, rows, width, width}, doutput{memory, DType::float32, rows, width, width};
  if (options.backward)
    check_backward(problem, output, static_cast<const float*>(memory), doutput, {});
  else
    check_forward(problem, output);
}

}  // namespace

}  // namespace attention

AttentionPlan::AttentionPlan(AttentionProblem problem, AttentionPlanOptions options)
    : problem_(std::move(problem)), options_(std::move(options)) {
  using namespace attention;
  const kernels::InstructionSet set =
      options_.instruction_set.empty() ? kernels::chosen() : instruction_set_named(options_.instruction_set);
  instruction_set_ = kernels::name_of(set);
  check_plan(problem_, options_);

  ThreadPool alone(1);
  const Operands operands(problem_, alone);
  const View nowhere;
  const Call call(problem_, operands, nowhere, nullptr, options_.backward, set);
  const DecodeWork decoded = decode_work(problem_, call);
  std::int64_t floats = decoded.thread_floats;
  const std::vector<Piece> pieces = attention::forward_pieces(problem_);
  for (const Piece& piece : pieces)
    floats = std::max(floats, forward_floats(problem_, piece.count, operands.keys(piece.sequence).count));
  forward_pieces_ = static_cast<std::int64_t>(pieces.size()) + decoded.parts;
  if (options_.backward) {
    const std::vector<BackwardSteps::Step> steps = BackwardSteps(problem_, false, false).steps;
    for (const BackwardSteps::Step& step : steps)
      floats = std::max(floats, backward_scratch(operands.width(), problem_.value_width, step.piece.count));
    backward_pieces_ = static_cast<std::int64_t>(steps.size());
  }
  constexpr std::int64_t bytes = sizeof(float);
  thread_bytes_ = (floats + call.rule_scratch()) * bytes;
  shared_bytes_ = operands.bytes() + decoded.partial_floats * bytes;
}

void AttentionPlan::forward(View output, float* log_sum_exp, ThreadPool& pool) const {
  attention::forward(problem_, output, log_sum_exp, pool, attention::instruction_set_named(instruction_set_));
}

void AttentionPlan::backward(View output, const float* log_sum_exp, View doutput, const AttentionGradients& gradients,
                             ThreadPool& pool) const {
  attention::backward(problem_, output, log_sum_exp, doutput, gradients, pool,
                      attention::instruction_set_named(instruction_set_));
}

std::string AttentionPlan::explain() const {
  std::string text = format("{}\n", problem_.spec);
  text += attention::explanation_of(problem_, options_, attention::instruction_set_named(instruction_set_));
  text += format("memory: {} bytes of scratch a thread, {} bytes that all share\n", thread_bytes_, shared_bytes_);
  return text;
}

}  // namespace heed
