#include <gtest/gtest.h>
#include <heed/attention.h>

#include <cmath>
#include <limits>

#include "attention/adjoints.h"
#include "attention/terms.h"

namespace heed::attention {

namespace {

TEST(Rule, PrintsWithTheFewestParentheses) {
  EXPECT_EQ(score("distance", [](auto s, const auto& at) noexcept { return s - 0.5f * abs(at.query - at.key); }).text(),
            "distance: score - 0.5 * abs(query - key)");
  EXPECT_EQ(score("r", [](auto s, const auto& at) noexcept { return (s - (at.query - at.key)) * 2 / -s; }).text(),
            "r: (score - (query - key)) * 2 / -score");
  EXPECT_EQ(score("r",
                  [](auto s, const auto& at) noexcept {
                    return where(at.query > at.key && !(at.head == 1 || at.batch != 2), tanh(s) * 0.1f, max(s, -3));
                  })
                .text(),
            "r: where(key < query && !(head == 1 || batch != 2), tanh(score) * 0.1, max(score, -3))");
  EXPECT_EQ(score("r", [](auto s, const auto&) noexcept { return s * -2 - (s - -1) / (s * 3); }).text(),
            "r: score * -2 - (score + 1) / (score * 3)");
  const Table table(Tensor({2, 3}));
  EXPECT_EQ(
      score("r", [&](auto s, const auto& at) noexcept { return s + Parameter(1)(at.head) * table(at.head, at.key); })
          .text(),
      "r: score + parameter1(head) * table[2, 3](head, key)");
  EXPECT_EQ(ScoreRule().text(), "score");
}

TEST(Rule, FoldsConstantsAndIdentities) {
  const auto text = [](auto function) { return score("r", function).text(); };
  EXPECT_EQ(text([](auto s, const auto&) noexcept { return (s + 0) * 1 - exp(Number(0)) * (3 - 1); }), "r: score - 2");
  EXPECT_EQ(text([](auto s, const auto&) noexcept { return -(-s) / 1; }), "r: score");
  EXPECT_EQ(text([](auto s, const auto&) noexcept { return 0 - s; }), "r: -score");
  EXPECT_EQ(text([](auto s, const auto& at) noexcept { return where(Number(2) < 1 || at.key < 3, s, s); }), "r: score");
  EXPECT_EQ(text([](auto s, const auto& at) noexcept { return where(Number(1) < 2, at.key, s); }), "r: key");
}

TEST(Rule, IsEqualWhenNameAndFormulaAre) {
  const auto slope = [](float factor) {
    return [factor](auto s, const auto& at) noexcept { return s - factor * abs(at.query - at.key); };
  };
  EXPECT_EQ(score("a", slope(0.5f)), score("a", slope(0.5f)));
  EXPECT_FALSE(score("a", slope(0.5f)) == score("a", slope(0.25f)));
  EXPECT_FALSE(score("a", slope(0.5f)) == score("b", slope(0.5f)));
  EXPECT_FALSE(score("a", slope(0.5f)) == ScoreRule());
  const auto with_table = [](Tensor values) {
    return score("t", [table = Table(values)](auto s, const auto& at) noexcept { return s + table(at.key); });
  };
  EXPECT_EQ(with_table(Tensor::from({1, 2})), with_table(Tensor::from({1, 2})));
  EXPECT_FALSE(with_table(Tensor::from({1, 2})) == with_table(Tensor::from({1, 3})));
}

TEST(Rule, OfSharedTermsStaysSmall) {
  const auto twice = [](auto s, const auto&) noexcept {
    for (int i = 0; i < 60; ++i) s = s + s;
    return s * 0x1p-60f;
  };
  const ScoreRule rule = score("doubled", twice);
  EXPECT_EQ(rule, score("doubled", twice));
  EXPECT_EQ(Terms({rule.formula()}).value({0, 0, 0, 0, 3.0}), 3.0);
  EXPECT_LT(rule.text().size(), 5000u);
}

/// Rules of the score, of parameter 0 [3], of parameter 1 [2, 5] and of everything else.
std::vector<ScoreRule> rules() {
  Tensor numbers({4, 3});
  for (std::int64_t i = 0; i < 12; ++i) numbers.floats()[i] = 0.25f * static_cast<float>(i) - 1;
  const Table table(numbers);
  const Parameter first(0), second(1);
  std::vector<ScoreRule> all;
  all.push_back(score("cap", [](auto s, const auto&) noexcept { return 3 * tanh(s / 3); }));
  all.push_back(
      score("slope", [=](auto s, const auto& at) noexcept { return s - first(at.head) * abs(at.query - at.key); }));
  all.push_back(
      score("relative", [=](auto s, const auto& at) noexcept { return s + second(at.head, at.key - at.query + 2); }));
  all.push_back(score("table", [=](auto s, const auto& at) noexcept {
    return s * table(at.query, at.key) + table(at.batch, at.head);
  }));
  all.push_back(score("smooth", [=](auto s, const auto& at) noexcept {
    return log(1 + exp(s * first(0))) / sqrt(2 + s * s) - exp(-abs(s)) * second(at.batch, at.head);
  }));
  all.push_back(score("pieces", [=](auto s, const auto& at) noexcept {
    return where(s < first(at.key), min(s, 0.5f) * s, max(s, first(at.query)) / (1 + s * s)) + where(s > 0, log(s), 0);
  }));
  all.push_back(
      score("floors", [=](auto s, const auto& at) noexcept { return s + floor(s) + floor(at.query / 3) * first(s); }));
  return all;
}

TEST(Rule, DerivativesEqualDifferences) {
  std::vector<Tensor> parameters = {Tensor({3}), Tensor({2, 5})};
  for (Tensor& tensor : parameters)
    for (std::int64_t i = 0; i < tensor.elements(); ++i) tensor.floats()[i] = 0.5f + 0.125f * static_cast<float>(i);
  for (const ScoreRule& rule : rules()) {
    const Terms terms({rule.formula()});
    const Adjoints adjoints = adjoints_of(rule.formula());
    for (const double s : {-1.7, -0.3, 0.2, 1.3})
      for (std::int64_t q = 0; q < 3; ++q)
        for (std::int64_t k = 0; k < 4; ++k) {
          const Point point{1, 1, q, k, s};
          Point less = point, more = point;
          const double step = 1e-6;
          less.score -= step;
          more.score += step;
          std::vector<ParameterShare> shares;
          const double derivative = terms.derivative(point, parameters, shares);
          EXPECT_NEAR(derivative, (terms.value(more, parameters) - terms.value(less, parameters)) / (2 * step), 1e-7)
              << rule.text();
          EXPECT_NEAR(Terms({adjoints.of_score}).value(point, parameters), derivative, 1e-12) << rule.text();
          for (int number = 0; number < 2; ++number)
            for (std::int64_t i = 0; i < parameters[static_cast<std::size_t>(number)].elements(); ++i) {
              double by_shares = 0;
              for (const ParameterShare& share : shares)
                if (share.number == number && share.element == i) by_shares += share.derivative;
              float& element = parameters[static_cast<std::size_t>(number)].floats()[i];
              const float kept = element;
              element = kept + 0x1p-10f;
              const double above = terms.value(point, parameters);
              element = kept - 0x1p-10f;
              const double below = terms.value(point, parameters);
              element = kept;
              EXPECT_NEAR(by_shares, (above - below) * 0x1p9, 2e-6) << rule.text() << " parameter " << number;
            }
        }
  }
}

TEST(Rule, ChoicesKeepInfinitiesOfWhatWasNotChosenAway) {
  const ScoreRule rule = score("log", [](auto s, const auto&) noexcept { return where(s > 0, log(s), 0); });
  std::vector<ParameterShare> shares;
  EXPECT_EQ(Terms({rule.formula()}).derivative({0, 0, 0, 0, 0.0}, {}, shares), 0.0);
  EXPECT_EQ(Terms({adjoints_of(rule.formula()).of_score}).value({0, 0, 0, 0, 0.0}), 0.0);
}

std::string message_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(Rule, SaysWhatCannotBe) {
  EXPECT_EQ(message_of([] {
              Table(Tensor({1, 1, 1, 1, 2}));
            }),
            "table: the tensor is [1, 1, 1, 1, 2], of 5 dimensions; a table has 1 to 4");
  EXPECT_EQ(message_of([] { Table(Tensor({3}, DType::float64)); }),
            "table: the tensor is float64; expected float32, int32, uint8 or boolean");
  EXPECT_EQ(message_of([] { Table(Tensor({0})); }),
            "table: the tensor is [0], without elements; a table has at least one");
  const Table table(Tensor({3, 4}));
  EXPECT_EQ(message_of([&] { score("mine", [&](auto s, const auto& at) noexcept { return s + table(at.key); }); }),
            "score rule 'mine': a table of shape [3, 4] is looked up by 1 index; give one a dimension");
  EXPECT_EQ(message_of([&] { mask("mine", [&](const auto& at) noexcept { return table(at.key) > 0; }); }),
            "mask rule 'mine': a table of shape [3, 4] is looked up by 1 index; give one a dimension");
  EXPECT_EQ(message_of([&] { mask("mine", [&](const auto& at) noexcept { return Parameter(0)(at.key) > 0; }); }),
            "mask rule 'mine' reads a parameter; a mask depends on positions and tables alone");
  EXPECT_EQ(message_of([&] { score("mine", [&](auto s, const auto&) noexcept { return s + Parameter(-1)(0); }); }),
            "score rule 'mine': parameter -1 has no tensor; numbers count from 0");
}

TEST(Rule, ThatMayThrowIsNoRule) {
  const auto safe = [](auto s, const auto&) noexcept { return s; };
  const auto throwing = [](auto s, const auto&) { return s; };
  const auto text = [](auto, const auto&) noexcept { return std::string(); };
  static_assert(ScoreFunction<decltype(safe)>);
  static_assert(!ScoreFunction<decltype(throwing)>);
  static_assert(!ScoreFunction<decltype(text)>);
  const auto safe_mask = [](const auto& at) noexcept { return at.key < 3; };
  const auto throwing_mask = [](const auto& at) { return at.key < 3; };
  const auto safe_function = [](int, int, std::int64_t, std::int64_t) noexcept { return true; };
  const auto throwing_function = [](int, int, std::int64_t, std::int64_t) { return true; };
  static_assert(MaskFunction<decltype(safe_mask)>);
  static_assert(!MaskFunction<decltype(throwing_mask)>);
  static_assert(PlainMaskFunction<decltype(safe_function)>);
  static_assert(!PlainMaskFunction<decltype(throwing_function)>);
}

}  // namespace

}  // namespace heed::attention
