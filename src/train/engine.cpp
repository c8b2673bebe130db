#include <heed/engine.h>

#include <algorithm>

#include "decode/generate.h"
#include "tasks/evaluate.h"
#include "train/measure_answers.h"
#include "train/model_folder.h"
#include "train/trainer.h"

namespace heed {

struct Engine::Parts {
  ModelFolder folder;
  ThreadPool pool;
  Arena arena;
  Precision precision;

  Parts(const std::filesystem::path& path, int threads, bool verify)
      : folder(load_model_folder(path, verify)), pool(threads), precision(precision_of(folder.recipe.training)) {}
  Evaluation evaluation() { return {*folder.model, folder.text, arena, pool, precision, folder.temperature}; }
};

Engine::Engine(const std::filesystem::path& folder, int threads, bool verify)
    : parts_(std::make_unique<Parts>(folder, threads, verify)) {}
Engine::~Engine() = default;
Engine::Engine(Engine&&) noexcept = default;
Engine& Engine::operator=(Engine&&) noexcept = default;

const std::string& Engine::task() const { return parts_->folder.recipe.task; }
const GenerationConfig& Engine::generation() const { return parts_->folder.recipe.generation; }

std::string Engine::answer(std::string_view text, const GenerationConfig& how,
                           const std::function<void(std::string_view)>& stream) {
  GenerationCallbacks callbacks;
  if (stream) callbacks.stream = [&](std::size_t, std::string_view piece) { stream(piece); };
  Session session(parts_->pool, parts_->precision);
  return generate_texts(*parts_->folder.model, parts_->folder.text, session, {std::string(text)}, how,
                        std::move(callbacks))
      .front()
      .text;
}

std::vector<std::string> Engine::answers(const std::vector<std::string>& texts, const GenerationConfig& how) {
  Session session(parts_->pool, parts_->precision);
  std::vector<std::string> found;
  for (Generated& answer : generate_texts(*parts_->folder.model, parts_->folder.text, session, texts, how, {}))
    found.push_back(std::move(answer.text));
  return found;
}

std::vector<std::pair<std::string, float>> Engine::classify(std::string_view text) {
  const auto& names = parts_->folder.text.labels.names();
  const Tensor probabilities = heed::classify(parts_->evaluation(), {parts_->folder.text.input(text)});
  std::vector<std::pair<std::string, float>> classes;
  for (std::size_t i = 0; i < names.size(); ++i) classes.emplace_back(names[i], probabilities.floats()[i]);
  std::stable_sort(classes.begin(), classes.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  return classes;
}

std::string Engine::answer_question(std::string_view question, std::string_view passage) {
  const ModelFolder& folder = parts_->folder;
  if (folder.text.task != Task::question_answering)
    throw Error("this model is for {}, not for question answering", text_of(folder.text.task));
  return answer_questions(parts_->evaluation(), {{question, passage}},
                          span_options(folder.recipe, folder.text, generation()))
      .front()
      .text;
}

Tensor Engine::states(std::string_view text) {
  return hidden_states(parts_->evaluation(), {parts_->folder.text.input(text)});
}

}  // namespace heed
