#pragma once
#include <heed/generation_config.h>
#include <heed/tensor.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace heed {

/// A trained model, ready to answer: what a program embeds. The weights are mapped, not read, so opening is quick and
/// engines of one folder share memory.
///
/// One call at a time; two engines run side by side. Throws Error for a folder that is not a model, an altered file, or
/// a text that is longer than the model's context.
class Engine {
 public:
  /// threads: 0 means the processors that the process may use. verify: compute every tensor's checksum first.
  explicit Engine(const std::filesystem::path& folder, int threads = 0, bool verify = false);
  ~Engine();
  Engine(Engine&&) noexcept;
  Engine& operator=(Engine&&) noexcept;

  /// "translation", "summarisation", "language-model", "classification" or "question-answering".
  const std::string& task() const;
  /// How the model's recipe makes text: a start for options of one's own.
  const GenerationConfig& generation() const;

  /// Translates a text or goes on with it. `stream`, if given, gets the answer piece by piece (not with beams).
  std::string answer(std::string_view text, const GenerationConfig& how,
                     const std::function<void(std::string_view)>& stream = {});
  std::string answer(std::string_view text) { return answer(text, generation()); }
  /// Many texts, in batches; the answers are in their order.
  std::vector<std::string> answers(const std::vector<std::string>& texts, const GenerationConfig& how);
  /// Names and probabilities of the classes for a text, the likeliest first.
  std::vector<std::pair<std::string, float>> classify(std::string_view text);
  /// The words of a passage that answer a question; empty when the passage does not tell (of a model that was trained
  /// with such questions).
  std::string answer_question(std::string_view question, std::string_view passage);
  /// Hidden states of the text's tokens, [tokens, width], float32: the encoder's, or a language model's.
  Tensor states(std::string_view text);

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace heed
