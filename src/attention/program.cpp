#include "attention/program.h"

#include <algorithm>

#include "attention/adjoints.h"
#include "attention/compiler.h"
#include "attention/mask.h"

namespace heed::attention {

struct Rules::Memory {
  CodeMemory score[2], differentiated[2], parameters[2], mask[2];
};

Rules::Rules(const AttentionSpec& spec, const std::vector<Tensor>& parameters, bool backward)
    : memory_(std::make_unique<Memory>()) {
  const detail::FormulaPointer& rule = spec.rule.formula();
  program_.has_rule = rule != nullptr;
  program_.has_mask = !spec.mask.everything();
  program_.has_parameters = rule && (rule->depends & detail::Formula::of_parameters) != 0;
  const auto keep = [&](Compiler& compiler, CodeMemory& memory, RowCode& code) {
    memory = compiler.finish();
    code = memory.code();
    program_.scratch = std::max(program_.scratch, memory.scratch);
  };
  Adjoints adjoints;
  if (rule && backward) {
    adjoints = adjoints_of(rule);
    program_.derivative_is_one =
        adjoints.of_score->op == detail::Operator::constant && adjoints.of_score->constant == 1;
  }
  for (const bool lanes_are_keys : {false, true}) {
    if (program_.has_mask) {
      Compiler compiler(lanes_are_keys, parameters);
      compiler.forbid_unless(condition_of(spec.mask));
      keep(compiler, memory_->mask[lanes_are_keys], program_.mask[lanes_are_keys]);
    }
    if (!rule) continue;
    Compiler scores(lanes_are_keys, parameters);
    scores.to_scores(scores.value(rule));
    keep(scores, memory_->score[lanes_are_keys], program_.score[lanes_are_keys]);
    if (!backward) continue;
    Compiler both(lanes_are_keys, parameters);
    both.to_second(both.value(adjoints.of_score));
    both.to_scores(both.value(rule));
    keep(both, memory_->differentiated[lanes_are_keys], program_.differentiated[lanes_are_keys]);
    if (adjoints.of_parameters.empty()) continue;
    Compiler learned(lanes_are_keys, parameters);
    for (const Adjoints::OfParameter& of : adjoints.of_parameters)
      learned.to_gradient(of.lookup,
                          learned.step(RowOperation::weigh, {learned.second(), learned.value(of.derivative)}));
    keep(learned, memory_->parameters[lanes_are_keys], program_.parameters[lanes_are_keys]);
  }
}

Rules::~Rules() = default;

}  // namespace heed::attention
