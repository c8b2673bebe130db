#include "cli/attention_bench.h"

#include <heed/random.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <map>

namespace heed::cli {

namespace {

std::string trimmed(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front()))) text.remove_prefix(1);
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back()))) text.remove_suffix(1);
  return std::string(text);
}

double number_of(const std::string& key, const std::string& text) {
  double value = 0.0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    throw Error("--spec: {} is '{}'; expected a number", key, text);
  return value;
}

/// A boolean matrix, seven of ten true, that every head looks up.
Mask random_mask(std::int64_t length) {
  Tensor table({length, length}, DType::boolean);
  auto* const elements = static_cast<unsigned char*>(table.data());
  for (std::int64_t i = 0; i < table.elements(); ++i)
    elements[i] = uniform(RandomKey{7}, static_cast<std::uint64_t>(i)) > 0.3f;
  return allowed(std::move(table));
}

/// mask := term { "|" term };  term := factor { "&" factor };  factor := "!" factor | "(" mask ")" | name [ "(" n ")" ]
class MaskReader {
 public:
  MaskReader(std::string_view text, std::int64_t length) : whole_(text), text_(text), length_(length) {}
  Mask read() {
    Mask mask = either();
    if (!next().empty()) wrong("the end");
    return mask;
  }

 private:
  [[noreturn]] void wrong(std::string_view expected) {
    throw Error("--spec: mask '{}' has '{}' where {} is expected", whole_, next(), expected);
  }
  std::string_view next() {
    while (!text_.empty() && text_.front() == ' ') text_.remove_prefix(1);
    return text_;
  }
  bool take(char symbol) {
    if (next().empty() || text_.front() != symbol) return false;
    text_.remove_prefix(1);
    return true;
  }
  Mask either() {
    Mask mask = both();
    while (take('|')) mask = mask | both();
    return mask;
  }
  Mask both() {
    Mask mask = factor();
    while (take('&')) mask = mask & factor();
    return mask;
  }
  Mask factor() {
    if (take('!')) return !factor();
    if (take('(')) {
      Mask mask = either();
      if (!take(')')) wrong("')'");
      return mask;
    }
    return primitive();
  }
  Mask primitive() {
    std::size_t end = 0;
    next();
    while (end < text_.size() && (std::isalnum(static_cast<unsigned char>(text_[end])) || text_[end] == '_')) ++end;
    const std::string name(text_.substr(0, end));
    if (name.empty()) wrong("a mask");
    text_.remove_prefix(end);
    std::optional<std::int64_t> value;
    if (take('(')) {
      const std::size_t close = text_.find(')');
      if (close == std::string_view::npos) wrong("')'");
      value = static_cast<std::int64_t>(number_of("mask " + name, trimmed(text_.substr(0, close))));
      text_.remove_prefix(close + 1);
    }
    if (name == "causal") return causal(value.value_or(0));
    if (name == "random") return random_mask(length_);
    if (name == "everything") return {};
    if (name == "window" || name == "first_keys" || name == "dilated") {
      if (!value) throw Error("--spec: mask {} needs a number: {}(512)", name, name);
      return name == "window" ? window(*value) : name == "first_keys" ? first_keys(*value) : dilated(*value);
    }
    throw Error("--spec: there is no mask '{}'; there are causal, window(n), first_keys(n), dilated(n), random", name);
  }

  std::string_view whole_, text_;
  std::int64_t length_;
};

template <class Choice>
Choice choice_of(const std::string& key, const std::string& text, Choice last) {
  std::string known;
  for (int i = 0; i <= static_cast<int>(last); ++i) {
    const auto each = static_cast<Choice>(i);
    if (name_of(each) == text) return each;
    known += (known.empty() ? "" : ", ") + std::string(name_of(each));
  }
  throw Error("--spec: there is no {} '{}'; there are {}", key, text, known);
}

ScoreRule rule_of(const std::string& text) {
  if (text == "soft_cap")
    return score("soft cap", [](auto s, const auto&) noexcept { return 30.0f * tanh(s / 30.0f); });
  if (text == "alibi")
    return score("alibi", [](auto s, const auto& at) noexcept { return s - 0.05f * abs(at.query - at.key); });
  throw Error("--spec: there is no rule '{}'; there are soft_cap and alibi", text);
}

