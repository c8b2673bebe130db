#include "attention/program.h"

#include <gtest/gtest.h>
#include <heed/attention.h>

#include <cmath>
#include <limits>

#include "attention/mask.h"
#include "attention/rules.h"
#include "attention/terms.h"

namespace heed::attention {

namespace {

/// Draws numbers one after another.
class Draw {
 public:
  explicit Draw(std::uint64_t seed) : key_{seed} {}
  std::int64_t below(std::int64_t bound) { return uniform_index(key_, next_++, bound); }
  float normal() { return heed::normal(key_, next_++); }

 private:
  RandomKey key_;
  std::uint64_t next_ = 0;
};

Tensor numbers(Shape shape, Draw& draw) {
  Tensor tensor(shape);
  for (std::int64_t i = 0; i < tensor.elements(); ++i) tensor.floats()[i] = draw.normal();
  return tensor;
}

Tensor bytes(Shape shape, Draw& draw, DType type) {
  Tensor tensor(shape, type);
  for (std::int64_t i = 0; i < tensor.elements(); ++i)
    static_cast<std::uint8_t*>(tensor.data())[i] = draw.below(2) != 0;
  return tensor;
}

/// A strip somewhere, with scores that are padded by what must not change.
struct Sample {
  static constexpr float untouched = 12345.0f;
  Strip strip;
  std::vector<float> scores, scratch;

  Sample(Draw& draw, std::int64_t scratch_floats, bool large = false) {
    strip.batch = static_cast<int>(draw.below(2));
    strip.head = static_cast<int>(draw.below(3));
    strip.row = draw.below(40) - 3;
    strip.lane = draw.below(30);
    strip.lanes_are_keys = draw.below(2) != 0;
    if (!strip.lanes_are_keys) std::swap(strip.row, strip.lane);
    strip.rows = static_cast<int>(1 + draw.below(large ? 40 : 9));
    strip.columns = static_cast<int>(1 + draw.below(large ? 1200 : 70));
    strip.stride = (strip.columns + 15) / 16 * 16 + 16 * draw.below(2);
    scratch.resize(static_cast<std::size_t>(scratch_floats), std::numeric_limits<float>::quiet_NaN());
    strip.scratch = scratch.data();
    scores.assign(static_cast<std::size_t>(strip.rows * strip.stride), untouched);
    for (int r = 0; r < strip.rows; ++r)
      for (int c = 0; c < strip.columns; ++c) scores[at(r, c)] = 2 * draw.normal();
  }
  std::size_t at(int row, int column) const { return static_cast<std::size_t>(row * strip.stride + column); }
  Point point(int row, int column) const {
    const std::int64_t r = strip.row + row, c = strip.lane + column;
    return {strip.batch, strip.head, strip.lanes_are_keys ? r : c, strip.lanes_are_keys ? c : r,
            scores[at(row, column)]};
  }
  /// Nothing behind the last whole vector of 16 of a row is written.
  void expect_padding(const std::vector<float>& values, const std::string& what) const {
    for (int r = 0; r < strip.rows; ++r)
      for (int c = (strip.columns + 15) / 16 * 16; c < strip.stride; ++c)
        ASSERT_EQ(values[at(r, c)], untouched) << what;
  }
  std::string text() const {
    return format("batch {}, head {}, row {}, lane {}, lanes are keys {}, {} x {}", strip.batch, strip.head, strip.row,
                  strip.lane, strip.lanes_are_keys, strip.rows, strip.columns);
  }
};

void expect_near(float actual, double expected, const std::string& what) {
  if (std::isnan(expected)) {
    EXPECT_TRUE(std::isnan(actual)) << what;
  } else if (std::isinf(expected) || std::abs(expected) > 1e37) {
    EXPECT_GT(actual * (expected > 0 ? 1 : -1), 1e37) << what;
  } else {
    EXPECT_NEAR(actual, expected, 2e-5 * (1 + std::abs(expected))) << what;
  }
}

std::vector<Tensor> parameters_of(Draw& draw) {
  return {numbers({3}, draw), numbers({2, 9}, draw), numbers({37, 41}, draw)};
}

/// Formulas of all operators, smooth enough that float32 tells what double does.
class RandomRule {
 public:
  explicit RandomRule(Draw& draw, bool learns)
      : draw_(draw),
        learns_(learns),
        floats_(numbers({29, 33}, draw)),
        line_(numbers({50}, draw)),
        bytes_(heed::attention::bytes({3, 40}, draw, DType::uint8)) {}

