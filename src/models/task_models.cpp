#include "models/task_models.h"

#include <unordered_map>

namespace heed {

namespace {

bool is_shared(const std::string& weight) { return weight.starts_with("encoder."); }

[[noreturn]] void refuse() {
  throw Error("a model of several tasks answers by the model of one of them, which must be named");
}

}  // namespace

std::string shared_name(const std::string& task, const std::string& weight) {
  return is_shared(weight) ? weight : "tasks." + task + "." + weight;
}

TaskModels::TaskModels(std::vector<Part> parts) : parts_(std::move(parts)) {
  std::unordered_map<std::string, Weight> first;
  parts_.front().model->visit([&](const std::string& name, Weight& weight) {
    if (is_shared(name)) first.emplace(name, weight);
  });
  for (std::size_t i = 1; i < parts_.size(); ++i)
    parts_[i].model->visit([&](const std::string& name, Weight& weight) {
      if (!is_shared(name)) return;
      const auto found = first.find(name);
      if (found == first.end() || found->second.shape() != weight.shape())
        throw Error("the encoders of tasks {} and {} differ in {}: they cannot be shared", parts_.front().task,
                    parts_[i].task, name);
      weight = found->second;
    });
}

void TaskModels::visit(const WeightVisitor& visitor) {
  for (Part& part : parts_)
    part.model->visit([&](const std::string& name, Weight& weight) { visitor(shared_name(part.task, name), weight); });
}

Var TaskModels::encode(Pass&, const TokenRows&) const { refuse(); }
Var TaskModels::decode(Pass&, const TokenRows&, const Var&) const { refuse(); }
void TaskModels::remember(const Var&, const TokenRows&) const { refuse(); }
Var TaskModels::summarise(const Var&) const { refuse(); }
Var TaskModels::output_weight(Pass&) const { refuse(); }
Var TaskModels::output_bias(Pass&) const { refuse(); }

}  // namespace heed
