#pragma once
// What queries see of keys: whole blocks decided at once, so that empty ones cost nothing and full ones need no test.
#include "attention/cpu/rows.h"

namespace heed::HEED_ISA {

using attention::Bands;

inline constexpr float infinity = __builtin_inff();

struct Range {
  std::int64_t begin, end;
};
HEED_INLINE Range within(Range range, std::int64_t begin, std::int64_t end) {
  const Range cut{larger(range.begin, begin), smaller(range.end, end)};
  return cut.begin < cut.end ? cut : Range{begin, begin};
}

/// Keys that a band shows to some query at positions [first, last].
HEED_INLINE Range keys_seen(const Bands::Band& band, std::int64_t first, std::int64_t last) {
  return {larger(first + band.low, band.first), smaller(last + band.high, band.end)};
}
/// Positions of queries that a band shows to some key in [first, last].
HEED_INLINE Range queries_seen(const Bands::Band& band, std::int64_t first, std::int64_t last) {
  if (last < band.first || first >= band.end) return {0, 0};
  return {larger(first, band.first) - band.high + 1, smaller(last, band.end - 1) - band.low + 1};
}

enum class Seen : unsigned char { nothing, all, some };

/// What queries at positions [query, query_end) see of keys [key, key_end).
static Seen cover(const Head& head, std::int64_t query, std::int64_t query_end, std::int64_t key,
                  std::int64_t key_end) {
  if (!head.bands) {
    const int answer = head.cover(head, query, query_end, key, key_end);
    return answer == 0 ? Seen::nothing : answer == 1 ? Seen::all : Seen::some;
  }
  Seen result = Seen::nothing;
  for (int i = 0; i < head.bands->count; ++i) {
    const Bands::Band& band = head.bands->band[i];
    const Range some = keys_seen(band, query, query_end - 1);
    if (key >= larger(query_end - 1 + band.low, band.first) && key_end <= smaller(query + band.high, band.end))
      return Seen::all;
    if (key_end > some.begin && key < some.end) result = Seen::some;
  }
  return result;
}

/// Keys that some query at positions [first, last] may see, as one range within [0, keys).
HEED_INLINE Range all_keys_seen(const Head& head, std::int64_t first, std::int64_t last) {
  if (!head.bands) return {0, head.keys};
  Range range{head.keys, 0};
  for (int i = 0; i < head.bands->count; ++i) {
    const Range one = keys_seen(head.bands->band[i], first, last);
    const std::int64_t begin = larger(one.begin, 0), end = smaller(one.end, head.keys);
    if (begin >= end) continue;
    range.begin = smaller(range.begin, begin);
    range.end = larger(range.end, end);
  }
  return range.begin < range.end ? range : Range{0, 0};
}

/// Columns of a strip that some of its rows see, in runs of whole vectors but for the exact ends [first, last).
struct Runs {
  static constexpr int most = 8;
  struct Run {
    int begin, end;   ///< whole vectors
    int first, last;  ///< what is seen of them
    bool masked;      ///< some row does not see all of it
  };
  int count = 0;
  Run run[most];

  void add(std::int64_t first, std::int64_t last, bool masked) {
    const int begin = static_cast<int>(first) / lanes * lanes, end = whole_vectors(last);
    if (count > 0 && begin <= run[count - 1].end) {
      Run& before = run[count - 1];
      before.end = end > before.end ? end : before.end;
      before.last = last > before.last ? static_cast<int>(last) : before.last;
      before.masked = before.masked || masked;
      return;
    }
    run[count++] = {begin, end, static_cast<int>(first), static_cast<int>(last), masked};
  }
};

/// What a block of queries sees of a block of keys: the strips' runs. Masks that are not bands are asked once for each
/// square of `side` positions.
class Sight {
 public:
  static constexpr int side = 64, most_side = 16;  ///< squares along a side
  /// `lanes_are_keys`: strips are rows of queries; otherwise rows of keys. Positions of queries, keys from 0.
  Sight(const Head& head, bool lanes_are_keys, std::int64_t query, int queries, std::int64_t key, int keys)
      : head_(head), lanes_are_keys_(lanes_are_keys), query_(query), key_(key), queries_(queries), keys_(keys) {
    whole_ = cover(head, query, query + queries, key, key + keys);
    if (whole_ != Seen::some || head.bands) return;
    for (int q = 0; q < queries; q += side)
      for (int k = 0; k < keys; k += side)
        square_[q / side][k / side] =
            cover(head, query + q, query + smaller(q + side, queries), key + k, key + smaller(k + side, keys));
  }
  bool nothing() const { return whole_ == Seen::nothing; }

