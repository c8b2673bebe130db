#pragma once
#include <heed/model.h>

#include <utility>

namespace heed {

/// The name of a weight of a task's model in a model of several: what encodes is shared and keeps its name, all else is
/// "tasks.NAME." and its name.
std::string shared_name(const std::string& task, const std::string& weight);

/// Models of several tasks with one encoder: weights named alike that begin with "encoder." are one (Caruana 1997;
/// Collobert & Weston 2008). It is a model only for what counts, trains and stores weights; each task's own model tells
/// its answers.
class TaskModels : public Model {
 public:
  struct Part {
    std::string task;
    std::unique_ptr<Model> model;
  };
  /// Ties the encoders. Throws Error when there is nothing to share.
  explicit TaskModels(std::vector<Part> parts);
  const std::vector<Part>& parts() const { return parts_; }

  void visit(const WeightVisitor& visitor) override;
  int slots() const override { return 0; }
  std::int64_t context() const override { return parts_.front().model->context(); }
  Var encode(Pass& pass, const TokenRows& source) const override;
  Var decode(Pass& pass, const TokenRows& target, const Var& memory) const override;
  void remember(const Var& memory, const TokenRows& source) const override;
  Var summarise(const Var& hidden) const override;
  Var output_weight(Pass& pass) const override;
  Var output_bias(Pass& pass) const override;

 private:
  std::vector<Part> parts_;
};

}  // namespace heed
