#include "experiments/scheduler.h"

#include <heed/error.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

namespace heed {

namespace {

/// Trials that have come to the end of the rung, the best first.
std::vector<const Trial*> ranked(const std::vector<Trial>& trials, const SearchConfig& search, int rung) {
  std::vector<const Trial*> there;
  std::vector<Costs> costs;
  for (const Trial& trial : trials)
    if (trial.rung >= rung && trial.state != TrialState::failed)
      if (const auto cost = costs_of(trial, search)) {
        there.push_back(&trial);
        costs.push_back(*cost);
      }
  std::vector<const Trial*> order;
  for (const std::size_t place : from_the_best(costs)) order.push_back(there[place]);
  return order;
}

const Trial* promotable(const std::vector<Trial>& trials, const SearchConfig& search, const Rungs& rungs) {
  for (int rung = rungs.count() - 1; rung >= 1; --rung) {
    const std::vector<const Trial*> order = ranked(trials, search, rung);
    const std::size_t promoted = order.size() / static_cast<std::size_t>(search.reduction);
    for (std::size_t i = 0; i < promoted; ++i)
      if (order[i]->rung == rung && order[i]->state == TrialState::paused) return order[i];
  }
  return nullptr;
}

/// The next point that was not tried and whose recipe holds together.
std::optional<Point> new_point(Trials& trials, const SearchSpace& space, const std::vector<Trial>& known) {
  constexpr int most_draws = 5000;
  std::set<std::string> points;
  for (const Trial& trial : known) points.insert(trial.point);
  std::string contradiction;
  const bool grid = space.search.strategy == "grid";
  std::uint64_t draw = trials.draws();
  for (int i = 0; grid || i < most_draws; ++i, ++draw) {
    const std::optional<Point> point = grid ? space.grid_point(draw) : space.random_point(draw);
    if (!point) break;
    if (points.contains(space.json(*point))) continue;
    try {
      space.recipe(*point);
    } catch (const Error& error) {
      contradiction = error.what();
      continue;
    }
    trials.set_draws(draw + 1);
    return point;
  }
  trials.set_draws(draw);
  if (known.empty()) throw Error("no recipe of the space can be trained; of the last: {}", contradiction);
  return {};
}

}  // namespace

Rungs::Rungs(const SearchSpace& space) : unit_(space.search.rung_by) {
  if (space.search.strategy != "asha") return;
  const TrainingConfig& training = space.base.training;
  whole_ = unit_ == "epochs"  ? training.epochs
           : unit_ == "steps" ? static_cast<double>(training.steps)
                              : training.minutes;
  for (double end = space.search.first_rung; end < whole_ * (1.0 - 1e-9);
       end *= static_cast<double>(space.search.reduction))
    ends_.push_back(end);
}

bool Rungs::reached(int rung, const StepReport& report) const {
  if (rung >= count()) return false;
  const double now = unit_ == "epochs"  ? report.epoch
                     : unit_ == "steps" ? static_cast<double>(report.step)
                                        : report.done * whole_;
  return now >= end(rung) * (1.0 - 1e-12);
}

Job next_job(Trials& trials, const SearchSpace& space, const Rungs& rungs, const std::string& owner) {
  Trials::Transaction transaction(trials);
  const std::vector<Trial> all = trials.all();
  const auto take = [&](const Trial& trial, int goal) {
    trials.claim(trial.number, goal, owner);
    transaction.commit();
    return Job{Job::Kind::train, trial.number, trial.point, goal, ""};
  };
  for (const Trial& trial : all)
    if (trial.state == TrialState::waiting || is_orphan(trial)) return take(trial, trial.goal);
  if (const Trial* trial = promotable(all, space.search, rungs)) return take(*trial, trial->rung + 1);

  Job job;
  job.why = "trials";
  if (space.search.trials == 0 || static_cast<std::int64_t>(all.size()) < space.search.trials) {
    if (const auto point = new_point(trials, space, all)) {
      job = {Job::Kind::train, 0, space.json(*point), 1, ""};
      job.trial = trials.add(job.point, job.goal, owner);
      transaction.commit();
      return job;
    }
    job.why = "the whole space";
    transaction.commit();
  }
  const bool others =
      std::any_of(all.begin(), all.end(), [](const Trial& trial) { return trial.state == TrialState::running; });
  if (others) job.kind = Job::Kind::wait;
  return job;
}

double objective_of(const Trial& trial, const std::string& objective) {
  if (objective == "parameters") return static_cast<double>(trial.parameters);
  if (objective == "latency") return trial.latency;
  const auto found = trial.measures.find(objective);
  return found == trial.measures.end() ? std::numeric_limits<double>::quiet_NaN() : found->second;
}

std::optional<Costs> costs_of(const Trial& trial, const SearchConfig& search) {
  if (trial.rung == 0 || trial.measures.empty()) return {};
  Costs costs;
  for (const std::string& objective : search.objectives) {
    const double value = objective_of(trial, objective);
    if (!std::isfinite(value)) return {};
    costs.push_back(is_minimised(objective) ? value : -value);
  }
  return costs;
}

std::vector<std::int64_t> pareto_front(const std::vector<Trial>& trials, const SearchConfig& search) {
  std::vector<std::pair<Costs, std::int64_t>> with_result;
  for (const Trial& trial : trials)
    if (const auto costs = costs_of(trial, search)) with_result.emplace_back(*costs, trial.number);
  std::stable_sort(with_result.begin(), with_result.end());
  std::vector<std::int64_t> front;
  for (const auto& [costs, number] : with_result) {
    const bool single = search.objectives.size() == 1;  // equal ones are no choice there
    const bool beaten = (single && !front.empty()) ||
                        std::any_of(with_result.begin(), with_result.end(),
                                    [&, &own = costs](const auto& other) { return dominates(other.first, own); });
    if (!beaten) front.push_back(number);
  }
  return front;
}

std::vector<std::int64_t> unlikely_to_go_on(const std::vector<Trial>& trials, const SearchConfig& search) {
  std::vector<std::int64_t> numbers;
  int last = 0;
  for (const Trial& trial : trials) last = std::max(last, trial.rung);
  for (int rung = 1; rung <= last; ++rung) {
    const std::vector<const Trial*> order = ranked(trials, search, rung);
    for (std::size_t i = (order.size() + 1) / 2; order.size() >= 4 && i < order.size(); ++i)
      if (order[i]->rung == rung && order[i]->state == TrialState::paused) numbers.push_back(order[i]->number);
  }
  return numbers;
}

}  // namespace heed
