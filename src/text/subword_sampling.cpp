#include "text/subword_sampling.h"

#include <sentencepiece_processor.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <queue>
#include <string>
#include <string_view>

#include "formats/utf8.h"
#include "text/vocabulary.h"

namespace heed {

namespace {

using Model = sentencepiece::SentencePieceProcessor;

constexpr std::string_view space_mark = "\u2581";  // pieces have it at their start or not at all

/// The normalised text between two unknown tokens.
struct Run {
  std::string text;
  bool unknown_follows = false;
};

std::vector<Run> runs_of(const Model& model, std::span<const std::int32_t> ids) {
  std::vector<Run> runs(1);
  for (const std::int32_t id : ids) {
    if (id == Vocabulary::unknown()) {
      runs.back().unknown_follows = true;
      runs.emplace_back();
    } else if (!model.IsControl(id)) {
      runs.back().text += model.IdToPiece(id);
    }
  }
  return runs;
}

/// The ordinary piece that reads so, or unknown.
std::int32_t find_piece(const Model& model, std::string_view text) {
  const int id = model.PieceToId(text);
  return model.IsControl(id) ? Vocabulary::unknown() : id;
}

/// Where the characters of a text start, and its size.
std::vector<std::size_t> character_starts(std::string_view text) {
  std::vector<std::size_t> starts;
  for (std::size_t at = 0; at < text.size(); at += static_cast<std::size_t>(decode_utf8(text, at).bytes))
    starts.push_back(at);
  starts.push_back(text.size());
  return starts;
}

/// Draws of a key, one after the other.
class Draws {
 public:
  explicit Draws(RandomKey key) : key_(key) {}
  double next() { return static_cast<double>(bits64(key_, index_++) >> 11) * 0x1p-53; }

