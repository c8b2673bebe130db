#include "explain/word_weights.h"

#include "explain/attention_recorder.h"
#include "explain/piece_words.h"
#include "tasks/loss.h"

namespace heed {

std::vector<std::vector<WordWeight>> pooling_weights(const Evaluation& with,
                                                     const std::vector<std::vector<std::int32_t>>& texts) {
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
    for (const PieceWord& word : words_of(*with.text.source, ids)) {
      double weight = 0.0;
      for (std::int64_t row = 0; row < rows; ++row)
        for (std::size_t t = word.begin; t < word.end; ++t)
          weight += static_cast<double>(weights.floats()[row * tokens + static_cast<std::int64_t>(t)]);
      words.push_back({word.word, weight / static_cast<double>(rows)});
    }
  }
  return found;
}

}  // namespace heed