/// Pairs of query and key that the mask leaves, of one sequence and head.
double pairs_of(const Mask& mask, std::int64_t length) {
  constexpr std::int64_t side = 64;
  double pairs = 0.0;
  for (std::int64_t query = 0; query < length; query += side)
    for (std::int64_t key = 0; key < length; key += side) {
      const std::int64_t query_end = std::min(query + side, length), key_end = std::min(key + side, length);
      const Mask::Cover cover = mask.cover(0, 0, query, query_end, key, key_end);
      if (cover == Mask::Cover::full) pairs += static_cast<double>((query_end - query) * (key_end - key));
      if (cover != Mask::Cover::partial) continue;
      for (std::int64_t q = query; q < query_end; ++q)
        for (std::int64_t k = key; k < key_end; ++k) pairs += mask.allows(0, 0, q, k);
    }
  return pairs;
}

}  // namespace

Mask mask_of(const std::string& text, std::int64_t length) { return MaskReader(text, length).read(); }

AttentionShape attention_shape_of(const std::string& text, std::int64_t length) {
  AttentionShape shape;
  shape.length = length;
  bool value_width = false, key_value_heads = false;
  for (std::size_t begin = 0; begin < text.size();) {
    std::size_t end = std::min(text.find(',', begin), text.size());
    const std::string entry = trimmed(std::string_view(text).substr(begin, end - begin));
    begin = end + 1;
    const std::size_t equal = entry.find('=');
    if (equal == std::string::npos) throw Error("--spec: '{}' is not key=value", entry);
    const std::string key = trimmed(entry.substr(0, equal)), value = trimmed(entry.substr(equal + 1));
    const auto whole = [&] {
      const double number = number_of(key, value);
      if (number < 1 || number > 1e6) throw Error("--spec: {} is {}; expected 1 to 1,000,000", key, value);
      return static_cast<int>(number);
    };
    if (key == "score")
      shape.spec.score = choice_of(key, value, Score::additive);
    else if (key == "normaliser")
      shape.spec.normaliser = choice_of(key, value, Normaliser::entmax15);
    else if (key == "mask")
      shape.spec.mask = mask_of(value, length);
    else if (key == "rule")
      shape.spec.rule = rule_of(value);
    else if (key == "scale")
      shape.spec.scale = static_cast<float>(number_of(key, value));
    else if (key == "soft_cap")
      shape.spec.soft_cap = static_cast<float>(number_of(key, value));
    else if (key == "dropout")
      shape.spec.dropout = static_cast<float>(number_of(key, value));
    else if (key == "heads")
      shape.heads = whole();
    else if (key == "key_value_heads")
      shape.key_value_heads = whole(), key_value_heads = true;
    else if (key == "width")
      shape.width = whole();
    else if (key == "value_width")
      shape.value_width = whole(), value_width = true;
    else if (key == "batch")
      shape.batch = whole();
    else if (key == "slopes")
      shape.slopes = number_of(key, value) != 0.0;
    else if (key == "relative")
      shape.relative = number_of(key, value) != 0.0;
    else
      throw Error(
          "--spec: there is no key '{}'; there are score, normaliser, mask, rule, scale, soft_cap, dropout, "
          "heads, key_value_heads, width, value_width, batch, slopes, relative",
          key);
  }
  if (!value_width) shape.value_width = shape.width;
  if (!key_value_heads) shape.key_value_heads = shape.heads;
  return shape;
}

