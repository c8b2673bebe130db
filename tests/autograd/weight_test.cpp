#include <gtest/gtest.h>
#include <heed/weight.h>

#include "formats/test_files.h"
#include "support/gradients.h"

namespace heed::test {

namespace {

TEST(Weight, HasNoValueUntilItGetsOne) {
  Weight weight({2, 3});
  EXPECT_FALSE(weight.has_value());
  expect_error("a weight of shape [2, 3] is used before it has values: initialise or load it first",
               [&] { weight.value(); });
  expect_error("a weight of shape [2, 3] cannot take values of shape [3, 2]", [&] { weight.set(Tensor({3, 2})); });
  Arena arena(1 << 20);
  ThreadPool pool(1);
  Pass pass(arena, pool);
  expect_error("a layer uses a weight that was never declared", [&] { pass.use(Weight()); });
}

TEST(Weight, StartsAsItsDeclarationSays) {
  Weight zeros({1000}), ones({1000}, {Initial::Kind::ones, 0.0f}), normals({1000}, {Initial::Kind::normal, 0.5f}),
      uniforms({1000}, {Initial::Kind::uniform, 0.5f});
  for (Weight* weight : {&zeros, &ones, &normals, &uniforms}) weight->initialise(RandomKey{1});
  double square = 0.0, largest = 0.0;
  for (int i = 0; i < 1000; ++i) {
    EXPECT_EQ(zeros.value().floats()[i], 0.0f);
    EXPECT_EQ(ones.value().floats()[i], 1.0f);
    square += std::pow(normals.value().floats()[i], 2);
    largest = std::max(largest, std::abs(static_cast<double>(uniforms.value().floats()[i])));
  }
  EXPECT_NEAR(std::sqrt(square / 1000.0), 0.5, 0.05);
  EXPECT_LE(largest, 0.5);
  EXPECT_GT(largest, 0.49);
}

TEST(Weight, StartsWithSquareBlocksThatAreOrthogonal) {
  constexpr std::int64_t n = 19, blocks = 3;
  Weight weight({blocks * n, n}, {Initial::Kind::orthogonal, 2.0f});
  weight.initialise(RandomKey{1});
  const float* value = weight.value().floats();
  EXPECT_NE(value[0], value[n * n]);
  for (std::int64_t block = 0; block < blocks; ++block)
    for (std::int64_t i = 0; i < n; ++i)
      for (std::int64_t j = 0; j < n; ++j) {
        double product = 0.0;
        for (std::int64_t k = 0; k < n; ++k)
          product +=
              static_cast<double>(value[(block * n + i) * n + k]) * static_cast<double>(value[(block * n + j) * n + k]);
        EXPECT_NEAR(product, i == j ? 4.0 : 0.0, 1e-5);
      }
}

TEST(Weight, CopiesShareValuesAndVersion) {
  Weight weight({3}), copy = weight;
  const std::uint64_t before = copy.version();
  weight.initialise(RandomKey{1});
  EXPECT_EQ(copy.value().data(), weight.value().data());
  EXPECT_GT(copy.version(), before);
  copy.freeze(true);
  EXPECT_TRUE(weight.frozen());
}

TEST(Weight, ChangesAnOwnCopyOfWhatOthersHold) {
  Weight weight({3});
  weight.initialise(RandomKey{1});
  const void* own = weight.value().data();
  const std::uint64_t version = weight.version();
  EXPECT_EQ(weight.change().data(), own);
  EXPECT_GT(weight.version(), version);

  const Tensor held = weight.value();
  weight.change().fill(5.0f);
  EXPECT_EQ(held.floats()[0], 0.0f);
  EXPECT_EQ(weight.value().floats()[0], 5.0f);

  float foreign[] = {1.0f, 2.0f, 3.0f};
  weight.set(Tensor::borrow(foreign, {3}));
  weight.change().fill(7.0f);
  EXPECT_EQ(foreign[0], 1.0f);

  weight.set(Tensor::from({1.5f, 2.5f, 3.5f}).to(DType::bfloat16));
  EXPECT_EQ(weight.change().dtype(), DType::float32);
  EXPECT_EQ(weight.value().floats()[2], 3.5f);
}

struct Inner {
  Weight gain, none;
  static void visit(auto& self, auto&& f) { f("gain", self.gain), f("none", self.none); }
};
struct Outer {
  std::vector<Inner> parts;
  std::optional<Inner> there, missing;
  Weight table;
  static void visit(auto& self, auto&& f) {
    f("parts", self.parts), f("there", self.there), f("missing", self.missing), f("table", self.table);
  }
};

TEST(Weight, IsVisitedByTheNameOfItsPath) {
  Outer outer;
  outer.parts.resize(2);
  for (Inner& part : outer.parts) part.gain = Weight({1});
  outer.there.emplace();
  outer.there->gain = outer.parts[0].gain;  // tied: met under each of its names
  outer.table = Weight({2});
  std::vector<std::string> names;
  visit_weights(outer, [&](const std::string& name, Weight&) { names.push_back(name); });
  EXPECT_EQ(names, (std::vector<std::string>{"parts.0.gain", "parts.1.gain", "there.gain", "table"}));
}

}  // namespace

}  // namespace heed::test
