#include "text/batches.h"

#include <heed/error.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace heed {

namespace {

// Coordinates under the seed: what a draw is for.
constexpr std::uint64_t order_draws = 1, batch_draws = 2, window_draws = 3, segmentation_draws = 4, cut_draws = 5;

template <class T>
void append(std::vector<T>& all, const std::vector<T>& more) {
  all.insert(all.end(), more.begin(), more.end());
}

/// The next offset of packed sequences that end with the last of `tokens`.
void close_sequence(std::vector<std::int64_t>& offsets, const std::vector<std::int32_t>& tokens) {
  offsets.push_back(static_cast<std::int64_t>(tokens.size()));
}

}  // namespace

BatchConfig validation_batches(std::int64_t tokens) {
  BatchConfig config;
  config.tokens = tokens;
  config.order = "sorted";
  return config;
}

Batches::Batches(std::shared_ptr<const TokenStore> store, TextEncoder encoder, StorePart part, BatchConfig config,
                 std::int64_t context, std::uint64_t seed, double sampling, std::int64_t max_length)
    : store_(std::move(store)),
      encoder_(std::move(encoder)),
      part_(std::move(part)),
      config_(std::move(config)),
      context_(context),
      key_{seed},
      sampling_(sampling),
      max_length_(max_length) {
  if (store_->task() == Task::language_modelling && context_ < 1)
    throw Error("batch.context is {}; language modelling needs windows of 1 token or more", context_);
  if (config_.tokens == 0 && config_.sequences < 1)
    throw Error("batch.sequences is {} and batch.tokens 0; a batch needs 1 sequence or more", config_.sequences);
  if ((config_.order == "random" || config_.order == "stream") && !store_->stream())
    throw Error("batch.order = \"{}\" is for language modelling of a stream; use shuffle or sequential", config_.order);
  if (store_->stream()) {
    if (predictions() < 1)
      throw Error("batches: the text has {} tokens; language modelling needs 2 or more", predictions() + 1);
    if (predictions() < streams())
      throw Error("batch.order = \"stream\" cuts the text into {} streams, but it has {} tokens; lower batch.sequences",
                  streams(), predictions() + 1);
    const std::int64_t parts = std::max<std::int64_t>(streams(), 1), longest = predictions() / parts;
    context_ = std::min(context_, longest);
    items_ = parts * ((longest + context_ - 1) / context_);
  } else {
    items_ = static_cast<std::int64_t>(part_.examples.size());
    if (items_ == 0) throw Error("batches: there are no examples");
  }
}

std::int64_t Batches::budget() const {
  if (config_.tokens > 0) return config_.tokens;
  return store_->task() == Task::language_modelling && !store_->stream() ? config_.sequences * context_ : 0;
}

std::int64_t Batches::length(std::int64_t item) const {
  if (!store_->stream()) return store_->length(part_.examples[static_cast<std::size_t>(item)]);
  return std::min(context_, predictions() - item * context_);
}

std::int64_t Batches::tokens_in_epoch() const {
  if (store_->stream()) return predictions();
  std::int64_t tokens = 0;
  for (std::int64_t item = 0; item < items_; ++item) tokens += length(item);
  return tokens;
}

std::int64_t Batches::batches_in_epoch(std::int64_t epoch) const {
  return static_cast<std::int64_t>(plan(epoch)->starts.size()) - 1;
}

std::shared_ptr<const Batches::Plan> Batches::plan(std::int64_t epoch) const {
  const std::lock_guard lock(mutex_);
  if (!last_plan_ || last_plan_->epoch != epoch) last_plan_ = make_plan(epoch);
  return last_plan_;
}

