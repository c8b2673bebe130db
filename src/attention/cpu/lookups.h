#pragma once
// Elements of tables and parameters: lines that lie along the lanes, and gathers.
#include "attention/cpu/rule_work.h"

namespace heed::HEED_ISA::rules {

/// An index as a lookup takes it: rounded down, held to [0, extent), 0 for NaN.
HEED_INLINE F held(F index, std::int64_t extent) {
  return min(max(floor(index), zero()), set1(static_cast<float>(extent - 1)));  // in this order for NaN
}
HEED_INLINE std::int64_t held(float index, std::int64_t extent) {
  if (!(index >= 1.0f)) return 0;
  return index >= static_cast<float>(extent) ? extent - 1 : static_cast<std::int64_t>(index);
}

/// Where the elements of one row of a lookup lie.
struct Elements {
  std::int64_t base = 0;   ///< of the dimensions that do not vary along the row
  std::int64_t start = 0;  ///< with a line: the index of lane 0 in it

  /// A line's lanes [0, low) have the first element, [high, count) the last.
  HEED_INLINE int low(int count) const { return start >= 0 ? 0 : -start < count ? static_cast<int>(-start) : count; }
  HEED_INLINE int high(int count, std::int64_t extent) const {
    const std::int64_t left = extent - start;
    return left <= 0 ? 0 : left < count ? static_cast<int>(left) : count;
  }
};

/// A lookup on one domain.
struct Lookup {
  const RowLookup& of;
  std::int64_t lane;
  int varying = 0, steady = 0;  ///< dimensions that vary along a row, and that do not
  Source line, index[4], of_row[4];
  int index_dimension[4], row_dimension[4];
  std::int64_t extent = 0, step = 0;  ///< of the line
  bool rows_differ = false;           ///< in what varies along a row, beside a line's start

  Lookup(const Work& work, const RowLookup& lookup, const Domain& domain) : of(lookup), lane(work.strip.lane) {
    for (int d = 0; d < of.rank; ++d) {
      const Source source(work, of.index[d], domain);
      if (d == of.line) {
        line = source;
        extent = of.extent[d];
        step = of.stride[d];
      } else if (source.vector) {
        rows_differ |= source.step != 0;
        index[varying] = source;
        index_dimension[varying++] = d;
      } else {
        of_row[steady] = source;
        row_dimension[steady++] = d;
      }
    }
  }

  HEED_INLINE Elements elements(int row) const {
    Elements elements;
    for (int i = 0; i < steady; ++i) {
      const int d = row_dimension[i];
      elements.base += held(of_row[i].data[row * of_row[i].step], of.extent[d]) * of.stride[d];
    }
    if (of.line < 0) return elements;
    const float at = line.data[row * line.step];
    const float rest = at < -1e9f ? -1e9f : at > 1e9f ? 1e9f : at == at ? at : 0.0f;
    const auto whole = static_cast<std::int64_t>(rest);
    elements.start = lane + whole - (static_cast<float>(whole) > rest ? 1 : 0);
    return elements;
  }
  HEED_INLINE I offsets(int row, int i) const {
    I sum{};
    for (int v = 0; v < varying; ++v) {
      const int d = index_dimension[v];
      const F at = load(index[v].data + row * index[v].step + i);
      sum += __builtin_convertvector(held(at, of.extent[d]), I) * static_cast<std::int32_t>(of.stride[d]);
    }
    return sum;
  }
  /// How many rows of the table, up to `most`, lie behind the first of a domain whose `rows` are neighbours there.
  int neighbours(int rows, int most) const {
    for (int i = 0; i < steady; ++i)
      if (const int d = row_dimension[i]; of.stride[d] == 1 && of_row[i].step != 0) {
        const std::int64_t left = of.extent[d] - held(of_row[i].data[0], of.extent[d]);
        return left < most ? static_cast<int>(left) : most;
      }
    return rows;
  }
  HEED_INLINE bool inside(const Elements& elements, int count) const {
    return elements.start >= 0 && elements.start + count <= extent;
  }
};

HEED_INLINE I load_bytes(const std::uint8_t* from) {
#if defined(HEED_AVX512)
  return (I)_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
#elif defined(HEED_AVX2)
  return (I)_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from)));
