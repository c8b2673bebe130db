#include "decode/generate.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "decode/beam_search.h"
#include "decode/forbidden.h"
#include "decode/growing_text.h"
#include "decode/sampling.h"
#include "kernels/rows.h"

namespace heed {

namespace {

/// A sequence that is being generated.
struct Running {
  std::size_t input;
  State state;
  std::vector<std::int32_t> ids;  ///< the prompt and what has been generated
  std::size_t prompt_tokens;
  std::size_t prompt_bytes;  ///< of the prompt's text
  GrowingText text;
  double log_probability = 0.0;

  std::span<const std::int32_t> generated() const { return std::span(ids).subspan(prompt_tokens); }
  std::span<const std::int32_t> not_read() const {
    return std::span(ids).subspan(static_cast<std::size_t>(state.length));
  }
};

class Generation {
 public:
  Generation(const Model& model, Session& session, std::span<const GenerationInput> inputs,
             const GenerationConfig& config, std::int32_t end, const GenerationCallbacks& callbacks)
      : model_(model),
        session_(session),
        inputs_(inputs),
        config_(config),
        end_(end),
        callbacks_(callbacks),
        waiting_(inputs, model, config),
        samplers_(static_cast<std::size_t>(session.pool().threads()), Sampler(config)),
        answers_(inputs.size()) {}

  std::vector<Generated> run() {
    while (!waiting_.empty() || !running_.empty()) {
      admit();
      step();
    }
    return std::move(answers_);
  }

 private:
  void admit();
  void step();
  void choose(const Tensor& logits);
  bool accept(Running& sequence, std::int32_t token, double log_probability);
  void finish(Running& sequence, Stop stop);

