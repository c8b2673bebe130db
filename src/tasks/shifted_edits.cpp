#include "tasks/shifted_edits.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <tuple>

namespace heed {

namespace {

using Words = std::vector<uint32_t>;

constexpr int max_shift_size = 10, max_shift_distance = 50, max_shift_candidates = 1000, beam_width = 25;

/// `none` marks what lies out of reach.
enum class Edit : uint8_t { none, match, substitute, only_hypothesis, only_reference };

constexpr int unreached = std::numeric_limits<int>::max() / 2;

/// Levenshtein distance from hypotheses of one length to one reference, within a beam around the diagonal. Rows are
/// hypothesis words, columns reference words; of a row only what lies in the beam is kept, so that memory is linear in
/// the lengths.
///
/// A shifted hypothesis begins as the one it was made of, so the rows of that one (the base) serve up to the first
/// word that differs.
class BeamedDistance {
 public:
  BeamedDistance(const Words& reference, size_t hypothesis_length) : reference_(reference) {
    const int rows = static_cast<int>(hypothesis_length) + 1, columns = static_cast<int>(reference.size()) + 1;
    const double ratio = hypothesis_length ? static_cast<double>(columns - 1) / (rows - 1) : 1;
    // Where the reference is so much longer that neighbouring rows' beams would not touch, the beam is wider.
    const int beam = beam_width < ratio / 2 ? static_cast<int>(std::ceil(ratio / 2 + beam_width)) : beam_width;
    size_t cells = 0, widest = 0;
    for (int i = 0; i < rows; ++i) {
      const int diagonal = static_cast<int>(std::floor(i * ratio));
      const int begin = i == 0 ? 0 : std::max(0, diagonal - beam);
      const int end = i == 0 || i == rows - 1 ? columns : std::min(columns, diagonal + beam);
      rows_.push_back({begin, end, cells});
      const auto width = static_cast<size_t>(end - begin);
      cells += width;
      widest = std::max(widest, width);
    }
    costs_.resize(cells);
    edits_.resize(cells);
    previous_.resize(widest);
    current_.resize(widest);
    for (int j = 0; j < columns; ++j) {
      costs_[static_cast<size_t>(j)] = j;
      edits_[static_cast<size_t>(j)] = Edit::only_reference;
    }
  }

  /// Makes `hypothesis` the base and gives its distance.
  int set_base(const Words& hypothesis) {
    for (size_t i = 1; i < rows_.size(); ++i)
      fill_row(i, hypothesis[i - 1], &costs_[rows_[i - 1].cells], &costs_[rows_[i].cells], &edits_[rows_[i].cells]);
    return costs_.back();
  }

  /// The distance of a hypothesis whose first `common` words are the base's.
  int of_variant(const Words& hypothesis, size_t common) {
    const int* above = &costs_[rows_[common].cells];
    for (size_t i = common + 1; i < rows_.size(); ++i) {
      fill_row(i, hypothesis[i - 1], above, current_.data(), nullptr);
      previous_.swap(current_);
      above = previous_.data();
    }
    return above[rows_.back().end - rows_.back().begin - 1];
  }

  /// The base's edits, from the last to the first.
  std::vector<Edit> edits_backwards() const {
    std::vector<Edit> edits;
    int j = rows_.back().end - 1;
    for (size_t i = rows_.size() - 1; i > 0 || j > 0;) {
      const Edit edit = edits_[rows_[i].cells + static_cast<size_t>(j - rows_[i].begin)];
      edits.push_back(edit);
      if (edit != Edit::only_reference) --i;
      if (edit != Edit::only_hypothesis) --j;
    }
    return edits;
  }

 private:
  /// The columns of a row within the beam, and where the first one's cell is.
  struct Row {
    int begin, end;
    size_t cells;
  };

  /// above, row and edits (unless null) begin at the first column of their rows' beams.
  void fill_row(size_t i, uint32_t word, const int* above, int* row, Edit* edits) const {
    const Row &upper = rows_[i - 1], &lower = rows_[i];
    const auto cost_above = [&](int j) {
      return j < upper.begin || j >= upper.end ? unreached : above[j - upper.begin];
    };
    int left = unreached, diagonal = cost_above(lower.begin - 1);
    for (int j = lower.begin; j < lower.end; ++j) {
      const int up = cost_above(j);
      int least = unreached;
      Edit chosen = Edit::none;
      const auto consider = [&](int cost, Edit edit) {
        if (cost >= least) return;
        least = cost;
        chosen = edit;
      };
      // Of equal costs the first considered stays. This order decides which alignment is found, and so which shifts
      // are tried.
      if (j > 0) {
        const bool same = word == reference_[static_cast<size_t>(j) - 1];
        consider(diagonal + !same, same ? Edit::match : Edit::substitute);
      }
      consider(up + 1, Edit::only_hypothesis);
      consider(left + 1, Edit::only_reference);
      row[j - lower.begin] = least;
      if (edits) edits[j - lower.begin] = chosen;
      left = least;
      diagonal = up;
    }
  }

