#pragma once
#include <cstdint>
#include <vector>

#include "attention/formula.h"

namespace heed::attention {

/// Where a formula is evaluated, and of which score.
struct Point {
  int batch = 0, head = 0;
  std::int64_t query = 0, key = 0;
  double score = 0.0;
};

/// The gradient of one element of a parameter.
struct ParameterShare {
  int number;
  std::int64_t element;
  double derivative;
};

/// The terms of formulas, equal ones once, children first: what is evaluated, compared and compiled.
class Terms {
 public:
  struct Term {
    const detail::Formula* formula;
    int child[4];
  };

  explicit Terms(std::vector<detail::FormulaPointer> roots);
  const std::vector<Term>& all() const { return terms_; }
  /// The index of a root's term, by its number.
  int root(std::size_t number) const { return roots_[number]; }

  /// The first root in double; conditions are 0 or 1.
  double value(const Point& point, const std::vector<Tensor>& parameters = {}) const;
  /// The first root's derivative with respect to the score, and each element of a parameter that it read (appended).
  double derivative(const Point& point, const std::vector<Tensor>& parameters,
                    std::vector<ParameterShare>& shares) const;
  /// What the first root, a condition, is for all queries in [query_first, query_last] and keys in [key_first,
  /// key_last]: 0, 1, or 2 when it is not the same everywhere or not known to be.
  int cover(int batch, int head, std::int64_t query_first, std::int64_t query_last, std::int64_t key_first,
            std::int64_t key_last) const;

 private:
  void evaluate(const Point& point, const std::vector<Tensor>& parameters, double* values) const;

  std::vector<detail::FormulaPointer> formulas_;  // keeps the terms alive
  std::vector<Term> terms_;
  std::vector<int> roots_;
};

}  // namespace heed::attention
