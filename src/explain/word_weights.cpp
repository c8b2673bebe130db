#include "explain/word_weights.h"

#include "explain/attention_recorder.h"
#include "tasks/loss.h"

namespace heed {

std::vector<std::vector<WordWeight>> pooling_weights(const Evaluation& with,
                                                     const std::vector<std::vector<std::int32_t>>& texts) {
  constexpr std::string_view word_start = "▁";
  const bool subwords = with.text.source->kind() == "subword";
  std::vector<std::vector<WordWeight>> found;
  for (const std::vector<std::int32_t>& ids : texts) {
    AttentionRecorder recorder("pooling*");
    PassOptions options;
    options.precision = with.precision;
    options.probe = &recorder;
    Pass pass(with.arena, with.pool, options);
    with.model.summarise(with.model.encode(pass, {ids, sequences_of({0, static_cast<std::int64_t>(ids.size())})}));
    std::vector<WordWeight>& words = found.emplace_back();
    if (recorder.layers().empty()) continue;

    const Tensor& weights = recorder.layers().front().sequences.front();  // [heads, queries, tokens]
    const auto tokens = static_cast<std::int64_t>(ids.size());
    if (weights.width() != tokens) continue;  // it looked at something else than the tokens
    const std::int64_t rows = weights.elements() / tokens;
    bool starts_word = true;
    for (std::int64_t t = 0; t < tokens; ++t) {
      double weight = 0.0;
      for (std::int64_t row = 0; row < rows; ++row) weight += static_cast<double>(weights.floats()[row * tokens + t]);
      std::string piece = with.text.source->piece(ids[static_cast<std::size_t>(t)]);
      const bool special = ids[static_cast<std::size_t>(t)] < Vocabulary::special_tokens;
      if (subwords && piece.starts_with(word_start)) {
        starts_word = true;
        piece.erase(0, word_start.size());
      }
      if (!subwords || special || starts_word || words.empty())
        words.push_back({std::move(piece), 0.0});
      else
        words.back().word += piece;
      words.back().weight += weight / static_cast<double>(rows);
      starts_word = special;
    }
  }
  return found;
}

}  // namespace heed