#else
  I values;
  for (int i = 0; i < lanes; ++i) values[i] = from[i];
  return values;
#endif
}
HEED_INLINE F load_as_floats(const float* from) { return load(from); }
HEED_INLINE F load_as_floats(const std::int32_t* from) {
  I values;
  __builtin_memcpy(&values, from, sizeof values);
  return __builtin_convertvector(values, F);
}
HEED_INLINE F load_as_floats(const std::uint8_t* from) { return __builtin_convertvector(load_bytes(from), F); }

HEED_INLINE I gathered_bits(const void* from, I offsets) {
#if defined(HEED_AVX512)
  return (I)_mm512_i32gather_epi32((__m512i)offsets, from, 4);
#elif defined(HEED_AVX2)
  return (I)_mm256_i32gather_epi32(static_cast<const int*>(from), (__m256i)offsets, 4);
#else
  I bits;
  for (int i = 0; i < lanes; ++i) bits[i] = static_cast<const std::int32_t*>(from)[offsets[i]];
  return bits;
#endif
}
HEED_INLINE F gathered(const float* from, I offsets) { return as_float(gathered_bits(from, offsets)); }
HEED_INLINE F gathered(const std::int32_t* from, I offsets) {
  return __builtin_convertvector(gathered_bits(from, offsets), F);
}
HEED_INLINE F gathered(const std::uint8_t* from, I offsets) {
  F result{};
  for (int i = 0; i < lanes; ++i) result[i] = static_cast<float>(from[offsets[i]]);
  return result;
}

/// One row of a lookup.
template <class T>
static void look_up_row(const Lookup& lookup, const Elements& elements, int row, int count, float* to) {
  const T* const from = static_cast<const T*>(lookup.of.data) + elements.base;
  if (lookup.of.line >= 0) {
    const int low = elements.low(count), high = elements.high(count, lookup.extent);
    const std::int64_t step = lookup.step;
    const T* const line = from + elements.start * step;
    int i = 0;
    for (; i < low; ++i) to[i] = static_cast<float>(from[0]);
    if (step == 1)
      for (; i + lanes <= high; i += lanes) store(to + i, load_as_floats(line + i));
    for (; i < high; ++i) to[i] = static_cast<float>(line[i * step]);
    for (; i < count; ++i) to[i] = static_cast<float>(from[(lookup.extent - 1) * step]);
  } else if (lookup.varying == 0) {
    for (int i = 0; i < count; i += lanes) store(to + i, set1(static_cast<float>(from[0])));
  } else {
    for (int i = 0; i < count; i += lanes) store(to + i, gathered(from, lookup.offsets(row, i)));
  }
}

template <class T>
static void look_up(const Lookup& lookup, const Domain& domain, float* to, std::int64_t step) {
  Elements before;
  for (int r = 0; r < domain.rows; ++r) {
    const Elements elements = lookup.elements(r);
    float* const row = to + r * step;
    // Neighbouring rows often read the same (a pattern of blocks).
    if (r > 0 && !lookup.rows_differ && elements.base == before.base && elements.start == before.start)
      for (int i = 0; i < domain.lanes_used; i += lanes) store(row + i, load(row - step + i));
    else
      look_up_row<T>(lookup, elements, r, domain.lanes_used, row);
    before = elements;
  }
}

static void look_up(const Work& work, const RowInstruction& instruction, const Domain& domain) {
  const Lookup lookup(work, work.code.lookups[instruction.number], domain);
  float* const to = work.memory(instruction.result, domain);
  const std::int64_t step = work.row_step(instruction.result);
  if (lookup.of.type == DType::float32)
    look_up<float>(lookup, domain, to, step);
  else if (lookup.of.type == DType::int32)
    look_up<std::int32_t>(lookup, domain, to, step);
  else
    look_up<std::uint8_t>(lookup, domain, to, step);
}

typedef std::uint8_t Bytes __attribute__((vector_size(16)));

