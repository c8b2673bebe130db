#include "train/task_mixture.h"

namespace heed {

TaskMixture::TaskMixture(std::vector<TrainedTask> tasks, std::uint64_t seed) : tasks_(std::move(tasks)), key_{seed} {}

std::int64_t TaskMixture::batches_in_epoch(std::int64_t epoch) const {
  std::int64_t batches = 0;
  for (const TrainedTask& task : tasks_) batches += task.batches->batches_in_epoch(epoch);
  return batches;
}

TaskMixture::Pick TaskMixture::pick(std::int64_t epoch, std::int64_t index) const {
  if (tasks_.size() == 1) return {&tasks_.front(), index};
  if (epoch != epoch_) {
    std::vector<Pick> all;
    for (const TrainedTask& task : tasks_)
      for (std::int64_t i = 0; i < task.batches->batches_in_epoch(epoch); ++i) all.push_back({&task, i});
    order_.clear();
    for (const std::int64_t place :
         permutation(key_.fold(static_cast<std::uint64_t>(epoch)), static_cast<std::int64_t>(all.size())))
      order_.push_back(all[static_cast<std::size_t>(place)]);
    epoch_ = epoch;
  }
  return order_[static_cast<std::size_t>(index)];
}

}  // namespace heed
