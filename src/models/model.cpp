#include <heed/model.h>

#include <unordered_set>

namespace heed {

std::vector<std::pair<std::string, Weight>> Model::weights() {
  std::vector<std::pair<std::string, Weight>> all;
  std::unordered_set<const Weight::Record*> seen;
  visit([&](const std::string& name, Weight& weight) {
    if (seen.insert(weight.identity()).second) all.emplace_back(name, weight);
  });
  return all;
}

std::int64_t Model::parameters() {
  std::int64_t total = 0;
  for (const auto& [name, weight] : weights()) total += weight.elements();
  return total;
}

Var Model::encode_pair(Pass& pass, const TokenRows& question, const TokenRows& passage) const {
  const std::int64_t count = passage.sequences->count();
  if (question.sequences->count() != count)
    throw Error("encode_pair: {} questions for {} passages; each passage needs its own", question.sequences->count(),
                count);
  std::vector<std::int32_t> ids, segments;
  std::vector<std::int64_t> of_passage;
  auto joined = std::make_shared<Sequences>();
  const auto append = [&](const TokenRows& rows, std::int64_t i, std::int32_t segment) {
    const auto from = rows.ids.begin() + rows.sequences->begin(i);
    ids.insert(ids.end(), from, from + rows.sequences->length(i));
    segments.resize(ids.size(), segment);
  };
  for (std::int64_t i = 0; i < count; ++i) {
    append(question, i, 0);
    const auto first = static_cast<std::int64_t>(ids.size());
    append(passage, i, 1);
    for (auto row = first; row < static_cast<std::int64_t>(ids.size()); ++row) of_passage.push_back(row);
    joined->offsets.push_back(static_cast<std::int64_t>(ids.size()));
  }
  return take_rows(encode(pass, {ids, joined, segments}), of_passage, passage.sequences);
}

Loss Model::loss(const Var& hidden, const Targets& targets) const {
  Pass& pass = hidden.pass();
  return cross_entropy(hidden, output_weight(pass), output_bias(pass), targets.ids, targets.label_smoothing,
                       targets.row_weights);
}

Tensor Model::logits(Pass& pass, const Tensor& hidden, std::span<const std::int32_t>) const {
  return linear(pass.input(hidden), output_weight(pass), output_bias(pass)).value();
}

void Model::initialise(RandomKey key) {
  std::uint64_t index = 0;
  for (auto& [name, weight] : weights()) weight.initialise(key.fold(index++));
}

}  // namespace heed
