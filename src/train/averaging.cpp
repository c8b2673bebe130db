#include "train/averaging.h"

#include <algorithm>
#include <charconv>

#include "kernels/rows.h"
#include "train/checkpoint.h"

namespace heed {

Averages::Averages(Model& model, const TrainingConfig& config) : decay_(config.average_decay), last_(config.average) {
  if (decay_ > 0.0)
    for (const auto& [name, weight] : model.weights()) moving_.push_back(weight.value().clone());
}

void Averages::update(Model& model, std::int64_t step, ThreadPool& pool) {
  if (moving_.empty()) return;
  const double decay = std::min(decay_, (1.0 + static_cast<double>(step)) / (10.0 + static_cast<double>(step)));
  std::size_t i = 0;
  for (const auto& [name, weight] : model.weights())
    kernels::add_scaled(weight.value().view(), static_cast<float>(1.0 - decay), moving_[i++].view(),
                        static_cast<float>(decay), pool);
}

std::vector<std::pair<std::int64_t, std::filesystem::path>> Averages::kept_files(
    const std::filesystem::path& folder) const {
  std::vector<std::pair<std::int64_t, std::filesystem::path>> files;
  const std::string prefix = "validated-";
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().stem().string();
    if (!name.starts_with(prefix) || entry.path().extension() != ".safetensors") continue;
    std::int64_t step = 0;
    if (std::from_chars(name.data() + prefix.size(), name.data() + name.size(), step).ec == std::errc())
      files.emplace_back(step, entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

void Averages::keep(Model& model, const std::filesystem::path& folder, std::int64_t step) const {
  if (last_ < 2) return;
  write_safetensors(folder / ("validated-" + std::to_string(step) + ".safetensors"), named_weights(model));
  auto files = kept_files(folder);
  for (std::size_t i = 0; i + static_cast<std::size_t>(last_) < files.size(); ++i)
    std::filesystem::remove(files[i].second);
}

void Averages::forget_after(const std::filesystem::path& folder, std::int64_t step) const {
  for (const auto& [at, path] : kept_files(folder))
    if (at > step) std::filesystem::remove(path);
}

bool Averages::average_kept(Model& model, const std::filesystem::path& folder) {
  const auto files = kept_files(folder);
  if (last_ < 2 || files.size() < 2) return false;
  mean_.clear();
  for (const auto& [name, weight] : model.weights()) mean_.emplace_back(weight.shape());
  const float share = 1.0f / static_cast<float>(files.size());
  for (const auto& [step, path] : files) {
    const SafetensorsReader reader(path);
    std::size_t i = 0;
    for (const auto& [name, weight] : model.weights()) {
      const float* from = reader.tensor(name).floats();
      float* to = mean_[i++].floats();
      for (std::int64_t j = 0; j < weight.elements(); ++j) to[j] += share * from[j];
    }
  }
  return true;
}

Averages::Swapped::Swapped(const std::vector<Tensor>& values, Model& model) : model_(model) {
  if (values.empty()) return;
  std::size_t i = 0;
  for (auto& [name, weight] : model_.weights()) {
    own_.push_back(weight.value());
    weight.set(values[i++]);
  }
}

Averages::Swapped::~Swapped() {
  std::size_t i = 0;
  if (!own_.empty())
    for (auto& [name, weight] : model_.weights()) weight.set(std::move(own_[i++]));
}

}  // namespace heed