 private:
  RandomKey key_;
  std::uint64_t index_ = 0;
};

std::vector<std::int32_t> sample_each_run(const Model& model, std::span<const std::int32_t> ids, auto&& sample) {
  std::vector<std::int32_t> sampled;
  for (const Run& run : runs_of(model, ids)) {
    sample(std::string_view(run.text), sampled);
    if (run.unknown_follows) sampled.push_back(Vocabulary::unknown());
  }
  return sampled;
}

struct Merge {
  float score = 0;       // the higher, the earlier
  std::size_t left = 0;  // index of the first symbol's character
  std::size_t end = 0;   // byte behind the second symbol, which tells a merge that other merges have overtaken
  bool operator<(const Merge& other) const { return score != other.score ? score < other.score : left > other.left; }
};

void drop_merges_of_word(const Model& model, std::string_view text, double rate, Draws& draws,
                         std::vector<std::int32_t>& sampled) {
  const std::vector<std::size_t> starts = character_starts(text);
  const std::size_t characters = starts.size() - 1;
  // Symbols are runs of characters, known by their first one: `behind` is the first character after the symbol,
  // `before` the first character of the symbol before it; behind[i] == i says that character i starts none any more.
  std::vector<std::size_t> behind(characters), before(characters);
  for (std::size_t i = 0; i < characters; ++i) {
    behind[i] = i + 1;
    before[i] = i == 0 ? characters : i - 1;
  }
  std::priority_queue<Merge> agenda;
  const auto consider = [&](std::size_t left) {
    if (left == characters || behind[left] == characters) return;
    const std::size_t end = starts[behind[behind[left]]];
    const std::int32_t id = find_piece(model, text.substr(starts[left], end - starts[left]));
    if (id != Vocabulary::unknown()) agenda.push({model.GetScore(id), left, end});
  };
  for (std::size_t i = 0; i < characters; ++i) consider(i);
  std::vector<Merge> dropped;  // of this step; in the next one they are drawn again
  while (!agenda.empty()) {
    const Merge merge = agenda.top();
    agenda.pop();
    const std::size_t left = merge.left, right = behind[left];
    if (right == left || right == characters || starts[behind[right]] != merge.end) continue;
    if (draws.next() < rate) {
      dropped.push_back(merge);
      continue;
    }
    behind[left] = behind[right];
    behind[right] = right;
    if (behind[left] != characters) before[behind[left]] = left;
    consider(before[left]);
    consider(left);
    for (const Merge& again : dropped) agenda.push(again);
    dropped.clear();
  }
  for (std::size_t i = 0; i < characters; i = behind[i])
    sampled.push_back(find_piece(model, text.substr(starts[i], starts[behind[i]] - starts[i])));
}

double add_logarithms(double a, double b) {
  if (a < b) std::swap(a, b);
  return std::isinf(b) ? a : a + std::log1p(std::exp(b - a));
}

struct Node {
  std::size_t from = 0;  // character at which the piece starts
  std::int32_t id = 0;
  double weight = 0;  // alpha · log-probability of the piece
};

void sample_unigram_run(const Model& model, std::string_view text, double alpha, const UnigramBounds& bounds,
                        Draws& draws, std::vector<std::int32_t>& sampled) {
  const std::vector<std::size_t> starts = character_starts(text);
  const std::size_t characters = starts.size() - 1;
  std::vector<std::vector<Node>> ending(characters + 1);  // pieces by the character they end before
  for (std::size_t from = 0; from < characters; ++from) {
    bool whole = false;
    for (std::size_t to = from + 1; to <= characters && starts[to] - starts[from] <= bounds.longest; ++to) {
      const std::int32_t id = find_piece(model, text.substr(starts[from], starts[to] - starts[from]));
      if (id == Vocabulary::unknown()) continue;
      whole = whole || to == from + 1;
      ending[to].push_back({from, id, alpha * static_cast<double>(model.GetScore(id))});
    }
    if (!whole) ending[from + 1].push_back({from, Vocabulary::unknown(), alpha * bounds.unknown});
  }
  // reach[i] = log Σ over segmentations of the first i characters of their probability^alpha
  std::vector<double> reach(characters + 1, -std::numeric_limits<double>::infinity());
  reach[0] = 0;
  for (std::size_t to = 1; to <= characters; ++to)
    for (const Node& node : ending[to]) reach[to] = add_logarithms(reach[to], reach[node.from] + node.weight);

  const std::size_t first = sampled.size();
  for (std::size_t to = characters; to > 0;) {
    double left = draws.next();
    const std::vector<Node>& nodes = ending[to];
    std::size_t chosen = 0;
    for (; chosen + 1 < nodes.size(); ++chosen) {
      left -= std::exp(reach[nodes[chosen].from] + nodes[chosen].weight - reach[to]);
      if (left < 0) break;
    }
    sampled.push_back(nodes[chosen].id);
    to = nodes[chosen].from;
  }
  std::reverse(sampled.begin() + static_cast<std::ptrdiff_t>(first), sampled.end());
}

}  // namespace

std::vector<std::int32_t> drop_merges(const Model& model, std::span<const std::int32_t> ids, double rate,
                                      RandomKey key) {
  Draws draws(key);
  return sample_each_run(model, ids, [&](std::string_view text, std::vector<std::int32_t>& sampled) {
    while (!text.empty()) {
      const std::size_t end = std::min(text.find(space_mark, 1), text.size());
      drop_merges_of_word(model, text.substr(0, end), rate, draws, sampled);
      text.remove_prefix(end);
    }
  });
}

UnigramBounds unigram_bounds(const Model& model) {
  UnigramBounds bounds;
  double lowest = 0;
  for (int id = Vocabulary::special_tokens; id < model.GetPieceSize(); ++id) {
    bounds.longest = std::max(bounds.longest, model.IdToPiece(id).size());
    lowest = std::min(lowest, static_cast<double>(model.GetScore(id)));
  }
  bounds.unknown = lowest - 10;
  return bounds;
}

std::vector<std::int32_t> sample_unigram(const Model& model, const UnigramBounds& bounds,
                                         std::span<const std::int32_t> ids, double alpha, RandomKey key) {
  Draws draws(key);
  return sample_each_run(model, ids, [&](std::string_view text, std::vector<std::int32_t>& sampled) {
    sample_unigram_run(model, text, alpha, bounds, draws, sampled);
  });
}

}  // namespace heed
