#pragma once
#include <heed/model.h>
#include <heed/training_config.h>

#include <filesystem>
#include <vector>

namespace heed {

/// Means of weights over a training, which usually predict better than the last weights: a moving average of every step
/// (training.average_decay; Polyak & Juditsky 1992), or the mean at the last validations (training.average;
/// Junczys-Dowmunt et al. 2016), which are kept as files beside the checkpoint until the end.
class Averages {
 public:
  Averages(Model& model, const TrainingConfig& config);
  /// After a step: average = decay·average + (1 − decay)·weight. The decay grows from 0.1 so that the start is
  /// forgotten.
  void update(Model& model, std::int64_t step, ThreadPool& pool);
  /// The moving averages in the order of the weights, or nothing.
  std::vector<Tensor>& tensors() { return moving_; }

  /// Writes the weights of a validation; only the last `training.average` are kept.
  void keep(Model& model, const std::filesystem::path& folder, std::int64_t step) const;
  /// Removes what validations after `step` have kept: the run that made them is to be repeated.
  void forget_after(const std::filesystem::path& folder, std::int64_t step) const;
  /// Makes the mean of what is kept. False when fewer than two are.
  bool average_kept(Model& model, const std::filesystem::path& folder);

  /// While it lives the model has the averaged weights in place of its own.
  class Swapped {
   public:
    Swapped(const std::vector<Tensor>& values, Model& model);
    ~Swapped();
    Swapped(const Swapped&) = delete;
    Swapped& operator=(const Swapped&) = delete;

   private:
    Model& model_;
    std::vector<Tensor> own_;
  };
  struct Shown : Swapped {
    Shown(Averages& averages, Model& model) : Swapped(averages.moving_, model) {}
  };
  struct Kept : Swapped {
    Kept(Averages& averages, Model& model) : Swapped(averages.mean_, model) {}
  };

 private:
  std::vector<std::pair<std::int64_t, std::filesystem::path>> kept_files(const std::filesystem::path& folder) const;
  double decay_ = 0.0;
  std::int64_t last_ = 0;
  std::vector<Tensor> moving_, mean_;
};

}  // namespace heed
