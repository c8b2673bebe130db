#include <gtest/gtest.h>
#include <heed/pass.h>

#include "formats/test_files.h"
#include "support/gradients.h"

namespace heed::test {

namespace {

struct Machine {
  Arena arena{std::int64_t{1} << 28};
  ThreadPool pool{2};
};

Weight weight_of(Tensor values) {
  Weight weight(values.shape());
  weight.set(std::move(values));
  return weight;
}

void expect_same(const Tensor& a, const Tensor& b) {
  ASSERT_EQ(a.shape(), b.shape());
  for (std::int64_t i = 0; i < a.elements(); ++i) ASSERT_EQ(a.floats()[i], b.floats()[i]) << i;
}

TEST(Pass, AWeightUsedTwiceAddsItsGradients) {
  Machine machine;
  const Weight weight = weight_of(draw({6, 6}, RandomKey{1}));
  const Tensor x = draw({5, 6}, RandomKey{2}), dy = draw({5, 6}, RandomKey{3});
  WeightGradients gradients({weight});
  gradients.clear();
  Pass pass(machine.arena, machine.pool, training_options(&gradients));
  const Var input = pass.input(x);
  pass.backward(linear(linear(input, pass.use(weight), Var()), pass.use(weight), Var()), dy);

  // With two weights of the same values each gets a part.
  const Weight first = weight_of(weight.value().clone()), second = weight_of(weight.value().clone());
  WeightGradients parts({first, second});
  parts.clear();
  Pass apart(machine.arena, machine.pool, training_options(&parts));
  apart.backward(linear(linear(apart.input(x), apart.use(first), Var()), apart.use(second), Var()), dy);
  const Array<double> sum = reference::add(array_of<double>(parts.of(first)), array_of<double>(parts.of(second)));
  expect_array(gradients.of(weight), sum, unit_roundoff(DType::float32), 8.0, "gradient");
}

TEST(Pass, TiedWeightsAreOne) {
  const Weight weight({4, 3}), tied = weight, other({4, 3});
  const WeightGradients gradients({weight, tied, other});
  EXPECT_EQ(gradients.of(weight).data(), gradients.of(tied).data());
  EXPECT_NE(gradients.of(weight).data(), gradients.of(other).data());
  EXPECT_EQ(gradients.buffer().elements(), 2 * 16) << "each weight's begins at a whole cache line";
}

TEST(Pass, FrozenWeightsPassGradientsToTheirInput) {
  Machine machine;
  Weight first = weight_of(draw({6, 6}, RandomKey{1})), second = weight_of(draw({4, 6}, RandomKey{2}));
  const Tensor x = draw({5, 6}, RandomKey{3}), dy = draw({5, 4}, RandomKey{4});
  const auto gradient_of_first = [&] {
    WeightGradients gradients({first, second});
    gradients.clear();
    Pass pass(machine.arena, machine.pool, training_options(&gradients));
    pass.backward(linear(linear(pass.input(x), pass.use(first), Var()), pass.use(second), Var()), dy);
    gradients.finish();
    return std::pair(gradients.of(first).clone(), gradients.of(second).clone());
  };
  const Tensor before = gradient_of_first().first;
  second.freeze(true);
  const auto [after, frozen] = gradient_of_first();
  expect_same(before, after);
  expect_same(frozen, Tensor(frozen.shape()));
}

TEST(Pass, WeightsThatAreNotAskedForGetNoGradient) {
  Machine machine;
  const Weight asked = weight_of(draw({6, 6}, RandomKey{1})), other = weight_of(draw({6, 6}, RandomKey{2}));
  WeightGradients gradients({asked});
  gradients.clear();
  Pass pass(machine.arena, machine.pool, training_options(&gradients));
  const Var x = pass.input(draw({5, 6}, RandomKey{3}));
  EXPECT_TRUE(pass.recording({&x}) == false);
  pass.backward(linear(linear(x, pass.use(asked), Var()), pass.use(other), Var()), draw({5, 6}, RandomKey{4}));
  EXPECT_FALSE(gradients.of(other));
  EXPECT_NE(gradients.of(asked).floats()[0], 0.0f);
}

TEST(Pass, FinishWritesZerosWhereNoPassCame) {
  Machine machine;
  const Weight used = weight_of(draw({6, 6}, RandomKey{1})), unused({6, 6});
  WeightGradients gradients({used, unused});
  gradients.buffer().fill(7.0f);
  gradients.clear();
  Pass pass(machine.arena, machine.pool, training_options(&gradients));
  pass.backward(linear(pass.input(draw({5, 6}, RandomKey{3})), pass.use(used), Var()), draw({5, 6}, RandomKey{4}));
  gradients.finish();
  expect_same(gradients.of(unused), Tensor({6, 6}));
  EXPECT_NE(gradients.of(used).floats()[0], 7.0f);
}

TEST(Pass, ValuesThatTookNoPartHaveGradientsOfZero) {
  Machine machine;
  Pass pass(machine.arena, machine.pool);
  const Var x = pass.input(draw({2, 3}, RandomKey{1}), nullptr, true),
            aside = pass.input(Tensor({2, 2}), nullptr, true);
  pass.backward(x + x, draw({2, 3}, RandomKey{2}));
  expect_same(pass.gradient_of(aside), Tensor({2, 2}));
  expect_error("gradient_of: this value wanted no gradient", [&] { pass.gradient_of(pass.input(Tensor({2, 2}))); });
}

/// Gradients that are passed on share memory: nobody may add into what another still reads.
TEST(Pass, DiamondsOfResidualsKeepTheirGradientsApart) {
  const auto op = [](const Vars& x) {
    const Var a = x[0] + x[1], b = a + x[0], c = linear_add(b, x[2], Var(), a);
    return c + (add_dropout(b, c, 0.0f) + activate(a, ActivationKind::tanh));
  };
  const auto expected = [](const auto& x) {
    const auto a = reference::add(x[0], x[1]), b = reference::add(a, x[0]),
               c = reference::add(reference::linear(b, x[2]), a);
    return reference::add(c, reference::add(reference::add(b, c), reference::activate(a, ActivationKind::tanh)));
  };
  expect_operator({{{4, 6}, {4, 6}, {6, 6}}}, op, expected);
}

TEST(Pass, LeavesTheCallersGradientAsItWas) {
  Machine machine;
  Pass pass(machine.arena, machine.pool);
  const Tensor dy = draw({2, 3}, RandomKey{2}), copy = dy.clone();
  const Var x = pass.input(draw({2, 3}, RandomKey{1}), nullptr, true);
  pass.backward(x + activate(x + x, ActivationKind::silu), dy);
  expect_same(dy, copy);
}

TEST(Pass, AddsTheGradientsOfSeveralLosses) {
  Machine machine;
  const Weight weight = weight_of(draw({5, 6}, RandomKey{1}));
  const std::vector<std::int32_t> targets{1, 0, 4};
  const Tensor x = draw({3, 6}, RandomKey{2});
  const auto gradients_of = [&](int losses) {
    WeightGradients gradients({weight});
    gradients.clear();
    Pass pass(machine.arena, machine.pool, training_options(&gradients));
    const Var input = pass.input(x, nullptr, true);
    std::vector<Loss> all;
    for (int i = 0; i < losses; ++i) all.push_back(cross_entropy(input, pass.use(weight), Var(), targets));
    pass.backward(all);
    return std::pair(gradients.of(weight).clone(), pass.gradient_of(input).clone());
  };
  const auto one = gradients_of(1), two = gradients_of(2);
  for (const auto& [single, twice] : {std::pair(one.first, two.first), std::pair(one.second, two.second)})
    for (std::int64_t i = 0; i < single.elements(); ++i) EXPECT_EQ(2.0f * single.floats()[i], twice.floats()[i]);
}

TEST(Pass, TwoMicroBatchesAddUpToTheBatch) {
  Machine machine;
  const Weight inner = weight_of(draw({8, 6}, RandomKey{1})), outer = weight_of(draw({5, 8}, RandomKey{2}));
  const std::vector<std::int32_t> targets{1, 0, 4, 2, 2, 3, 1};
  const Tensor x = draw({7, 6}, RandomKey{3});
  const auto gradients_of = [&](const std::vector<std::int64_t>& cuts) {
    auto gradients = std::make_unique<WeightGradients>(std::vector<Weight>{inner, outer});
    gradients->clear();
    for (std::size_t i = 1; i < cuts.size(); ++i) {
      Pass pass(machine.arena, machine.pool, training_options(gradients.get()));
      const std::span<const std::int32_t> part(targets.begin() + cuts[i - 1], targets.begin() + cuts[i]);
      const Var hidden = linear(pass.input(x.slice(cuts[i - 1], cuts[i])), pass.use(inner), Var());
      pass.backward(cross_entropy(activate(hidden, ActivationKind::gelu), pass.use(outer), Var(), part));
    }
    return gradients;
  };
  const auto whole = gradients_of({0, 7}), parts = gradients_of({0, 3, 7});
  for (const Weight& weight : {inner, outer})
    expect_array(parts->of(weight), array_of<double>(whole->of(weight)), unit_roundoff(DType::float32), 8.0,
                 "gradient");
}

TEST(Pass, LeavesTheArenaEmpty) {
  Machine machine;
  const Weight weight = weight_of(draw({6, 6}, RandomKey{1}));
  WeightGradients gradients({weight});
  {
    Pass pass(machine.arena, machine.pool, training_options(&gradients));
    const Var x = pass.input(draw({5, 6}, RandomKey{2}), nullptr, true);
    const Var y = activate(linear(x, pass.use(weight), Var()), ActivationKind::gelu);
    EXPECT_GT(machine.arena.live(), 0);
    pass.backward(y, draw({5, 6}, RandomKey{3}));
  }
  EXPECT_EQ(machine.arena.live(), 0);
  EXPECT_EQ(machine.arena.used(), 0);
  {
    Pass pass(machine.arena, machine.pool, training_options(&gradients));  // no backward: the tape goes with the pass
    activate(linear(pass.input(draw({5, 6}, RandomKey{2})), pass.use(weight), Var()), ActivationKind::gelu);
  }
  EXPECT_EQ(machine.arena.live(), 0);
}

TEST(Pass, AValueUsedAfterItsPassSaysSo) {
  Machine machine;
  Var y;
  Tensor kept;
  {
    Pass pass(machine.arena, machine.pool);
    y = activate(pass.input(draw({2, 3}, RandomKey{1})), ActivationKind::relu);
    kept = y.keep();
  }
  expect_error("a value is used after its pass has ended; keep() copies a value out before",
               [&] { activate(y, ActivationKind::relu); });
  expect_same(kept, y.value());
}

TEST(Pass, ChecksTheShapeOfTheGradientItStartsFrom) {
  Machine machine;
  Pass pass(machine.arena, machine.pool);
  const Var x = pass.input(Tensor({2, 3}), nullptr, true);
  expect_error("backward: the gradient is [3, 2], the value is [2, 3]", [&] { pass.backward(x + x, Tensor({3, 2})); });
}

TEST(Pass, WatchesEveryResultWithTheWeightBeforeIt) {
  Machine machine;
  const Weight weight = weight_of(draw({6, 6}, RandomKey{1}));
  std::vector<std::pair<Shape, const Weight::Record*>> seen;
  PassOptions options;
  options.watch = [&](const Tensor& result, const Weight::Record* last) { seen.emplace_back(result.shape(), last); };
  Pass pass(machine.arena, machine.pool, options);
  const Var x = activate(pass.input(Tensor({2, 6})), ActivationKind::relu);
  linear(x, pass.use(weight), Var());
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[0], std::pair(Shape({2, 6}), static_cast<const Weight::Record*>(nullptr)));
  EXPECT_EQ(seen[1], std::pair(Shape({2, 6}), weight.identity()));
}

TEST(State, RollsBackNoFurtherThanItsStart) {
  State state(1);
  state.length = 5;
  state.roll_back(3);
  EXPECT_EQ(state.length, 3);
  expect_error("roll_back: 4 tokens asked for, the state has 3", [&] { state.roll_back(4); });
  expect_error("roll_back: -1 tokens asked for, the state has 3", [&] { state.roll_back(-1); });
}

}  // namespace

}  // namespace heed::test
