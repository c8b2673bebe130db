#pragma once
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "attention/cpu/rules.h"
#include "attention/formula.h"

namespace heed::attention {

/// Memory of one RowCode.
struct CodeMemory {
  std::vector<RowInstruction> instructions;
  std::vector<float> constants;
  std::vector<RowLookup> lookups;
  std::vector<RowCall> calls;
  std::vector<RowGradient> gradients;
  std::vector<std::shared_ptr<const detail::TableValues>> tables;  ///< keeps them alive
  std::vector<std::shared_ptr<const detail::PlainFunction>> functions;
  int ends[4] = {0, 0, 0, 0};
  std::int64_t scratch = 0;
  bool keeps_pairs = false;

  RowCode code() const;
};

/// Makes the instructions of formulas, for strips of one orientation: equal steps once, each as far out as what it
/// depends on allows (once a strip, a row or a lane rather than once a pair), products and sums as one.
class Compiler {
 public:
  Compiler(bool lanes_are_keys, const std::vector<Tensor>& parameters);

  /// A formula's value, as a step.
  int value(const detail::FormulaPointer& formula);
  /// What lies in `second`.
  int second() { return leaf(RowMemory::second); }
  int step(RowOperation operation, const std::vector<int>& operands);
  /// Scores become the value; `second` does. At most one of each.
  void to_scores(int value) { scores_ = value; }
  void to_second(int value) { second_ = value; }
  /// Scores become −infinity where the condition does not hold.
  void forbid_unless(const detail::FormulaPointer& condition);
  /// `value` is added to the gradient of the element that `lookup`, a parameter's, reads.
  void to_gradient(const detail::FormulaPointer& lookup, int value);

  CodeMemory finish();

 private:
  struct Step {
    RowOperation operation = RowOperation::copy;
    std::vector<int> operands;
    Along along = Along::nothing;
    bool given = false;  ///< a constant, or in the caller's memory
    RowValue place;
    float constant = 0;
    bool from_scores = false;  ///< positions are whole: division by them must stay exact
    int lookup = -1, call = -1;
    int uses = 0;
  };
  struct Gradient {
    int value, lookup, number;
  };

  Along along_of(unsigned depends) const;
  int push(Step step);
  int leaf(RowMemory memory);
  int constant(float value);
  int condition_constant(bool value);
  int quotient(int a, int b);
  int looked_up(const detail::Formula& formula);
  bool forbid_by_bytes(const detail::Formula& condition);
  /// The rest of an index that is the lane's position plus a rest that does not vary along lanes.
  std::optional<detail::FormulaPointer> rest_of_line(const detail::FormulaPointer& index) const;
  Step& at(int index) { return steps_[static_cast<std::size_t>(index)]; }
  void count_uses();
  void fuse();
  void fuse_tanh();
  void fuse_distances();
  bool of_row(int index) { return at(index).along == Along::nothing || at(index).along == Along::rows; }
  bool fusable(int inner, const Step& outer) const;
  void place_values(const std::vector<int>& order, CodeMemory& memory);

  bool lanes_are_keys_;
  const std::vector<Tensor>& parameters_;
  std::vector<Step> steps_;
  std::unordered_map<const detail::Formula*, int> known_;
  std::vector<detail::FormulaPointer> kept_;  // so that addresses in known_ stay
  std::vector<Gradient> gradients_;
  int scores_ = -1, second_ = -1;
  std::vector<int> forbids_;  // steps that write to scores one after another, last of all
  CodeMemory memory_;
};

}  // namespace heed::attention