  /// What rows [row, row + rows) of the block see of its columns.
  Runs runs(int row, int rows) const {
    Runs result;
    const int columns = lanes_are_keys_ ? keys_ : queries_;
    if (whole_ == Seen::all) {
      result.add(0, columns, false);
    } else if (whole_ == Seen::nothing) {
      return result;
    } else if (head_.bands) {
      bands(row, rows, columns, result);
    } else {
      for (int column = 0; column < columns; column += side) {
        Seen seen = Seen::nothing;
        for (int i = row / side; i <= (row + rows - 1) / side; ++i) {
          const Seen one = lanes_are_keys_ ? square_[i][column / side] : square_[column / side][i];
          seen = i == row / side ? one : seen == one ? seen : Seen::some;
        }
        if (seen != Seen::nothing) result.add(column, smaller(column + side, columns), seen == Seen::some);
      }
    }
    return result;
  }

  /// With one band: the columns that one row sees.
  Range row_range(int row) const {
    const Bands::Band& band = head_.bands->band[0];
    if (lanes_are_keys_) {
      const Range keys = keys_seen(band, query_ + row, query_ + row);
      return within({keys.begin - key_, keys.end - key_}, 0, keys_);
    }
    const Range queries = queries_seen(band, key_ + row, key_ + row);
    return within({queries.begin - query_, queries.end - query_}, 0, queries_);
  }
  /// With several bands: writes −infinity where none of them allows a row.
  void mask_bands(int row, float* scores, const Runs::Run& run) const {
    const Bands& bands = *head_.bands;
    const auto own = static_cast<std::int32_t>((lanes_are_keys_ ? query_ : key_) + row);
    const auto start = static_cast<std::int32_t>(lanes_are_keys_ ? key_ : query_);
    for (int i = run.begin; i < run.end; i += lanes) {
      const I at = (I)iota() + set1_int(start + i);
      I allowed{};
      for (int b = 0; b < bands.count; ++b) {
        const Bands::Band& band = bands.band[b];
        const I query = lanes_are_keys_ ? set1_int(own) : at, key = lanes_are_keys_ ? at : set1_int(own);
        allowed |= (key >= query + set1_int(static_cast<std::int32_t>(band.low))) &
                   (key >= set1_int(static_cast<std::int32_t>(band.first))) &
                   (key < query + set1_int(static_cast<std::int32_t>(band.high))) &
                   (key < set1_int(static_cast<std::int32_t>(band.end)));
      }
      store(scores + i, select(allowed, load(scores + i), set1(-infinity)));
    }
  }
  bool one_band() const { return head_.bands && head_.bands->count == 1; }

 private:
  void bands(int row, int rows, int columns, Runs& result) const {
    Range parts[Bands::most];
    int count = 0;
    for (int i = 0; i < head_.bands->count; ++i) {
      const Bands::Band& band = head_.bands->band[i];
      Range part;
      if (lanes_are_keys_) {
        part = keys_seen(band, query_ + row, query_ + row + rows - 1);
        part = within({part.begin - key_, part.end - key_}, 0, columns);
      } else {
        part = queries_seen(band, key_ + row, key_ + row + rows - 1);
        part = within({part.begin - query_, part.end - query_}, 0, columns);
      }
      if (part.begin >= part.end) continue;
      int place = count++;
      for (; place > 0 && parts[place - 1].begin > part.begin; --place) parts[place] = parts[place - 1];
      parts[place] = part;
    }
    for (int i = 0; i < count; ++i) {
      const std::int64_t from = parts[i].begin, to = parts[i].end;
      const Seen seen = lanes_are_keys_ ? cover(head_, query_ + row, query_ + row + rows, key_ + from, key_ + to)
                                        : cover(head_, query_ + from, query_ + to, key_ + row, key_ + row + rows);
      result.add(from, to, seen != Seen::all);
    }
  }

  const Head& head_;
  bool lanes_are_keys_;
  std::int64_t query_, key_;
  int queries_, keys_;
  Seen whole_;
  Seen square_[most_side][most_side];
};

}  // namespace heed::HEED_ISA
