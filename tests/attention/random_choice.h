#pragma once
// Choices over the whole space of specs and problems.
#include <heed/random.h>

#include <array>
#include <vector>

#include "attention/choice.h"

namespace heed::attention {

/// Whole numbers that choices are made with: from a random key, or from a fuzzer's bytes, zeros behind their end.
class Draw {
 public:
  explicit Draw(RandomKey key) : key_(key) {}
  Draw(const std::uint8_t* bytes, std::size_t size) : bytes_(bytes), size_(size) {}
  std::int64_t below(std::int64_t bound) {
    const std::uint64_t number = next_++;
    if (!bytes_) return uniform_index(key_, number, bound);
    return number < size_ ? bytes_[number] % bound : 0;
  }
  template <class... Options>
  auto pick(Options... options) {
    const std::array values{options...};
    return values[static_cast<std::size_t>(below(sizeof...(options)))];
  }
  bool one_in(std::int64_t count) { return below(count) == count - 1; }

 private:
  RandomKey key_;
  const std::uint8_t* bytes_ = nullptr;
  std::size_t size_ = 0;
  std::uint64_t next_ = 0;
};

/// Tables of masks are of these extents: smaller and larger than what they are asked about, in positions.
inline Tensor random_table(Draw& draw, Shape shape) {
  Tensor table(shape, draw.one_in(2) ? DType::boolean : DType::uint8);
  for (std::int64_t i = 0; i < table.elements(); ++i)
    static_cast<std::uint8_t*>(table.data())[i] = mix64(static_cast<std::uint64_t>(i)) % 4 != 0;
  return table;
}

/// `choice` has its heads and lengths: a mask is of as many, or of one.
inline Mask random_primitive(Draw& draw, const Choice& choice) {
  const auto sequences = static_cast<std::int64_t>(choice.lengths.size()), heads = std::int64_t{choice.heads};
  switch (draw.below(12)) {
    case 0:
      return causal();
    case 1:
      return causal(draw.pick(-4, 1, 30));
    case 2:
      return window(draw.pick(1, 9, 20, 100));
    case 3:
      return first_keys(draw.pick(0, 1, 4, 70));
    case 4:
      return dilated(draw.pick(1, 2, 3, 17));
    case 5: {
      std::vector<std::int32_t> ids;
      for (std::int64_t document = 0, count = draw.pick(1, 4, 9); document < count; ++document)
        ids.insert(ids.end(), static_cast<std::size_t>(1 + 13 * document % 40),
                   static_cast<std::int32_t>(document % 4));
      return documents(ids);
    }
    case 6: {
      std::vector<std::int64_t> lengths(static_cast<std::size_t>(draw.one_in(3) ? 1 : sequences));
      for (std::int64_t& length : lengths) length = draw.pick(0, 1, 3, 7, 50, 64, 90, 1000);
      return key_lengths(lengths);
    }
    case 7: {
      const std::int64_t queries = draw.pick(1, 30, 300), keys = draw.pick(1, 40, 300);
      return allowed(draw.one_in(2) ? random_table(draw, {queries, keys})
                                    : random_table(draw, {draw.pick(std::int64_t{1}, sequences),
                                                          draw.pick(std::int64_t{1}, heads), queries, keys}));
    }
    case 8:
      return blocks(random_table(draw, {draw.pick(2, 20), draw.pick(3, 20)}), draw.pick(1, 16, 37, 64));
    case 9:
      return mask("near",
                  [](const auto& at) noexcept { return abs(at.query - at.key) < 30 + 5 * at.head || at.key < 4; });
    case 10:
      return mask("thirds", [](const auto& at) noexcept {
        return floor((at.query + at.key + at.batch) / 3) * 3 != at.query + at.key + at.batch;
      });
    default:
      return mask("checkers", [](int batch, int head, std::int64_t query, std::int64_t key) noexcept {
        return (batch + head + query + key) % 3 != 0;
      });
  }
}

inline Mask random_mask(Draw& draw, const Choice& choice) {
  const auto primitive = [&] { return random_primitive(draw, choice); };
  switch (draw.below(8)) {
    case 0:
    case 1:
      return {};
    case 2:
      return causal();
    case 3:
      return primitive();
    case 4:
      return primitive() & primitive();
    case 5:
      return primitive() | primitive();
    case 6:
      return !primitive();
    default:
      return primitive() & (primitive() | !primitive());
  }
}

/// Rules whose derivative does not jump with the score, and the shapes of their parameters.
inline void choose_rule(Draw& draw, Choice& choice) {
  switch (draw.below(8)) {
    case 0:
      choice.spec.rule =
          score("distance", [](auto s, const auto& at) noexcept { return s - 0.1f * abs(at.query - at.key); });
      break;
    case 1:
      choice.spec.rule = score("capped", [](auto s, const auto&) noexcept { return 3 * tanh(s / 3); });
      break;
    case 2:
      choice.spec.rule = score("table", [](auto s, const auto& at) noexcept {
        return s + Parameter(0)(at.head, max(at.query - at.key, 0));
      });
      choice.parameters = {{choice.heads, 20}};
      break;
    case 3:
      choice.spec.rule = score("gated", [](auto s, const auto& at) noexcept {
        return s / (1 + exp(-Parameter(0)(at.head))) + Parameter(1)(at.batch, at.query, at.key) * tanh(s);
      });
      choice.parameters = {{choice.heads}, {2, 5, 300}};
      break;
    case 4:
      choice.spec.rule = score("far is none", [](auto s, const auto& at) noexcept {
        return where(abs(at.query - at.key) < 20, s, -std::numeric_limits<float>::infinity());
      });
      break;
    case 5:
      choice.spec.rule = score("by place", [](auto s, const auto& at) noexcept {
        return where(at.key < at.query && at.head != 1, s * (1 + 0.5f * (at.key / (1 + at.query + at.key))), 0.5f * s);
      });
      break;
    case 6:
      choice.spec.rule =
          score("root", [](auto s, const auto& at) noexcept { return s / sqrt(1 + 0.1f * s * s) + log(1 + at.key); });
      break;
    default:
      choice.spec.rule =
          score("constant", [](auto, const auto& at) noexcept { return 0.25f * floor((at.key + at.head) / 2); });
      break;
  }
}

inline Choice random_choice(Draw& draw) {
  Choice choice;
  choice.spec.score = draw.pick(Score::scaled_dot, Score::scaled_dot, Score::scaled_dot, Score::dot, Score::bilinear,
                                Score::cosine, Score::euclidean, Score::additive);
  choice.spec.normaliser =
      draw.pick(Normaliser::softmax, Normaliser::softmax, Normaliser::softmax, Normaliser::softmax_zero,
                Normaliser::softmax_sink, Normaliser::sigmoid, Normaliser::sparsemax, Normaliser::entmax15);
  choice.spec.dropout = draw.pick(0.0f, 0.0f, 0.3f);
  choice.spec.soft_cap = draw.pick(0.0f, 0.0f, 2.0f);
  choice.key_value_heads = draw.pick(1, 2);
  choice.heads = choice.key_value_heads * draw.pick(1, 2, 3);
  choice.head_width = draw.pick(1, 3, 16, 32, 33, 64, 80);
  choice.value_width = draw.pick(1, 3, 16, 32, 33, 64, 80);
  if (draw.one_in(2)) choice.value_width = choice.head_width;
  // Most scores are of moderate size, so that more than one key has weight.
  if (choice.spec.score != Score::cosine) choice.spec.scale = 1.0f / std::sqrt(static_cast<float>(choice.head_width));
  if (choice.spec.score == Score::scaled_dot && draw.one_in(2)) choice.spec.scale.reset();
  if (draw.one_in(4)) choice.spec.scale = draw.pick(0.3f, -0.1f, 1.0f, 0.0f);
  if (choice.spec.score == Score::bilinear) choice.key_width = draw.pick(0, 5, 16, 40);
  if (draw.one_in(4)) choose_rule(draw, choice);
  choice.query_dtype = draw.pick(DType::float32, DType::float32, DType::bfloat16);
  choice.output_dtype = draw.pick(DType::float32, DType::float32, DType::bfloat16);
  choice.key_value_dtype = draw.pick(DType::float32, DType::float32, DType::float32, DType::bfloat16, DType::float16,
                                     DType::int8, DType::q4);
  if (choice.key_value_dtype == DType::q4)  // two share a byte
    for (int* width : {&choice.head_width, &choice.value_width, &choice.key_width}) *width = (*width + 1) / 2 * 2;
  choice.span = draw.pick(0, 0, 0, 16, 7);
  choice.prefix = draw.pick(0, 0, 0, 0, 0, 0, 0, 0, 1, 40, 600);
  choice.gap = draw.pick(0, 0, 1, 48);
  choice.slopes = draw.one_in(4);
  choice.reach = draw.pick(-1, -1, -1, 0, 4);
  choice.bias = draw.one_in(4) ? static_cast<int>(draw.below(16)) : -1;
  choice.queries_at_end = draw.one_in(2);
  choice.guarded = true;
  choice.accumulate = draw.one_in(4);
  choice.unwanted = draw.one_in(6) ? static_cast<unsigned>(draw.below(16)) : 0;
  choice.lengths.clear();
  std::int64_t pairs = 60'000 / choice.heads;  // the reference takes its time
  for (std::int64_t sequence = draw.below(3); sequence >= 0; --sequence) {
    std::int64_t queries = draw.pick(0, 1, 2, 4, 7, 20, 63, 64, 65, 130);
    std::int64_t keys = draw.one_in(2) ? queries : draw.pick(0, 1, 2, 7, 20, 63, 65, 130, 200, 700);
    while (queries * keys > pairs) (queries > keys ? queries : keys) /= 2;
    if (queries * choice.prefix > pairs) queries = std::min<std::int64_t>(queries, 2);
    pairs -= queries * (keys + choice.prefix);
    pairs = std::max<std::int64_t>(pairs, 0);
    choice.lengths.emplace_back(queries, keys);
  }
  choice.spec.mask = random_mask(draw, choice);
  return choice;
}

inline Choice random_choice(std::uint64_t seed) {
  Draw draw(RandomKey{seed}.fold(29));
  return random_choice(draw);
}

}  // namespace heed::attention