/// Turns 16 rows of 16 bytes into columns: four rounds of pairing rows eight apart.
HEED_INLINE void transpose(Bytes (&v)[16]) {
  for (int round = 0; round < 4; ++round) {
    Bytes next[16];
    HEED_UNROLL for (int i = 0; i < 8; ++i) {
      next[2 * i] = __builtin_shufflevector(v[i], v[i + 8], 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      next[2 * i + 1] =
          __builtin_shufflevector(v[i], v[i + 8], 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    }
    HEED_UNROLL for (int i = 0; i < 16; ++i) v[i] = next[i];
  }
}

/// Rows of looked-up bytes, where they lie or made to lie together.
struct ByteRows {
  static constexpr int most = attention::strip_columns;
  const std::uint8_t* row[attention::strip_rows];

  ByteRows(const Lookup& lookup, const Domain& domain, attention::StripMemory* kept) {
    if (turned(lookup, domain, kept)) return;
    const auto* const data = static_cast<const std::uint8_t*>(lookup.of.data);
    const int count = domain.lanes_used;
    Elements before;
    for (int r = 0; r < domain.rows; ++r) {
      const Elements elements = lookup.elements(r);
      const bool same = r > 0 && !lookup.rows_differ && elements.base == before.base && elements.start == before.start;
      const std::uint8_t* const from = data + elements.base;
      if (same)
        row[r] = row[r - 1];
      else if (lookup.of.line >= 0 && lookup.step == 1 && lookup.inside(elements, count))
        row[r] = from + elements.start;
      else
        row[r] = gather(lookup, elements, from, r, count);
      before = elements;
    }
  }

 private:
  const std::uint8_t* gather(const Lookup& lookup, const Elements& elements, const std::uint8_t* from, int r,
                             int count) {
    std::uint8_t* const to = memory[r];
    int i = 0;
    if (lookup.of.line >= 0) {
      const int low = elements.low(count), high = elements.high(count, lookup.extent);
      const std::uint8_t* const line = from + elements.start * lookup.step;
      for (; i < low; ++i) to[i] = from[0];
      for (; i < high; ++i) to[i] = line[i * lookup.step];
      for (; i < count; ++i) to[i] = from[(lookup.extent - 1) * lookup.step];
    }
    for (; i < count; i += lanes) {
      const I offsets = lookup.offsets(r, i);
      for (int lane = 0; lane < lanes; ++lane) to[i + lane] = from[offsets[lane]];
    }
    return to;
  }

  /// Rows that lie across the table's are turned in tiles of 16 × 16, where they are neighbours.
  bool turned(const Lookup& lookup, const Domain& domain, attention::StripMemory* kept) {
    const int count = domain.lanes_used;
    const Elements first = lookup.elements(0);
    if (lookup.of.line < 0 || lookup.varying > 0 || lookup.step == 1 || count % 16 != 0 || !lookup.inside(first, count))
      return false;
    for (int r = 1; r < domain.rows; ++r) {
      const Elements elements = lookup.elements(r);
      if (elements.base != first.base + r || elements.start != first.start) return false;
    }
    const std::uint8_t* const from =
        static_cast<const std::uint8_t*>(lookup.of.data) + first.base + first.start * lookup.step;
    if (!kept || (kept->turned && kept->turned != &lookup.of)) {
      turn(from, lookup.step, domain.rows, count, memory);
      for (int r = 0; r < domain.rows; ++r) row[r] = memory[r];
      return true;
    }
    const bool there = kept->turned && kept->step == lookup.step && kept->turned_columns == count &&
                       from >= kept->first && from + domain.rows <= kept->first + kept->turned_rows;
    if (!there) {
      const int rows = lookup.neighbours(domain.rows, attention::StripMemory::most);
      turn(from, lookup.step, rows, count, kept->row);
      kept->turned = &lookup.of;
      kept->first = from;
      kept->step = lookup.step;
      kept->turned_rows = rows;
      kept->turned_columns = count;
    }
    for (int r = 0; r < domain.rows; ++r) row[r] = kept->row[from - kept->first + r];
    return true;
  }

  static void turn(const std::uint8_t* first, std::int64_t step, int rows, int count, std::uint8_t (*to)[most]) {
    for (int top = 0; top < rows; top += 16) {
      const int height = rows - top < 16 ? rows - top : 16;
      for (int i = 0; i < count; i += 16) {
        Bytes tile[16];
        const std::uint8_t* const from = first + i * step + top;
        for (int lane = 0; lane < 16; ++lane) {
          tile[lane] = Bytes{};
          if (height == 16)
            __builtin_memcpy(&tile[lane], from + lane * step, 16);
          else
            for (int r = 0; r < height; ++r) tile[lane][r] = from[lane * step + r];
        }
        transpose(tile);
        for (int r = 0; r < height; ++r) __builtin_memcpy(to[top + r] + i, &tile[r], 16);
      }
    }
  }

  alignas(64) std::uint8_t memory[attention::strip_rows][most];
};

/// Scores where the looked-up byte is not above the bound become −infinity.
static void forbid_unless_more(const Work& work, const RowInstruction& instruction, const Domain& domain) {
  const Lookup lookup(work, work.code.lookups[instruction.number], domain);
  const Source bound(work, instruction.operand[0], domain);
  float* const to = work.memory(instruction.result, domain);
  const std::int64_t step = work.row_step(instruction.result);
  const ByteRows bytes(lookup, domain, work.strip.memory);
  const F none = set1(-__builtin_inff());
  for (int r = 0; r < domain.rows; ++r) {
    const float least = bound.data[r * bound.step];
    const I above = set1_int(least >= 255.0f ? 255 : least >= 0.0f ? static_cast<std::int32_t>(least) : -1);
    float* const row = to + r * step;
    const std::uint8_t* const from = bytes.row[r];
    int i = 0;
#if defined(HEED_AVX512)
    if (least >= 0.0f && least < 255.0f) {
      const __m512i bounds = _mm512_set1_epi8(static_cast<char>(static_cast<int>(least)));
      for (; i + 4 * lanes <= domain.lanes_used; i += 4 * lanes) {
        const __mmask64 seen = _mm512_cmpgt_epu8_mask(_mm512_loadu_si512(from + i), bounds);
        HEED_UNROLL for (int part = 0; part < 4; ++part) {
          float* const to_part = row + i + part * lanes;
          store(to_part, (F)_mm512_mask_loadu_ps((__m512)none, static_cast<__mmask16>(seen >> (part * 16)), to_part));
        }
      }
    }
#endif
    for (; i < domain.lanes_used; i += lanes)
      store(row + i, select((I)(load_bytes(from + i) > above), load(row + i), none));
  }
  // The next strip's, where the table has its rows: they lie too far apart for the processor to foresee.
  if (domain.rows > 1 && lookup.step == 1) {
    const std::int64_t far = domain.rows * (bytes.row[1] - bytes.row[0]);
    for (int r = 0; r < domain.rows; ++r)
      for (int i = 0; i < domain.lanes_used; i += 64) __builtin_prefetch(bytes.row[r] + far + i);
  }
}

/// Adds a chunk's values to a parameter's elements.
static void add_gradient(const Work& work, const RowGradient& to, const Domain& domain, float* gradient) {
  const Lookup lookup(work, work.code.lookups[to.lookup], domain);
  const Source value(work, to.value, domain);
  const int columns = work.strip.columns;
  for (int r = 0; r < domain.rows; ++r) {
    const Elements elements = lookup.elements(r);
    const float* const row = value.data + r * value.step;
    float* const from = gradient + elements.base;
    int i = 0;
    if (lookup.of.line >= 0) {
      const int low = elements.low(columns), high = elements.high(columns, lookup.extent);
      const std::int64_t step = lookup.step;
      float* const line = from + elements.start * step;
      for (; i < low; ++i) from[0] += row[i];
      if (step == 1)
        for (; i + lanes <= high; i += lanes) store(line + i, load(line + i) + load(row + i));
      for (; i < high; ++i) line[i * step] += row[i];
      for (; i < columns; ++i) from[(lookup.extent - 1) * step] += row[i];
    } else if (lookup.varying == 0) {
      F sum = zero();
      for (; i + lanes <= columns; i += lanes) sum += load(row + i);
      if (i < columns) sum += load(row + i, columns - i);
      from[0] += reduce_add(sum);
    } else {
      for (; i < columns; i += lanes) {
        const I offsets = lookup.offsets(r, i);
        for (int lane = 0; lane < lanes && i + lane < columns; ++lane) from[offsets[lane]] += row[i + lane];
      }
    }
  }
}

}  // namespace heed::HEED_ISA::rules
