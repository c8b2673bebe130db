#pragma once
#include <optional>
#include <string>
#include <vector>

#include "experiments/pareto.h"
#include "experiments/search_space.h"
#include "experiments/trials.h"
#include "train/trainer.h"

namespace heed {

/// How far the trials of a rung train: rungs 1 … count(), the last being the whole training.
class Rungs {
 public:
  explicit Rungs(const SearchSpace& space);
  int count() const { return static_cast<int>(ends_.size()) + 1; }
  /// Where rung 1 … count() − 1 ends, in the unit of search.rung_by.
  double end(int rung) const { return ends_[static_cast<std::size_t>(rung) - 1]; }
  /// Whether a training has come to the end of the rung.
  bool reached(int rung, const StepReport& report) const;

 private:
  std::string unit_;
  double whole_ = 0.0;
  std::vector<double> ends_;
};

/// What a worker is to do next.
struct Job {
  enum class Kind { train, wait, over } kind = Kind::over;
  std::int64_t trial = 0;
  std::string point;
  int goal = 1;     ///< the rung to train to
  std::string why;  ///< over: "trials", "the whole space"
};

/// Takes the next trial up for `owner`, in one transaction with whatever others do: one whose process is gone, one that
/// was interrupted, the best of a rung that is not promoted yet (of n trials that have come to the end of a rung, the
/// n / reduction best go on: ASHA, Li et al. 2020), or a new one. `wait`: others train, and may bring about a
/// promotion.
///
/// Throws Error when no recipe of the space is free of contradictions, naming the last one.
Job next_job(Trials& trials, const SearchSpace& space, const Rungs& rungs, const std::string& owner);

/// What each trial costs, lower being better: its objectives, with those negated that are to be high. Of a trial
/// without a result, nothing.
std::optional<Costs> costs_of(const Trial& trial, const SearchConfig& search);
/// An objective of a trial that has a result.
double objective_of(const Trial& trial, const std::string& objective);

/// Trials on the Pareto front of all that have a result (of one objective: the best), the best in the first objective
/// first.
std::vector<std::int64_t> pareto_front(const std::vector<Trial>& trials, const SearchConfig& search);

/// Numbers of paused trials that are not in the better half of those that came as far: their checkpoints may go. One
/// that is promoted all the same trains anew, to the same result.
std::vector<std::int64_t> unlikely_to_go_on(const std::vector<Trial>& trials, const SearchConfig& search);

}  // namespace heed
