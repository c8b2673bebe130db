#include "explain/alignment.h"

#include "explain/attention_recorder.h"
#include "explain/piece_words.h"
#include "tasks/loss.h"

namespace heed {

void read_again(const Evaluation& with, const std::vector<std::int32_t>& source,
                const std::vector<std::int32_t>& written, Probe& probe) {
  std::vector<std::int32_t> read{Vocabulary::begin()};  // token t is written when token t - 1 has been read
  read.insert(read.end(), written.begin(), written.end());
  read.pop_back();
  const auto one_sequence = [](const auto& ids) { return sequences_of({0, static_cast<std::int64_t>(ids.size())}); };
  PassOptions options;
  options.precision = with.precision;
  options.probe = &probe;
  Pass pass(with.arena, with.pool, options);
  const Var memory = with.model.encode(pass, {source, one_sequence(source)});
  with.model.decode(pass, {read, one_sequence(read)}, memory);
}

std::vector<AlignedWord> align_words(const Evaluation& with, const std::string& source,
                                     const std::vector<std::int32_t>& answer) {
  if (answer.empty()) return {};
  const std::vector<std::int32_t> source_ids = with.text.input(source);
  AttentionRecorder recorder("*cross");
  read_again(with, source_ids, answer, recorder);
  const std::size_t layers = recorder.layers().size();
  if (layers == 0) throw Error("an alignment needs a model that attends to its source");
  const Tensor& weights = recorder.layers()[layers > 1 ? layers - 2 : 0].sequences.front();  // [heads, tokens, source]
  const std::int64_t heads = weights.shape()[0], tokens = weights.shape()[1], places = weights.width();

  const std::vector<PieceWord> source_words = words_of(*with.text.source, source_ids);
  std::vector<AlignedWord> aligned;
  for (const PieceWord& word : words_of(*with.text.target, answer)) {
    if (word.special) continue;
    AlignedWord& best = aligned.emplace_back();
    best.word = word.word;
    for (const PieceWord& from : source_words) {
      if (from.special) continue;
      double sum = 0.0;
      for (std::int64_t h = 0; h < heads; ++h)
        for (std::size_t t = word.begin; t < word.end; ++t)
          for (std::size_t s = from.begin; s < from.end; ++s)
            sum += static_cast<double>(
                weights.floats()[(h * tokens + static_cast<std::int64_t>(t)) * places + static_cast<std::int64_t>(s)]);
      sum /= static_cast<double>(heads) * static_cast<double>(word.end - word.begin);
      if (sum > best.weight) best = {word.word, from.word, sum};
    }
  }
  return aligned;
}

}  // namespace heed
