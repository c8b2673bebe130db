#pragma once
#include <heed/generation_config.h>
#include <heed/model.h>

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace heed {

/// One sequence to generate.
struct GenerationInput {
  std::vector<std::int32_t> source;  ///< what the encoder reads; empty: nothing is encoded (a language model)
  std::vector<std::int32_t>
      prompt;  ///< what the decoder starts from, at least one token: begin, or a text to go on with
};

/// Why an answer ended: the end token, the limit on its length, the model's context, or a stop string.
enum class Stop : unsigned char { end, length, context, text };

struct Generated {
  std::vector<std::int32_t> tokens;  ///< without the prompt and the end token
  std::string text;                  ///< of the tokens, cut at the stop string; empty when nothing decodes
  double log_probability = 0.0;      ///< of the tokens and the end token, as the model gives it, before any filter
  double score = 0.0;                ///< beam search: log-probability / length^length_penalty; else log-probability
  Stop stop = Stop::end;
};

/// What a caller may add: all optional.
struct GenerationCallbacks {
  /// Text of ids; needed for stop strings, `stream` and Generated::text.
  std::function<std::string(std::span<const std::int32_t> ids)> decode;
  /// The next piece of an answer's text, as soon as no stop string can begin in it. Not with beams.
  std::function<void(std::size_t input, std::string_view piece)> stream;
  /// After each finished answer.
  std::function<void(std::size_t done, std::size_t total)> progress;
};

/// How many predictions an answer may take, the end token's included, and why no more.
struct GenerationLimit {
  std::int64_t predictions = 0;
  Stop reason = Stop::length;
};
/// max_tokens; with a source max_length_ratio · its tokens + 10; what the context leaves behind the prompt: the least.
/// Throws Error for a prompt that is empty or longer than the context; `index` is named.
GenerationLimit generation_limit(const GenerationInput& input, std::size_t index, const Model& model,
                                 const GenerationConfig& config);

/// Which inputs run at once: the longest first, so that none of them runs alone at the end, and as many as batch_tokens
/// has room for. An input takes its source and prompt, or (a language model) its prompt and the longest answer.
class WaitingInputs {
 public:
  WaitingInputs(std::span<const GenerationInput> inputs, const Model& model, const GenerationConfig& config);
  bool empty() const { return next_ == order_.size(); }
  /// The inputs that start now: none while less than half of the room is free, since small passes are dear; at least
  /// one when nothing runs.
  std::vector<std::size_t> admit();
  /// Gives the room of an input back.
  void finished(std::size_t input);
  GenerationLimit limit(std::size_t input) const { return limits_[input]; }

 private:
  std::vector<GenerationLimit> limits_;
  std::vector<std::int64_t> cost_;
  std::vector<std::size_t> order_;
  std::size_t next_ = 0;
  std::int64_t room_ = 0, taken_ = 0;
};

}  // namespace heed