std::shared_ptr<const Batches::Plan> Batches::make_plan(std::int64_t epoch) const {
  auto plan = std::make_shared<Plan>();
  plan->epoch = epoch;
  const RandomKey key = key_.fold(static_cast<std::uint64_t>(epoch));
  if (config_.order == "stream") {
    cut_streams(*plan, key.fold(cut_draws));
    return plan;
  }
  const bool shuffled = config_.order == "shuffle" || config_.order == "random";
  if (shuffled) {
    plan->order = permutation(key.fold(order_draws), items_);
  } else {
    plan->order.resize(static_cast<std::size_t>(items_));
    std::iota(plan->order.begin(), plan->order.end(), std::int64_t{0});
  }
  const bool sorted = !store_->stream() && (config_.order == "sorted" || (shuffled && config_.bucket > 1));
  if (sorted) sort_by_length(plan->order);
  cut_into_batches(*plan);
  if (sorted && shuffled) shuffle_batches(*plan, key.fold(batch_draws));
  return plan;
}

/// Sorts by length, ties in the order they have: all items, or windows of `bucket` batches each.
void Batches::sort_by_length(std::vector<std::int64_t>& order) const {
  const bool all = config_.order == "sorted";
  const std::int64_t most = config_.bucket * (budget() > 0 ? budget() : config_.sequences);
  auto window = order.begin();
  std::int64_t filled = 0;
  for (auto item = order.begin(); item != order.end(); ++item) {
    filled += budget() > 0 ? length(*item) : 1;
    if (item + 1 != order.end() && (all || filled < most)) continue;
    std::stable_sort(window, item + 1, [&](std::int64_t a, std::int64_t b) { return length(a) < length(b); });
    window = item + 1;
    filled = 0;
  }
}

void Batches::cut_into_batches(Plan& plan) const {
  const std::int64_t most_tokens = budget();
  std::int64_t sequences = 0, tokens = 0;
  for (std::size_t place = 0; place < plan.order.size(); ++place) {
    const std::int64_t more = length(plan.order[place]);
    const bool full = most_tokens > 0 ? tokens + more > most_tokens : sequences == config_.sequences;
    if (place == 0 || full) {
      plan.starts.push_back(static_cast<std::int64_t>(place));
      sequences = tokens = 0;
    }
    ++sequences;
    tokens += more;
  }
  plan.starts.push_back(static_cast<std::int64_t>(plan.order.size()));
}

/// Where the windows of each stream begin; the last ends with the stream.
void Batches::cut_streams(Plan& plan, RandomKey key) const {
  const std::int64_t length = predictions() / streams();
  for (std::int64_t at = 0, n = 0; at < length; ++n) {
    plan.starts.push_back(at);
    const double stretch = 2.0 * static_cast<double>(uniform(key, static_cast<std::uint64_t>(n))) - 1.0;
    const auto count = std::llround(static_cast<double>(context_) * (1.0 + config_.context_jitter * stretch));
    at += std::max(std::int64_t{1}, static_cast<std::int64_t>(count));
  }
  plan.starts.push_back(length);
}

void Batches::shuffle_batches(Plan& plan, RandomKey key) const {
  Plan shuffled;
  shuffled.order.reserve(plan.order.size());
  for (const std::int64_t batch : permutation(key, static_cast<std::int64_t>(plan.starts.size()) - 1)) {
    shuffled.starts.push_back(static_cast<std::int64_t>(shuffled.order.size()));
    for (std::int64_t place = plan.starts[static_cast<std::size_t>(batch)];
         place < plan.starts[static_cast<std::size_t>(batch) + 1]; ++place)
      shuffled.order.push_back(plan.order[static_cast<std::size_t>(place)]);
  }
  shuffled.starts.push_back(static_cast<std::int64_t>(shuffled.order.size()));
  plan.order = std::move(shuffled.order);
  plan.starts = std::move(shuffled.starts);
}