  Number number(const Number& score, const Place& at, int depth) {
    if (depth == 0) return leaf(score, at);
    const auto next = [&] { return number(score, at, depth - 1); };
    switch (draw_.below(16)) {
      case 0:
        return next() + next();
      case 1:
        return next() - next();
      case 2:
        return next() * next() * 0.5f;
      case 3:
        return next() / (2 + abs(next()));
      case 4:
        return -next();
      case 5:
        return abs(next());
      case 6:
        return exp(-abs(next()));
      case 7:
        return log(1 + abs(next()));
      case 8:
        return sqrt(0.5f + abs(next()));
      case 9:
        return 2 * tanh(next() / 3);
      case 10:
        return min(next(), next());
      case 11:
        return max(next(), next());
      case 12:
        return where(condition(at, depth - 1), next(), next());
      case 13:
        return next() - next() * abs(at.query - at.key) * 0.125f;
      case 14:
        return next() * next() - next() * next();
      default:
        return next() + floor((at.query + at.key) / 7) * 0.25f;
    }
  }

  Condition condition(const Place& at, int depth) {
    if (depth <= 0) {
      switch (draw_.below(6)) {
        case 0:
          return at.key <= at.query + draw_.below(5);
        case 1:
          return abs(at.query - at.key) < draw_.below(20);
        case 2:
          return bytes_(at.head, at.key) != 0;
        case 3:
          return bytes_(at.batch, at.query - at.key + 20) == 1;
        case 4:
          return at.head >= 1;
        default:
          return at.query != at.key;
      }
    }
    const auto next = [&] { return condition(at, depth - 1); };
    switch (draw_.below(3)) {
      case 0:
        return next() && next();
      case 1:
        return next() || next();
      default:
        return !next();
    }
  }

 private:
  Number leaf(const Number& score, const Place& at) {
    switch (draw_.below(learns_ ? 14 : 11)) {
      case 0:
      case 1:
      case 2:
        return score;
      case 3:
        return 0.1f * at.query;
      case 4:
        return at.key * 0.0625f;
      case 5:
        return draw_.normal();
      case 6:
        return floats_(at.query, at.key);
      case 7:
        return floats_(at.key, at.query - 3);
      case 8:
        return line_(at.key - at.query + 20);
      case 9:
        return floats_(at.head, at.key / 2);
      case 10:
        return line_(at.query) * at.batch + at.head;
      case 11:
        return Parameter(0)(at.head);
      case 12:
        return Parameter(1)(at.batch, at.key - at.query + 4);
      default:
        return Parameter(2)(at.query / 3, at.key);
    }
  }

