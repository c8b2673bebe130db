#pragma once
#include <heed/detail/field.h>

#include <cstdint>
#include <string>
#include <vector>

namespace heed {

/// The [search] section of a space file.
struct SearchConfig {
  std::string strategy = "asha";
  std::vector<std::string> objectives = {"accuracy"};
  std::int64_t trials = 0;
  double minutes = 0.0;
  std::uint64_t seed = 1;
  std::int64_t grid_points = 5;
  std::string rung_by = "epochs";
  double first_rung = 1.0;
  std::int64_t reduction = 3;
  std::string keep = "front";

  bool operator==(const SearchConfig&) const = default;
  static void fields(auto& self, auto&& f) {
    f("strategy", self.strategy,
      "grid (every recipe, in order), random, or asha (random; the best of each rung train on: asynchronous successive "
      "halving, Li et al. 2020)",
      one_of({"grid", "random", "asha"}));
    f("objectives", self.objectives,
      "what is sought, the most important first: a metric of validation (what training.best_by may be), then any of "
      "others, parameters (few) and latency (short: milliseconds that an example takes by itself on this machine, "
      "measured while no trial of this search trains)");
    f("trials", self.trials, "no new trials after so many; 0: no limit", at_least(0));
    f("minutes", self.minutes,
      "each run of the command ends after so many minutes, trials unfinished go on in the next; 0: no limit",
      at_least(0));
    f("seed", self.seed, "of the recipes that are drawn; the trainings have the recipe's own");
    f("grid_points", self.grid_points, "grid: values of a range without a step", at_least(2));
    f("rung_by", self.rung_by, "asha: what rungs are counted in; the recipe's key of that name is the last rung",
      one_of({"epochs", "steps", "minutes"}));
    f("first_rung", self.first_rung, "asha: how far every trial trains at first", above(0));
    f("reduction", self.reduction, "asha: one of so many goes on to the next rung, which is so many times as far",
      at_least(2));
    f("keep", self.keep, "front (models of the Pareto front, checkpoints of the better half of a rung) or all",
      one_of({"front", "all"}));
  }
};

}  // namespace heed