BenchResult measure_attention(const AttentionShape& shape, DType dtype, Bench& bench) {
  const std::int64_t query_width = std::int64_t{shape.heads} * shape.width;
  const std::int64_t key_width = std::int64_t{shape.key_value_heads} * shape.width;
  const std::int64_t value_width = std::int64_t{shape.key_value_heads} * shape.value_width;
  const std::int64_t output_width = std::int64_t{shape.heads} * shape.value_width, rows = shape.batch * shape.length;
  const std::int64_t packed_width = query_width + key_width + value_width;
  const Tensor packed = random_tensor({rows, packed_width}, dtype, 1);
  const Tensor doutput = random_tensor({shape.backward ? rows : 0, output_width}, DType::float32, 2);
  const Tensor output({rows, output_width}, dtype), log_sum_exp({shape.heads, rows});
  const Tensor gradients({shape.backward ? rows : 0, packed_width});
  const auto columns = [](const Tensor& of, std::int64_t begin, std::int64_t width) {
    View view = of.view();
    view.data = static_cast<char*>(view.data) + begin * size_of(of.dtype());
    view.width = width;
    return view;
  };
  const View key = columns(packed, query_width, key_width),
             value = columns(packed, query_width + key_width, value_width);
  const auto row = [](const View& view, std::int64_t index) {
    return view.as<char>() + index * view.row_stride * size_of(view.dtype);
  };

  AttentionProblem problem;
  problem.spec = shape.spec;
  problem.heads = shape.heads;
  problem.key_value_heads = shape.key_value_heads;
  problem.head_width = shape.width;
  problem.value_width = shape.value_width;
  problem.query = columns(packed, 0, query_width);
  problem.key_value_dtype = dtype;
  problem.key_stride = problem.value_stride = packed_width;
  for (std::int64_t i = 0; i < shape.batch; ++i)
    problem.sequences.push_back({.query_begin = i * shape.length,
                                 .query_count = shape.length,
                                 .query_position = 0,
                                 .key_begin = i * shape.length,
                                 .key_count = shape.length,
                                 .spans = {{row(key, i * shape.length), row(value, i * shape.length), shape.length}}});
  AttentionGradients to{.query = columns(gradients, 0, query_width),
                        .key = columns(gradients, query_width, key_width),
                        .value = columns(gradients, query_width + key_width, value_width)};
  constexpr std::int64_t reach = 128;
  const auto learned = [&](bool wanted, Shape extents, std::uint64_t seed) {
    return wanted ? random_tensor(extents, DType::float32, seed) : Tensor();
  };
  const Score kind = shape.spec.score;
  const Tensor bilinear = learned(kind == Score::bilinear, {shape.heads, shape.width, shape.width}, 3);
  const Tensor direction = learned(kind == Score::additive, {shape.heads, shape.width}, 4);
  const Tensor sinks = learned(shape.spec.normaliser == Normaliser::softmax_sink, {shape.heads}, 5);
  const Tensor relative = learned(shape.relative, {shape.heads, 2 * reach + 1}, 6);
  Tensor slopes;
  if (shape.slopes) {
    slopes = Tensor({shape.heads});
    slopes.fill(0.05f);
  }
  std::vector<Tensor> learned_gradients;
  const auto bind = [&](const Tensor& operand, const float*& place, float*& gradient) {
    if (!operand) return;
    place = operand.floats();
    learned_gradients.emplace_back(operand.shape());
    gradient = learned_gradients.back().floats();
  };
  bind(bilinear, problem.bilinear, to.bilinear);
  bind(direction, problem.direction, to.direction);
  bind(sinks, problem.sinks, to.sinks);
  bind(relative, problem.relative, to.relative);
  if (shape.relative) problem.relative_reach = reach;
  if (shape.slopes) problem.slopes = slopes.floats();  // ALiBi's are not learned

  // Of every pair the score and the weighted value; with gradients five such products more, the scores computed again.
  const double pairs = static_cast<double>(shape.batch * shape.heads) * pairs_of(shape.spec.mask, shape.length);
  const double of_score = 2.0 * shape.width, of_value = 2.0 * shape.value_width;
  const double needed = pairs * (shape.backward ? 4.0 * of_score + 3.0 * of_value : of_score + of_value);
  const double counted = 4.0 * static_cast<double>(shape.batch * shape.heads) * shape.width *
                         static_cast<double>(shape.length) * static_cast<double>(shape.length) *
                         (shape.backward ? 3.5 : 1.0);
  BenchResult result = bench.measure(
      {kind == Score::additive ? DType::float32 : dtype, needed, 0.0},
      [&] {
        attention_forward(problem, output.view(), shape.backward ? log_sum_exp.floats() : nullptr, bench.pool());
        if (shape.backward)
          attention_backward(problem, output.view(), log_sum_exp.floats(), doutput.view(), to, bench.pool());
      },
      shape.backward ? 5 : 7);
  result.figures = {{"gflops", counted / result.timing.ms * 1e-6}};
  return result;
}

}  // namespace heed::cli
