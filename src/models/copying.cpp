#include <heed/copying.h>

#include <algorithm>
#include <cmath>

#include "kernels/rows.h"

namespace heed {

namespace {

/// ln of the logistic function.
float log_sigmoid(float x) { return x < 0.0f ? x - std::log1p(std::exp(x)) : -std::log1p(std::exp(-x)); }

}  // namespace

Copying::Copying(std::int64_t width, std::int64_t memory_width, int first_slot)
    : query(width, width), key(memory_width, width), gate(width, 1), slot(first_slot) {}

Copying copying_for(const ModelSizes& sizes, std::int64_t width, std::int64_t memory_width, int slot) {
  if (sizes.source != sizes.target)
    throw Error(
        "model.copy = true copies tokens of the source, but the vocabularies have {} and {} entries; set "
        "vocabulary.shared = true",
        sizes.source, sizes.target);
  return Copying(width, memory_width, slot);
}

Loss Copying::loss(const Model& model, const Var& hidden, const Targets& targets) const {
  if (!targets.memory) throw Error("copying: a loss without the encoded source");
  return copy_cross_entropy(
      hidden, model.output_weight(hidden.pass()), model.output_bias(hidden.pass()),
      {.query = query(hidden), .key = key(targets.memory), .gate = gate(hidden), .ids = targets.source.ids},
      targets.ids, targets.label_smoothing);
}

void Copying::remember(const Var& memory, const TokenRows& source) const {
  const Tensor keys = key(memory).value();
  const std::vector<State*>& states = memory.pass().states();
  for (std::size_t i = 0; i < states.size(); ++i) {
    const auto number = static_cast<std::int64_t>(i);
    const std::int64_t begin = source.sequences->begin(number), length = source.sequences->length(number);
    auto& [own_keys, own_ids] = states[i]->slots.at(static_cast<std::size_t>(slot)).recurrent;
    own_keys.value = keys.slice(begin, begin + length).clone();
    own_ids.value = Tensor({length}, DType::int32);
    std::copy_n(source.ids.begin() + begin, length, own_ids.value.as<std::int32_t>());
  }
}

void Copying::mix(Pass& pass, const Tensor& hidden, const Tensor& logits,
                  std::span<const std::int32_t> sequence_of) const {
  kernels::softmax_rows(logits.view(), true, pass.pool());
  const Var x = pass.input(hidden);
  const Tensor queries = query(x).value(), gates = gate(x).value();
  pass.pool().parallel_for(logits.rows(), [&](std::int64_t row) {
    const State& state = *pass.states().at(static_cast<std::size_t>(sequence_of[static_cast<std::size_t>(row)]));
    const auto& [keys, ids] = state.slots.at(static_cast<std::size_t>(slot)).recurrent;
    const std::int64_t places = keys.value.rows(), width = keys.value.width();
    const float scale = 1.0f / std::sqrt(static_cast<float>(width));
    // Of each place: the token and its score, then its weight.
    std::vector<std::pair<std::int32_t, float>> copied;
    const float* q = queries.floats() + row * width;
    float largest = -INFINITY, sum = 0.0f;
    for (std::int64_t j = 0; j < places; ++j) {
      const float* k = keys.value.floats() + j * width;
      float score = 0.0f;
      for (std::int64_t c = 0; c < width; ++c) score += q[c] * k[c];
      copied.emplace_back(ids.value.as<std::int32_t>()[j], score * scale);
      largest = std::max(largest, score * scale);
    }
    for (auto& [id, weight] : copied) sum += weight = std::exp(weight - largest);
    std::stable_sort(copied.begin(), copied.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    const float z = gates.floats()[row], generated = log_sigmoid(z), copying = std::exp(log_sigmoid(-z)) / sum;
    float* const p = logits.floats() + row * logits.width();
    for (std::int64_t j = 0; j < logits.width(); ++j) p[j] += generated;
    for (auto one = copied.begin(); one != copied.end();) {
      const std::int32_t id = one->first;
      float weight = 0.0f;
      for (; one != copied.end() && one->first == id; ++one) weight += one->second;
      if (id >= 0 && id < logits.width()) p[id] = std::log(std::exp(p[id]) + copying * weight);
    }
  });
}

}  // namespace heed