  Draw& draw_;
  bool learns_;
  Table floats_, line_, bytes_;
};

class ProgramInSet : public testing::TestWithParam<kernels::InstructionSet> {};

TEST_P(ProgramInSet, EqualsTheFormulaInDouble) {
  const RuleKernels& kernels = rule_kernels(GetParam());
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    Draw draw(seed);
    const std::vector<Tensor> parameters = parameters_of(draw);
    RandomRule random(draw, true);
    AttentionSpec spec;
    const auto trace = [&](auto s, const auto& at) noexcept {
      return random.number(s, at, static_cast<int>(seed % 4));
    };
    spec.rule = score("random", trace);
    const Rules rules(spec, parameters, true);
    const Program& program = rules.program();
    const Sample sample(draw, program.scratch, seed % 50 == 0);
    const Terms terms({spec.rule.formula()});
    const std::string what = format("seed {}, {}, {}", seed, spec.rule, sample.text());

    std::vector<float> only = sample.scores, scores = sample.scores, derivative = sample.scores;
    kernels.score(program, sample.strip, only.data(), nullptr);
    kernels.score(program, sample.strip, scores.data(), derivative.data());
    std::vector<Tensor> gradients, expected;
    std::vector<float*> to;
    for (const Tensor& parameter : parameters) {
      gradients.emplace_back(parameter.shape());
      to.push_back(gradients.back().floats());
    }
    std::vector<std::vector<double>> sums, sizes;
    for (const Tensor& parameter : parameters) {
      sums.emplace_back(parameter.elements());
      sizes.emplace_back(parameter.elements());
    }
    const Sample dscores(draw, program.scratch);
    std::vector<float> incoming(sample.scores.size(), Sample::untouched);
    for (std::size_t i = 0; i < incoming.size(); ++i) incoming[i] = draw.below(4) == 0 ? 0.0f : draw.normal();
    kernels.parameters(program, sample.strip, sample.scores.data(), incoming.data(), to.data());

    for (int r = 0; r < sample.strip.rows && !HasFailure(); ++r)
      for (int c = 0; c < sample.strip.columns; ++c) {
        const Point point = sample.point(r, c);
        std::vector<ParameterShare> shares;
        const double slope = terms.derivative(point, parameters, shares);
        expect_near(scores[sample.at(r, c)], terms.value(point, parameters), what);
        expect_near(only[sample.at(r, c)], terms.value(point, parameters), what);
        expect_near(derivative[sample.at(r, c)], slope, what);
        if (program.derivative_is_one) {
          ASSERT_EQ(slope, 1.0) << what;
        }
        for (const ParameterShare& share : shares) {
          const double part = share.derivative * static_cast<double>(incoming[sample.at(r, c)]);
          sums[static_cast<std::size_t>(share.number)][static_cast<std::size_t>(share.element)] += part;
          sizes[static_cast<std::size_t>(share.number)][static_cast<std::size_t>(share.element)] += std::abs(part);
        }
      }
    sample.expect_padding(scores, what);
    sample.expect_padding(derivative, what);
    for (std::size_t p = 0; p < parameters.size(); ++p)
      for (std::int64_t i = 0; i < parameters[p].elements(); ++i)
        ASSERT_NEAR(gradients[p].floats()[i], sums[p][static_cast<std::size_t>(i)],
                    2e-5 * (1 + sizes[p][static_cast<std::size_t>(i)]))
            << what << ", parameter " << p;
    ASSERT_FALSE(HasFailure());
  }
}

TEST_P(ProgramInSet, MasksWhatTheMaskDoesNotAllow) {
  const RuleKernels& kernels = rule_kernels(GetParam());
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Draw draw(1000 + seed);
    RandomRule random(draw, false);
    const auto trace = [&](const auto& at) noexcept { return random.condition(at, static_cast<int>(seed % 3)); };
    std::vector<std::int32_t> ids(50);
    for (std::size_t i = 1; i < ids.size(); ++i) ids[i] = ids[i - 1] + static_cast<std::int32_t>(draw.below(8) == 0);
    const std::vector<Mask> masks = {
        causal(draw.below(5)),
        window(1 + draw.below(20)),
        first_keys(draw.below(20)),
        dilated(1 + draw.below(7)),
        documents(ids),
        key_lengths({draw.below(30), draw.below(60)}),
        allowed(bytes({40, 50}, draw, DType::boolean)),
        allowed(bytes({3, 40, 1}, draw, DType::uint8)),
        allowed(bytes({2, 1, 1, 50}, draw, DType::boolean)),
        blocks(bytes({4, 6}, draw, DType::boolean), 1 + draw.below(12)),
        mask("traced", trace),
        mask("plain", [](int batch, int head, std::int64_t q,
                         std::int64_t k) noexcept { return (batch + head + q + k) % 3 != 0; }),
    };
    const auto pick = [&] {
      return masks[static_cast<std::size_t>(draw.below(static_cast<std::int64_t>(masks.size())))];
    };
    AttentionSpec spec;
    switch (seed < masks.size() ? 3 : draw.below(3)) {
      case 0:
        spec.mask = pick() & (pick() | pick());
        break;
      case 1:
        spec.mask = !(pick() & pick());
        break;
      case 2:
        spec.mask = (pick() | !pick()) & pick();
        break;
      default:
        spec.mask = masks[seed];
    }
    const Rules rules(spec, {}, false);
    const Sample sample(draw, rules.program().scratch, seed % 50 == 49);
    std::vector<float> scores = sample.scores;
    kernels.mask(rules.program(), sample.strip, scores.data());
    const std::string what = format("seed {}, {}, {}", seed, spec.mask, sample.text());
    for (int r = 0; r < sample.strip.rows; ++r)
      for (int c = 0; c < sample.strip.columns; ++c) {
        const Point point = sample.point(r, c);
        const bool allowed = spec.mask.allows(point.batch, point.head, point.query, point.key);
        ASSERT_EQ(scores[sample.at(r, c)],
                  allowed ? sample.scores[sample.at(r, c)] : -std::numeric_limits<float>::infinity())
            << what << " at " << point.query << ", " << point.key;
      }
    sample.expect_padding(scores, what);
  }
}

