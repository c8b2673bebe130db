#include "train/checkpoint.h"

#include <charconv>
#include <cstring>
#include <nlohmann/json.hpp>
#include <unordered_set>

#include "models/task_models.h"

namespace heed {

namespace {

/// Calls f(name, member) for every field of Progress, once for reading and writing.
void progress_fields(auto& self, auto&& f) {
  f("step", self.step), f("epoch", self.epoch), f("batch", self.batch), f("tokens", self.tokens),
      f("seconds", self.seconds);
  f("best", self.best), f("best_step", self.best_step), f("validations", self.validations);
  f("without_better", self.without_better), f("validated_step", self.validated_step), f("loss_sum", self.loss_sum);
  f("loss_count", self.loss_count), f("metrics_bytes", self.metrics_bytes), f("finished", self.finished);
}

void copy_into(const SafetensorsReader& file, const std::string& name, const Tensor& to) {
  const Tensor from = file.tensor(name);
  if (from.shape() != to.shape() || from.dtype() != to.dtype())
    throw Error("{}: {} is {}, the model needs {}: the checkpoint is of another model", file.name(), name, from.shape(),
                to.shape());
  std::memcpy(to.data(), from.data(), static_cast<std::size_t>(to.bytes()));
}

}  // namespace

NamedTensors named_weights(Model& model) {
  NamedTensors tensors;
  for (auto& [name, weight] : model.weights()) tensors.emplace_back(name, weight.value());
  return tensors;
}

namespace {

void take(const SafetensorsReader& file, const std::string& name, Weight& weight) {
  if (!file.has(name))
    throw Error("{}: the weight {} is missing: the file is of another architecture", file.name(), name);
  const Tensor value = file.tensor(name);
  if (value.shape() != weight.shape())
    throw Error("{}: {} is {}, the recipe's model needs {}: the file is of another architecture", file.name(), name,
                value.shape(), weight.shape());
  if (value.dtype() != DType::float32 && value.dtype() != DType::bfloat16 && value.dtype() != DType::float16)
    throw Error("{}: {} is {}; weights are float32, bfloat16 or float16", file.name(), name, name_of(value.dtype()));
  weight.set(value);
}

}  // namespace

void load_weights(const SafetensorsReader& file, Model& model) {
  std::unordered_set<std::string> wanted;
  for (auto& [name, weight] : model.weights()) {
    wanted.insert(name);
    take(file, name, weight);
  }
  for (const SafetensorsEntry& entry : file.entries())
    if (!wanted.contains(entry.name))
      throw Error("{}: the weight {} is not one of the recipe's model: the file is of another architecture",
                  file.name(), entry.name);
}

void load_task_weights(const SafetensorsReader& file, Model& model, const std::string& task) {
  for (auto& [name, weight] : model.weights()) take(file, shared_name(task, name), weight);
}

void save_checkpoint(const std::filesystem::path& file, Model& model, const Optimizer& optimizer,
                     const std::vector<Tensor>& averages, const CarriedStates& states, const Progress& progress,
                     const std::string& recipe_fingerprint) {
  NamedTensors tensors;
  std::size_t index = 0;
  for (auto& [name, value] : named_weights(model)) {
    tensors.emplace_back("weight." + name, value);
    if (!averages.empty()) tensors.emplace_back("average." + name, averages[index++]);
  }
  for (auto& part : optimizer.state()) tensors.push_back(std::move(part));
  for (auto& part : states.tensors()) tensors.push_back(std::move(part));
  nlohmann::json json;
  progress_fields(progress, [&](const char* name, const auto& value) { json[name] = value; });
  write_safetensors(file, tensors,
                    {{"heed.progress", json.dump()},
                     {"heed.recipe", recipe_fingerprint},
                     {"heed.optimizer_steps", std::to_string(optimizer.steps())}});
}

Progress load_checkpoint(const std::filesystem::path& file, Model& model, Optimizer& optimizer,
                         std::vector<Tensor>& averages, CarriedStates& states, const std::string& recipe_fingerprint) {
  const SafetensorsReader reader(file);
  reader.verify();
  const auto& metadata = reader.metadata();
  if (!metadata.contains("heed.progress") || !metadata.contains("heed.optimizer_steps"))
    throw Error("{}: not a checkpoint of a training (it has no heed.progress)", reader.name());
  if (const auto own = metadata.find("heed.recipe"); own == metadata.end() || own->second != recipe_fingerprint)
    throw Error(
        "{}: the checkpoint was made with another recipe or other data; train into another folder, or resume with the "
        "same",
        reader.name());
  Progress progress;
  const auto json = nlohmann::json::parse(metadata.at("heed.progress"), nullptr, false);
  if (!json.is_object())
    throw Error("{}: heed.progress is not a JSON object: the checkpoint is altered", reader.name());
  progress_fields(progress, [&](const char* name, auto& value) {
    if (!json.contains(name))
      throw Error("{}: heed.progress lacks \"{}\": the checkpoint is altered or of another version", reader.name(),
                  name);
    try {
      value = json[name].get<std::remove_reference_t<decltype(value)>>();
    } catch (const nlohmann::json::exception&) {
      throw Error("{}: heed.progress has a \"{}\" of another type: the checkpoint is altered", reader.name(), name);
    }
  });
  std::size_t index = 0;
  for (auto& [name, weight] : model.weights()) {
    copy_into(reader, "weight." + name, weight.change());
    if (!averages.empty()) copy_into(reader, "average." + name, averages[index++]);
  }
  const std::string& steps_text = metadata.at("heed.optimizer_steps");
  std::int64_t steps = 0;
  if (std::from_chars(steps_text.data(), steps_text.data() + steps_text.size(), steps).ec != std::errc())
    throw Error("{}: heed.optimizer_steps is \"{}\", not a number: the checkpoint is altered", reader.name(),
                steps_text);
  optimizer.restore(reader, steps);
  states.restore(reader);
  return progress;
}

}  // namespace heed
