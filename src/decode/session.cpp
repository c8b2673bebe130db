#include "decode/session.h"

#include <algorithm>

#include "kernels/rows.h"

namespace heed {

struct Session::Packed {
  std::vector<std::int32_t> ids;
  SequencesPointer sequences;
  PassOptions options;
};

Session::Session(ThreadPool& pool, Precision precision, std::int64_t arena_bytes)
    : arena_(arena_bytes), pool_(pool), precision_(precision) {}

Session::Packed Session::pack(const Model& model, std::span<const Feed> feeds, bool behind_states) {
  Packed packed;
  auto sequences = std::make_shared<Sequences>();
  sequences->offsets.reserve(feeds.size() + 1);
  sequences->positions.reserve(feeds.size());
  packed.options.precision = precision_;
  packed.options.states.reserve(feeds.size());
  for (std::size_t i = 0; i < feeds.size(); ++i) {
    const auto [state, tokens] = feeds[i];
    if (!state || static_cast<int>(state->slots.size()) != model.slots())
      throw Error("session: sequence {} has a state of {} slots; the model needs {}", i,
                  state ? state->slots.size() : 0, model.slots());
    if (tokens.empty()) throw Error("session: sequence {} has no tokens; give at least one", i);
    const std::int64_t position = behind_states ? state->length : 0;
    const auto count = static_cast<std::int64_t>(tokens.size());
    if (position + count > model.context())
      throw Error("sequence {} reaches {} tokens, but the model's context is {}: cut the input or split it", i,
                  position + count, model.context());
    packed.ids.insert(packed.ids.end(), tokens.begin(), tokens.end());
    sequences->offsets.push_back(sequences->offsets.back() + count);
    sequences->positions.push_back(position);
    packed.options.states.push_back(state);
  }
  packed.sequences = std::move(sequences);
  return packed;
}

Tensor Session::logits(Pass& pass, const Model& model, const Tensor& hidden, std::span<const std::int32_t> rows,
                       std::span<const std::int32_t> sequence_of) {
  const auto count = static_cast<std::int64_t>(rows.size());
  if (count == hidden.rows()) return model.logits(pass, hidden, sequence_of);
  const Tensor chosen = pass.tensor({count, hidden.width()});
  kernels::gather(hidden.view(), rows.data(), count, 1.0f, chosen.view(), pool_);
  return model.logits(pass, chosen, sequence_of);
}

void Session::encode(const Model& model, std::span<const Feed> sources) {
  if (sources.empty()) return;
  const Packed packed = pack(model, sources, false);
  Pass pass(arena_, pool_, packed.options);
  const TokenRows source{packed.ids, packed.sequences};
  model.remember(model.encode(pass, source), source);
}

Tensor Session::step(const Model& model, std::span<const Feed> feeds, Probe* probe) {
  if (feeds.empty()) throw Error("session: a step without sequences");
  Packed packed = pack(model, feeds, true);
  packed.options.probe = probe;
  Pass pass(arena_, pool_, packed.options);
  std::vector<std::int32_t> last, sequence_of;
  for (std::size_t i = 0; i < feeds.size(); ++i) {
    last.push_back(static_cast<std::int32_t>(packed.sequences->offsets[i + 1] - 1));
    sequence_of.push_back(static_cast<std::int32_t>(i));
  }
  const Tensor hidden = model.decode(pass, {packed.ids, packed.sequences}, Var()).value();
  Tensor result = logits(pass, model, hidden, last, sequence_of);
  for (const Feed& feed : feeds) feed.state->length += static_cast<std::int64_t>(feed.tokens.size());
  return result;
}

std::vector<std::vector<float>> Session::log_probabilities(const Model& model, std::span<const Feed> feeds,
                                                           std::span<const std::span<const std::int32_t>> targets) {
  if (targets.size() != feeds.size())
    throw Error("session: targets of {} sequences for {} that are fed", targets.size(), feeds.size());
  const Packed packed = pack(model, feeds, true);
  std::vector<std::int32_t> rows, sequence_of, target;
  for (std::size_t i = 0; i < feeds.size(); ++i) {
    if (targets[i].size() > feeds[i].tokens.size())
      throw Error("session: sequence {} is fed {} tokens and has {} targets; a target follows each of the last tokens",
                  i, feeds[i].tokens.size(), targets[i].size());
    const std::int64_t end = packed.sequences->offsets[i + 1];
    for (std::int64_t row = end - static_cast<std::int64_t>(targets[i].size()); row < end; ++row)
      rows.push_back(static_cast<std::int32_t>(row));
    sequence_of.resize(rows.size(), static_cast<std::int32_t>(i));
    target.insert(target.end(), targets[i].begin(), targets[i].end());
  }

  Pass pass(arena_, pool_, packed.options);
  const Tensor hidden = model.decode(pass, {packed.ids, packed.sequences}, Var()).value();
  const std::int64_t entries = model.output_weight(pass).shape()[0];
  for (const std::int32_t id : target)
    if (id < 0 || id >= entries) throw Error("session: target {} is outside the vocabulary of {} entries", id, entries);
  // At most about 128 MiB of logits at a time.
  const std::size_t part = static_cast<std::size_t>(std::max<std::int64_t>(16, (std::int64_t{1} << 25) / entries));
  std::vector<float> losses(3 * rows.size());
  for (std::size_t begin = 0; begin < rows.size(); begin += part) {
    const std::size_t count = std::min(part, rows.size() - begin);
    const Tensor scores = logits(pass, model, hidden, std::span(rows).subspan(begin, count),
                                 std::span(sequence_of).subspan(begin, count));
    float* const loss = losses.data() + begin;
    kernels::softmax_cross_entropy(scores.view(), target.data() + begin, 0.0f, View{}, loss, loss + rows.size(),
                                   loss + 2 * rows.size(), pool_);
  }

  std::vector<std::vector<float>> result(feeds.size());
  const float* negative = losses.data() + rows.size();
  for (std::size_t i = 0; i < feeds.size(); ++i) {
    for (std::size_t t = 0; t < targets[i].size(); ++t) result[i].push_back(-*negative++);
    feeds[i].state->length += static_cast<std::int64_t>(feeds[i].tokens.size());
  }
  return result;
}

}  // namespace heed