  const Model& model_;
  Session& session_;
  std::span<const GenerationInput> inputs_;
  const GenerationConfig& config_;
  std::int32_t end_;
  const GenerationCallbacks& callbacks_;
  WaitingInputs waiting_;
  std::vector<Sampler> samplers_;
  std::vector<Generated> answers_;
  std::size_t done_ = 0;
  std::vector<Running> running_;
  std::vector<Feed> feeds_;
  std::vector<std::int32_t> tokens_;
  std::vector<float> losses_;
};

void Generation::admit() {
  const std::size_t before = running_.size();
  for (const std::size_t input : waiting_.admit()) {
    const std::vector<std::int32_t>& prompt = inputs_[input].prompt;
    running_.push_back({.input = input,
                        .state = State(model_.slots()),
                        .ids = prompt,
                        .prompt_tokens = prompt.size(),
                        .prompt_bytes = callbacks_.decode ? callbacks_.decode(prompt).size() : 0,
                        .text = GrowingText(config_.stop)});
  }
  feeds_.clear();
  for (std::size_t i = before; i < running_.size(); ++i)
    if (!inputs_[running_[i].input].source.empty())
      feeds_.push_back({&running_[i].state, inputs_[running_[i].input].source});
  session_.encode(model_, feeds_);
}

void Generation::step() {
  feeds_.clear();
  for (Running& sequence : running_) feeds_.push_back({&sequence.state, sequence.not_read()});
  choose(session_.step(model_, feeds_));
  const float* const negative = losses_.data() + running_.size();
  std::size_t left = 0;
  for (std::size_t i = 0; i < running_.size(); ++i) {
    if (accept(running_[i], tokens_[i], -static_cast<double>(negative[i]))) continue;
    if (left != i) running_[left] = std::move(running_[i]);
    ++left;
  }
  running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(left), running_.end());
}

/// The next token of every running sequence, and its log-probability.
void Generation::choose(const Tensor& logits) {
  const auto count = static_cast<std::int64_t>(running_.size()),
             parts = std::min<std::int64_t>(session_.pool().threads(), count);
  tokens_.resize(running_.size());
  losses_.resize(3 * running_.size());
  // A part for each sampler: a row's token does not depend on the cut.
  session_.pool().parallel_for(parts, [&](std::int64_t part) {
    for (std::int64_t row = count * part / parts; row < count * (part + 1) / parts; ++row) {
      const Running& sequence = running_[static_cast<std::size_t>(row)];
      const std::span<float> values(logits.floats() + row * logits.width(), static_cast<std::size_t>(logits.width()));
      // Put back afterwards: an answer's probability is the model's.
      std::vector<std::pair<std::int32_t, float>> banned;
      for (const std::int32_t token : forbidden(sequence.generated(), config_, end_))
        banned.emplace_back(
            token, std::exchange(values[static_cast<std::size_t>(token)], -std::numeric_limits<float>::infinity()));
      tokens_[static_cast<std::size_t>(row)] = samplers_[static_cast<std::size_t>(part)].next(
          values, sequence.ids, RandomKey{config_.seed}.fold(sequence.input), sequence.generated().size());
      for (auto one = banned.rbegin(); one != banned.rend(); ++one)
        values[static_cast<std::size_t>(one->first)] = one->second;
    }
  });
  float* const loss = losses_.data();
  kernels::softmax_cross_entropy(logits.view(), tokens_.data(), 0.0f, View{}, loss, loss + count, loss + 2 * count,
                                 session_.pool());
}

/// True when the sequence has ended.
bool Generation::accept(Running& sequence, std::int32_t token, double log_probability) {
  sequence.log_probability += log_probability;
  bool stopped = false;
  if (token == end_) {
    finish(sequence, Stop::end);
    return true;
  }
  sequence.ids.push_back(token);
  if (callbacks_.decode && (callbacks_.stream || !config_.stop.empty())) {
    const std::string text = callbacks_.decode(sequence.ids);
    stopped = sequence.text.update(text.substr(std::min(sequence.prompt_bytes, text.size())));
    const std::string_view piece = callbacks_.stream ? sequence.text.take(stopped) : std::string_view();
    if (!piece.empty()) callbacks_.stream(sequence.input, piece);
  }
  const GenerationLimit limit = waiting_.limit(sequence.input);
  const bool full = static_cast<std::int64_t>(sequence.generated().size()) >= limit.predictions;
  if (stopped || full) finish(sequence, stopped ? Stop::text : limit.reason);
  return stopped || full;
}

void Generation::finish(Running& sequence, Stop stop) {
  Generated& answer = answers_[sequence.input];
  answer.tokens.assign(sequence.generated().begin(), sequence.generated().end());
  answer.log_probability = answer.score = sequence.log_probability;
  answer.stop = stop;
  if (callbacks_.decode && stop != Stop::text) {
    const std::string text = callbacks_.decode(sequence.ids);
    sequence.text.update(text.substr(std::min(sequence.prompt_bytes, text.size())));
    const std::string_view piece = callbacks_.stream ? sequence.text.take(true) : std::string_view();
    if (!piece.empty()) callbacks_.stream(sequence.input, piece);
  }
  answer.text = sequence.text.text();
  waiting_.finished(sequence.input);
  ++done_;
  if (callbacks_.progress) callbacks_.progress(done_, inputs_.size());
}

}  // namespace

std::vector<Generated> generate(const Model& model, Session& session, std::span<const GenerationInput> inputs,
                                const GenerationConfig& config, std::int32_t end,
                                const GenerationCallbacks& callbacks) {
  if (!callbacks.decode && (callbacks.stream || !config.stop.empty()))
    throw Error("generation: stop strings and streaming need the text of tokens; give `decode`");
  return Generation(model, session, inputs, config, end, callbacks).run();
}

std::vector<Generated> answers(const Model& model, Session& session, std::span<const GenerationInput> inputs,
                               const GenerationConfig& config, std::int32_t end, const GenerationCallbacks& callbacks) {
  if (config.beams <= 1) return generate(model, session, inputs, config, end, callbacks);
  if (!callbacks.decode && !config.stop.empty())
    throw Error("generation: stop strings need the text of tokens; give `decode`");
  std::vector<Generated> best;
  for (std::vector<Generated>& hypotheses : beam_search(model, session, inputs, config, end, 1, callbacks.progress))
    best.push_back(std::move(hypotheses.front()));
  for (std::size_t i = 0; callbacks.decode && i < best.size(); ++i) {
    std::vector<std::int32_t> ids = inputs[i].prompt;
    const std::size_t prompt_bytes = callbacks.decode(ids).size();
    ids.insert(ids.end(), best[i].tokens.begin(), best[i].tokens.end());
    const std::string text = callbacks.decode(ids);
    GrowingText answer(config.stop);
    if (answer.update(text.substr(std::min(prompt_bytes, text.size())))) best[i].stop = Stop::text;
    best[i].text = answer.text();
  }
  return best;
}

}  // namespace heed
