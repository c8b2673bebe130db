#pragma once
#include <heed/arena.h>
#include <heed/model.h>
#include <heed/pass.h>

#include <cstdint>
#include <span>
#include <vector>

namespace heed {

/// Tokens that follow what a sequence's state holds.
struct Feed {
  State* state = nullptr;
  std::span<const std::int32_t> tokens;
};

/// What running a model needs besides the model: memory for activations, threads, a precision. States stay with the
/// caller, who forks, keeps and drops them; make one for each sequence with State(model.slots()).
///
/// Every call is one pass over sequences of any lengths: prompts and running generations may be joined. A state appears
/// once in a call, and its length moves only when the whole call has succeeded, so after an Error it can be used as if
/// the call had not been made.
class Session {
 public:
  /// arena_bytes: the most that activations may take; 0: the machine's memory or the container's limit.
  explicit Session(ThreadPool& pool, Precision precision = Precision::float32, std::int64_t arena_bytes = 0);

  /// Encodes sources and puts what the decoder needs of them into the states, which do not grow.
  void encode(const Model& model, std::span<const Feed> sources);
  /// Appends tokens to each sequence. Returns the logits of what follows its last token: [feeds, entries], float32, in
  /// the session's memory: drop it before the next call, so that its place is used again. Throws Error for a feed
  /// without tokens, past the model's context, or with an id outside the vocabulary.
  /// `probe`: is shown the pass's attention.
  Tensor step(const Model& model, std::span<const Feed> feeds, Probe* probe = nullptr);
  /// Appends tokens like `step`, and returns the log-probabilities of given followers: targets[i] are what follows the
  /// last targets[i].size() tokens of feed i, so a text is scored by feeding all but its last token with all but its
  /// first as targets. Logits are made a part at a time.
  std::vector<std::vector<float>> log_probabilities(const Model& model, std::span<const Feed> feeds,
                                                    std::span<const std::span<const std::int32_t>> targets);

  ThreadPool& pool() { return pool_; }
  Precision precision() const { return precision_; }
  const Arena& arena() const { return arena_; }

 private:
  struct Packed;
  Packed pack(const Model& model, std::span<const Feed> feeds, bool behind_states);
  Tensor logits(Pass& pass, const Model& model, const Tensor& hidden, std::span<const std::int32_t> rows,
                std::span<const std::int32_t> sequence_of);

  Arena arena_;
  ThreadPool& pool_;
  Precision precision_;
};

}  // namespace heed