PackedBatch Batches::batch(std::int64_t epoch, std::int64_t index) const {
  const std::shared_ptr<const Plan> plan = this->plan(epoch);
  const auto batches = static_cast<std::int64_t>(plan->starts.size()) - 1;
  if (index < 0 || index >= batches) throw Error("batches: epoch {} has no batch {}; it has {}", epoch, index, batches);
  PackedBatch batch;
  if (store_->task() != Task::language_modelling) batch.source_offsets = {0};
  if (store_->task() != Task::classification) batch.target_offsets = {0};
  const std::int64_t begin = plan->starts[static_cast<std::size_t>(index)],
                     end = plan->starts[static_cast<std::size_t>(index) + 1];
  for (std::int64_t s = 0; s < streams(); ++s) {
    const std::int64_t first = predictions() * s / streams(), next = predictions() * (s + 1) / streams();
    add_tokens(batch, part_.first_token + first + begin, (index + 1 == batches ? next - first : end) - begin);
  }
  for (std::int64_t place = begin; streams() == 0 && place < end; ++place) {
    const std::int64_t item = plan->order[static_cast<std::size_t>(place)];
    if (store_->stream())
      add_window(batch, epoch, item);
    else
      add_example(batch, epoch, part_.examples[static_cast<std::size_t>(item)]);
  }
  const std::size_t ends = batch.answers_first.size() + batch.answers_last.size();
  batch.target_tokens = static_cast<std::int64_t>(batch.labels.size() + batch.target_output.size() + ends);
  return batch;
}

void Batches::add_window(PackedBatch& batch, std::int64_t epoch, std::int64_t item) const {
  std::int64_t first = part_.first_token + item * context_, count = length(item);
  if (config_.order == "random") {
    const RandomKey key = key_.fold(static_cast<std::uint64_t>(epoch)).fold(window_draws);
    count = context_;
    first = part_.first_token +
            uniform_index(key, static_cast<std::uint64_t>(item), part_.last_token - part_.first_token - context_);
  }
  add_tokens(batch, first, count);
}

void Batches::add_tokens(PackedBatch& batch, std::int64_t first, std::int64_t count) const {
  const std::vector<std::int32_t> ids = store_->range(first, count + 1);
  batch.target_input.insert(batch.target_input.end(), ids.begin(), ids.end() - 1);
  batch.target_output.insert(batch.target_output.end(), ids.begin() + 1, ids.end());
  close_sequence(batch.target_offsets, batch.target_input);
  batch.examples.push_back(first);
}

std::vector<std::int32_t> Batches::resampled(std::vector<std::int32_t> ids, const Vocabulary& vocabulary,
                                             RandomKey key) const {
  if (sampling_ == 0) return ids;
  std::vector<std::int32_t> other = vocabulary.resample(ids, sampling_, key);
  const bool fits = max_length_ == 0 || static_cast<std::int64_t>(other.size()) < max_length_;
  return fits ? other : ids;
}

void Batches::add_example(PackedBatch& batch, std::int64_t epoch, std::int64_t number) const {
  Example example = store_->example(number);
  const RandomKey key =
      key_.fold(static_cast<std::uint64_t>(epoch)).fold(segmentation_draws).fold(static_cast<std::uint64_t>(number));
  if (store_->task() != Task::question_answering)  // the places of answers are those of the stored tokens
    example.source = resampled(std::move(example.source), *encoder_.source, key.fold(0));
  if (makes_text_from_text(store_->task()))
    example.target = resampled(std::move(example.target), *encoder_.target, key.fold(1));

  batch.examples.push_back(number);
  if (store_->task() != Task::language_modelling) {
    append(batch.source, source_input(store_->task(), std::move(example.source)));
    close_sequence(batch.source_offsets, batch.source);
  }
  if (store_->task() == Task::classification) {
    batch.labels.push_back(example.label);
    return;
  }
  if (store_->task() == Task::question_answering) {
    batch.target_input.push_back(Vocabulary::end());
    append(batch.target_input, example.target);
    close_sequence(batch.target_offsets, batch.target_input);
    batch.answers_first.push_back(example.answer_first + 1);
    batch.answers_last.push_back(example.answer_last + 1);
    return;
  }
  const std::vector<std::int32_t>& ids = makes_text_from_text(store_->task()) ? example.target : example.source;
  batch.target_input.push_back(Vocabulary::begin());
  append(batch.target_input, ids);
  append(batch.target_output, ids);
  batch.target_output.push_back(Vocabulary::end());
  close_sequence(batch.target_offsets, batch.target_input);
}

}  // namespace heed