TEST_P(ProgramInSet, KeepsInfinitiesAndWhatIsNoNumber) {
  AttentionSpec spec;
  const RuleKernels& kernels = rule_kernels(GetParam());
  const float infinity = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  const auto check = [&](auto function) {
    spec.rule = score("edge", function);
    const Rules rules(spec, {}, true);
    Draw draw(1);
    Sample sample(draw, rules.program().scratch);
    sample.strip.rows = 1;
    sample.strip.columns = 16;
    const float edges[16] = {0,    -0.0f, infinity, -infinity, nan, 1,    -1, 100,
                             -100, 1e30f, -1e30f,   1e-30f,    3,   0.5f, 2,  -2};
    std::vector<float> scores(edges, edges + 16);
    kernels.score(rules.program(), sample.strip, scores.data(), nullptr);
    for (int i = 0; i < 16; ++i)
      expect_near(scores[static_cast<std::size_t>(i)], Terms({spec.rule.formula()}).value({0, 0, 0, 0, edges[i]}),
                  format("{} of {}", spec.rule, edges[i]));
  };
  check([](auto s, const auto&) noexcept { return exp(s); });
  check([](auto s, const auto&) noexcept { return log(s); });
  check([](auto s, const auto&) noexcept { return sqrt(s); });
  check([](auto s, const auto&) noexcept { return tanh(s); });
  check([](auto s, const auto&) noexcept { return floor(s); });
  check([](auto s, const auto&) noexcept { return 3 * tanh(s / 3); });
  check([](auto s, const auto&) noexcept { return where(s != s, 7, -s); });
}

INSTANTIATE_TEST_SUITE_P(Available, ProgramInSet, testing::ValuesIn(kernels::available()),
                         [](const auto& set) { return std::string(name_of(set.param)); });

TEST(Program, ComputesOnceWhatDoesNotVary) {
  AttentionSpec spec;
  spec.rule = score("alibi",
                    [](auto s, const auto& at) noexcept { return s - Parameter(0)(at.head) * abs(at.query - at.key); });
  const Rules rules(spec, {Tensor({4})}, true);
  for (const RowCode& code : rules.program().score) EXPECT_EQ(code.ends[3] - code.ends[2], 1);  // one for each pair
  EXPECT_TRUE(rules.program().derivative_is_one);
  spec.rule = score(
      "cap", [](auto s, const auto& at) noexcept { return Parameter(0)(at.head) * tanh(s / Parameter(0)(at.head)); });
  const Rules cap(spec, {Tensor({4})}, true);
  for (const RowCode& code : cap.program().score) EXPECT_EQ(code.ends[3] - code.ends[2], 1);
  spec.rule = {};
  spec.mask = documents({1, 1, 2, 2});
  const Rules same(spec, {}, false);
  for (const RowCode& code : same.program().mask) EXPECT_EQ(code.ends[3] - code.ends[2], 1);
}

TEST(Program, NamesParametersThatDoNotFit) {
  AttentionSpec spec;
  spec.rule = score("mine", [](auto s, const auto& at) noexcept { return s + Parameter(1)(at.head, at.key); });
  const auto message = [&](const std::vector<Tensor>& parameters) -> std::string {
    try {
      const Rules rules(spec, parameters, true);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(message({Tensor({2})}), "attention: the score rule reads parameter 1, the problem has 1");
  EXPECT_EQ(message({Tensor({2}), Tensor({3})}),
            "attention: parameter 1 is float32 [3], the score rule looks it up by 2 indices; expected float32 with one "
            "dimension each, none of them 0");
  EXPECT_EQ(message({Tensor({2}), Tensor({3, 4})}), "");
}

}  // namespace

}  // namespace heed::attention
