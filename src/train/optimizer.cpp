#include <heed/optimizer.h>

#include <cmath>
#include <cstring>

#include "formats/safetensors.h"
#include "kernels/rows.h"

namespace heed {

Optimizer::Optimizer(const TrainingConfig& config, std::vector<std::pair<std::string, Weight>> trained)
    : config_(config), trained_(std::move(trained)) {
  const bool adam = config_.optimizer != "sgd";
  for (const auto& [name, weight] : trained_) {
    if (adam || config_.momentum > 0.0) first_.emplace_back(weight.shape());
    if (adam) second_.emplace_back(weight.shape());
  }
}

void Optimizer::step(const WeightGradients& gradients, double rate, double gradient_scale, ThreadPool& pool) {
  ++steps_;
  kernels::Adam adam;
  adam.rate = static_cast<float>(rate);
  adam.beta1 = config_.beta1;
  adam.beta2 = config_.beta2;
  adam.epsilon = static_cast<float>(config_.adam_epsilon);
  adam.gradient_scale = static_cast<float>(gradient_scale);
  adam.correction1 = static_cast<float>(1.0 - std::pow(config_.beta1, static_cast<double>(steps_)));
  adam.correction2 = static_cast<float>(1.0 - std::pow(config_.beta2, static_cast<double>(steps_)));
  for (std::size_t i = 0; i < trained_.size(); ++i) {
    Weight& weight = trained_[i].second;
    const float decay = weight.shape().rank() >= 2 ? static_cast<float>(config_.weight_decay) : 0.0f;
    const float* gradient = gradients.of(weight).floats();
    float* value = weight.change().floats();
    if (config_.optimizer == "sgd") {
      kernels::sgd(value, gradient, first_.empty() ? nullptr : first_[i].floats(), weight.elements(), adam.rate,
                   static_cast<float>(config_.momentum), decay, adam.gradient_scale, pool);
    } else {
      adam.decay = config_.optimizer == "adamw" ? decay : 0.0f;
      adam.coupled_decay = config_.optimizer == "adam" ? decay : 0.0f;
      kernels::adam(value, gradient, first_[i].floats(), second_[i].floats(), weight.elements(), adam, pool);
    }
  }
}

NamedTensors Optimizer::state() const {
  NamedTensors state;
  for (std::size_t i = 0; i < first_.size(); ++i) state.emplace_back("first." + trained_[i].first, first_[i]);
  for (std::size_t i = 0; i < second_.size(); ++i) state.emplace_back("second." + trained_[i].first, second_[i]);
  return state;
}

void Optimizer::restore(const SafetensorsReader& file, std::int64_t steps) {
  for (const auto& [name, to] : state()) {
    const Tensor from = file.tensor(name);
    if (from.shape() != to.shape() || from.dtype() != DType::float32)
      throw Error("{}: {} is {}, the model needs {}: the checkpoint is of another model", file.name(), name,
                  from.shape(), to.shape());
    std::memcpy(to.data(), from.data(), static_cast<std::size_t>(to.bytes()));
  }
  steps_ = steps;
}

}  // namespace heed
