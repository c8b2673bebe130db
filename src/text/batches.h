#pragma once
#include <heed/data_config.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "text/token_store.h"

namespace heed {

/// Sequences of different lengths one behind the other, without padding; sequence s holds the tokens from offset s up
/// to offset s + 1.
///
/// - translation, summarisation: source = ids, end; target_input = begin, ids; target_output = ids, end.
/// - classification: source = begin, ids; labels; no target.
/// - question answering: source = begin, question; target_input = end, a window of the passage; answers_first and
///   answers_last: the answer's tokens as places in target_input, both 0 (its first, the end token) where there is
///   none.
/// - language modelling, a stream: target_input = a window of the stream, target_output = the token after each; in
///   order "stream" sequence s is always the next window of the s-th part of the text.
/// - language modelling, documents: target_input = begin, ids; target_output = ids, end; every document is a sequence.
struct PackedBatch {
  std::vector<std::int32_t> source, target_input, target_output;
  std::vector<std::int64_t> source_offsets, target_offsets;  ///< [sequences + 1]; empty if there is no such side
  std::vector<std::int32_t> labels;                          ///< [sequences] in classification
  std::vector<std::int32_t> answers_first, answers_last;     ///< [sequences] in question answering
  std::vector<std::int64_t> examples;                        ///< [sequences] numbers in the store; of a stream, the
                                                             ///< windows' first tokens
  std::int64_t target_tokens = 0;  ///< predictions that the loss counts: target_output's, the labels, or both
                                   ///< ends of the answers

  std::int64_t sequences() const { return static_cast<std::int64_t>(examples.size()); }
};

/// Some examples of a store, ascending; of a stream the tokens [first_token, last_token).
struct StorePart {
  std::vector<std::int64_t> examples;
  std::int64_t first_token = 0, last_token = 0;
};

StorePart whole(const TokenStore& store);

/// The training and the validation part of one store, by data.validation_split (drawn by the seed; in language
/// modelling the last share, in question answering whole articles) or data.validation_every (the n-th, 2n-th, …
/// example). Without either, validation is empty. Throws Error when both are set, when one side would be empty, and for
/// validation_every of a stream.
std::pair<StorePart, StorePart> split_validation(const TokenStore& store, const DataConfig& config, std::uint64_t seed);

/// Question answering: which of the training files' articles are for `part`, by validation_split, test_split and the
/// seed.
std::vector<bool> articles_of(DataPart part, std::int64_t articles, const DataConfig& config, std::uint64_t seed);
/// The examples of these articles in a store of the training files.
StorePart part_of(const TokenStore& store, DataPart part, const DataConfig& config, std::uint64_t seed);

/// The batches of a part of a store: functions of (seed, epoch, index) alone, so a run that goes on at any batch sees
/// the same ones. Any number of threads may ask.
///
/// batch.order: "shuffle": every example once an epoch, in another order each; examples are then sorted by length
/// within windows of `batch.bucket` batches, cut into batches and the batches shuffled. "sequential": as they are.
/// "random": windows at random places of a stream. "sorted": all by length, for validation. "stream": the stream is cut
/// into batch.sequences parts of equal length (or one token more), and batch n has the n-th window of each, whose
/// length batch.context_jitter varies; the last may be shorter. A batch else takes examples up
/// to batch.tokens (an example longer than that is a batch of its own), or if that is 0 batch.sequences of them;
/// documents then up to sequences x context tokens. Language modelling takes windows of `context` tokens of a stream;
/// the last one may be shorter.
///
/// Memory: eight bytes an example (or window) beside the part's own, for the epoch last asked for.
class Batches {
 public:
  /// `context` is used by language modelling only. `sampling`: the vocabulary's subword regularisation, see
  /// Vocabulary::resample, drawn anew each epoch; a segmentation that would be longer than `max_length` (0: no bound)
  /// is not used, and batches are filled by the lengths without it. Throws Error for an empty part, for orders "random"
  /// and "stream" of anything but a stream, and for fewer predictions than streams.
  Batches(std::shared_ptr<const TokenStore> store, TextEncoder encoder, StorePart part, BatchConfig config,
          std::int64_t context, std::uint64_t seed, double sampling = 0.0, std::int64_t max_length = 0);

  std::int64_t batches_in_epoch(std::int64_t epoch) const;
  /// 0 <= index < batches_in_epoch(epoch).
  PackedBatch batch(std::int64_t epoch, std::int64_t index) const;

  /// Order "stream": the sequences of every batch, each of which goes on where it ended in the batch before. Else 0.
  std::int64_t streams() const { return config_.order == "stream" ? config_.sequences : 0; }
  /// Examples of the part; of a stream, its windows.
  std::int64_t examples() const { return items_; }
  /// Tokens that all batches of an epoch hold together, source and target counted; in language modelling as many as
  /// predictions.
  std::int64_t tokens_in_epoch() const;

 private:
  struct Plan {
    std::int64_t epoch = -1;
    std::vector<std::int64_t> order;   // items in the order in which batches take them
    std::vector<std::int64_t> starts;  // [batches + 1] places in `order`; of order "stream", tokens of each stream
  };
  std::shared_ptr<const Plan> plan(std::int64_t epoch) const;
  std::shared_ptr<const Plan> make_plan(std::int64_t epoch) const;
  void sort_by_length(std::vector<std::int64_t>& order) const;
  void cut_into_batches(Plan& plan) const;
  void shuffle_batches(Plan& plan, RandomKey key) const;
  std::int64_t budget() const;  // tokens a batch; 0: sequences are counted
  std::int64_t length(std::int64_t item) const;
  void cut_streams(Plan& plan, RandomKey key) const;
  std::int64_t predictions() const { return part_.last_token - 1 - part_.first_token; }
  void add_tokens(PackedBatch& batch, std::int64_t first, std::int64_t count) const;
  void add_window(PackedBatch& batch, std::int64_t epoch, std::int64_t item) const;
  void add_example(PackedBatch& batch, std::int64_t epoch, std::int64_t example) const;
  std::vector<std::int32_t> resampled(std::vector<std::int32_t> ids, const Vocabulary& vocabulary, RandomKey key) const;

  std::shared_ptr<const TokenStore> store_;
  TextEncoder encoder_;
  StorePart part_;
  BatchConfig config_;
  std::int64_t context_;
  RandomKey key_;
  double sampling_;
  std::int64_t max_length_;
  std::int64_t items_ = 0;  // examples of the part, or windows
  mutable std::mutex mutex_;
  mutable std::shared_ptr<const Plan> last_plan_;
};

/// Batches for validation: every example once, the lengths sorted, up to `tokens` a batch; the same in each epoch.
BatchConfig validation_batches(std::int64_t tokens);

}  // namespace heed
