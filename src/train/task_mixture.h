#pragma once
#include <heed/model.h>

#include <string>
#include <vector>

#include "text/batches.h"

namespace heed {

/// One of the tasks of a training: what its batches are told by, and learnt with.
struct TrainedTask {
  std::string name;  ///< empty: the only one
  Task task = Task::classification;
  const Model* model = nullptr;
  const Batches* batches = nullptr;
  std::vector<float> class_weights{};  ///< see batch_loss
  double weight = 1.0;                 ///< what its loss is multiplied by
};

/// The batches of several tasks, in an epoch every batch of each once, in an order drawn by the seed: a task has as
/// large a share of every stretch of the training as of the data. Functions of (seed, epoch, index) alone.
class TaskMixture {
 public:
  TaskMixture(std::vector<TrainedTask> tasks, std::uint64_t seed);
  const std::vector<TrainedTask>& tasks() const { return tasks_; }
  std::int64_t batches_in_epoch(std::int64_t epoch) const;
  struct Pick {
    const TrainedTask* task = nullptr;
    std::int64_t index = 0;  ///< among its batches of the epoch
  };
  Pick pick(std::int64_t epoch, std::int64_t index) const;

 private:
  std::vector<TrainedTask> tasks_;
  RandomKey key_;
  mutable std::int64_t epoch_ = -1;
  mutable std::vector<Pick> order_;  // of epoch_; with one task not needed
};

}  // namespace heed