  const Words& reference_;
  std::vector<Row> rows_;
  std::vector<int> costs_;
  std::vector<Edit> edits_;
  std::vector<int> previous_, current_;
};

/// Which word of the hypothesis each word of the reference meets (the last before it, −1 for none, where it meets
/// none), and which words of either are in error.
struct Alignment {
  std::vector<int> hypothesis_place;
  std::vector<bool> hypothesis_errors, reference_errors;

  explicit Alignment(const std::vector<Edit>& edits_backwards) {
    for (auto edit = edits_backwards.rbegin(); edit != edits_backwards.rend(); ++edit) {
      if (*edit != Edit::only_reference) hypothesis_errors.push_back(*edit != Edit::match);
      if (*edit == Edit::only_hypothesis) continue;
      hypothesis_place.push_back(static_cast<int>(hypothesis_errors.size()) - 1);
      reference_errors.push_back(*edit != Edit::match);
    }
  }
};

bool any(const std::vector<bool>& flags, int begin, int length) {
  return std::find(flags.begin() + begin, flags.begin() + begin + length, true) != flags.begin() + begin + length;
}

/// A block of the hypothesis and the place before which it is put.
struct Shift {
  int start, length, target;

  /// Both as places in the words before the shift, but when the target lies in the block: then the block moves on by
  /// as many words as the target lies after the block's start.
  void apply(const Words& from, Words& to) const {
    to = from;
    const auto begin = to.begin();
    const int size = static_cast<int>(from.size());
    if (target < start)
      std::rotate(begin + target, begin + start, begin + start + length);
    else if (target > start + length)
      std::rotate(begin + start, begin + start + length, begin + target);
    else
      std::rotate(begin + start, begin + start + length, begin + std::min(size, length + target));
  }

  size_t unchanged_words() const { return static_cast<size_t>(std::min(start, target)); }
};

/// One hypothesis on its way to the reference.
class ShiftSearch {
 public:
  ShiftSearch(Words hypothesis, const Words& reference)
      : words_(std::move(hypothesis)), reference_(reference), distance_(reference, words_.size()) {}

  int64_t run() {
    int shifts = 0;
    int edits = distance_.set_base(words_);
    // A shift found when the tries run out is not made.
    while (find_best(edits) && candidates_ < max_shift_candidates && best_gain_ > 0) {
      best_.apply(words_, shifted_);
      words_ = shifted_;
      edits = distance_.set_base(words_);
      ++shifts;
    }
    return edits + shifts;
  }

 private:
  bool find_best(int edits) {
    found_ = false;
    const Alignment alignment(distance_.edits_backwards());
    const int hypothesis_size = static_cast<int>(words_.size()), reference_size = static_cast<int>(reference_.size());
    for (int start = 0; start < hypothesis_size; ++start) {
      const int reference_end = std::min(reference_size, start + max_shift_distance + 1);
      for (int place = std::max(0, start - max_shift_distance); place < reference_end; ++place) {
        const int longest = std::min({max_shift_size, hypothesis_size - start, reference_size - place});
        for (int length = 1; length <= longest; ++length) {
          if (words_[static_cast<size_t>(start + length - 1)] != reference_[static_cast<size_t>(place + length - 1)])
            break;
          try_block(alignment, start, place, length, edits);
          if (candidates_ >= max_shift_candidates) return found_;
        }
      }
    }
    return found_;
  }

  /// Tries to put the block before where the alignment has the reference word at `place`, and after each of those that
  /// the block matches.
  void try_block(const Alignment& alignment, int start, int place, int length, int edits) {
    if (!any(alignment.hypothesis_errors, start, length) || !any(alignment.reference_errors, place, length)) return;
    const auto meets = [&](int i) { return alignment.hypothesis_place[static_cast<size_t>(i)]; };
    if (meets(place) >= start && meets(place) < start + length) return;

    int previous_target = -1;
    for (int i = place - 1; i < place + length; ++i) {
      const int target = i < 0 ? 0 : meets(i) + 1;
      if (target == previous_target) continue;
      previous_target = target;
      const Shift shift{start, length, target};
      shift.apply(words_, shifted_);
      const int gain = edits - distance_.of_variant(shifted_, shift.unchanged_words());
      ++candidates_;
      // The greatest gain, then the longest block, the leftmost block, the leftmost target.
      const auto rank = [](int of_gain, const Shift& s) { return std::tuple(of_gain, s.length, -s.start, -s.target); };
      if (found_ && rank(gain, shift) <= rank(best_gain_, best_)) continue;
      found_ = true;
      best_gain_ = gain;
      best_ = shift;
    }
  }

  Words words_;
  const Words& reference_;
  BeamedDistance distance_;
  Words shifted_;
  int candidates_ = 0;
  bool found_ = false;
  int best_gain_ = 0;
  Shift best_{};
};

}  // namespace

int64_t shifted_edits(std::vector<uint32_t> hypothesis, const std::vector<uint32_t>& reference) {
  if (reference.empty()) return static_cast<int64_t>(hypothesis.size());
  return ShiftSearch(std::move(hypothesis), reference).run();
}

}  // namespace heed
