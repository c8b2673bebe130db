#include <gtest/gtest.h>
#include <heed/nn.h>

#include "formats/test_files.h"
#include "support/gradients.h"

namespace heed::test {

namespace {

struct Machine {
  Arena arena{std::int64_t{1} << 26};
  ThreadPool pool{1};
  Pass pass{arena, pool};
};

/// Random values for every weight of a module.
void draw_weights(auto& module) {
  std::uint64_t index = 0;
  visit_weights(
      module, [&](const std::string&, Weight& weight) { weight.set(draw(weight.shape(), RandomKey{++index}, 0.5f)); });
}

Array<double> values_of(const Weight& weight) { return weight ? array_of<double>(weight.value()) : Array<double>(); }

void expect_values(const Var& y, const Array<double>& expected) {
  expect_array(y.value(), expected, unit_roundoff(DType::float32), 32.0, "values");
}

TEST(Layers, LinearStartsWithinGlorotsBounds) {
  Linear layer(30, 20);
  visit_weights(layer, [](const std::string&, Weight& weight) { weight.initialise(RandomKey{1}); });
  const double bound = std::sqrt(6.0 / 50.0);
  double largest = 0.0;
  for (const double value : values_of(layer.weight).values) largest = std::max(largest, std::abs(value));
  EXPECT_LE(largest, bound * 1.000001);
  EXPECT_GT(largest, 0.98 * bound);
  for (const double value : values_of(layer.bias).values) EXPECT_EQ(value, 0.0);
}

TEST(Layers, LinearAddsABiasAndAResidual) {
  Machine machine;
  for (const bool with_bias : {true, false}) {
    Linear layer(6, 4, with_bias);
    draw_weights(layer);
    const Tensor x = draw({3, 6}, RandomKey{20}), residual = draw({3, 4}, RandomKey{21});
    const Array<double> product =
        reference::linear(array_of<double>(x), values_of(layer.weight), values_of(layer.bias));
    expect_values(layer(machine.pass.input(x)), product);
    expect_values(layer(machine.pass.input(x), machine.pass.input(residual)),
                  reference::add(product, array_of<double>(residual)));
  }
}

TEST(Layers, NormHasNoBiasWhenItIsRms) {
  Machine machine;
  Norm layer(NormKind::layer, 6, true, 1e-3f), rms(NormKind::rms, 6, true, 1e-3f);
  EXPECT_TRUE(layer.bias);
  EXPECT_FALSE(rms.bias);
  draw_weights(layer);
  draw_weights(rms);
  const Tensor x = draw({3, 6}, RandomKey{20});
  expect_values(layer(machine.pass.input(x)),
                reference::layer_norm(array_of<double>(x), values_of(layer.gain), values_of(layer.bias), 1e-3));
  expect_values(rms(machine.pass.input(x)), reference::rms_norm(array_of<double>(x), values_of(rms.gain), 1e-3));
}

TEST(Layers, MlpIsTwoProductsAroundAnActivation) {
  Machine machine;
  for (const bool gate : {false, true}) {
    Mlp mlp(6, 10, ActivationKind::silu, gate, true, 0.0f);
    draw_weights(mlp);
    const Tensor x = draw({3, 6}, RandomKey{20});
    const Array<double> inner =
        reference::linear(array_of<double>(x), values_of(mlp.up.weight), values_of(mlp.up.bias));
    const Array<double> active =
        gate ? reference::gated(inner, ActivationKind::silu) : reference::activate(inner, ActivationKind::silu);
    const Array<double> expected = reference::linear(active, values_of(mlp.down.weight), values_of(mlp.down.bias));
    const Var input = machine.pass.input(x);
    expect_values(mlp(input), expected);
    expect_values(mlp(input, input), reference::add(expected, array_of<double>(x)));
  }
}

AttentionShape shape_of(int key_value_heads) {
  AttentionShape shape;
  shape.width = 12;
  shape.heads = 4;
  shape.key_value_heads = key_value_heads;
  shape.head_width = 4;
  return shape;
}

AttentionOptions options_of(const AttentionShape& shape) {
  AttentionOptions options;
  options.spec = shape.spec;
  options.heads = shape.heads;
  options.key_value_heads = shape.key_value_heads;
  options.head_width = shape.head_width;
  options.rotated = shape.rotated;
  if (shape.alibi) options.slopes = alibi_slopes(shape.heads);
  return options;
}

TEST(Layers, SelfAttentionProjectsAttendsAndProjectsBack) {
  Machine machine;
  const SequencesPointer sequences = sequences_of_lengths({2, 5});
  const Tensor x = draw({7, 12}, RandomKey{20});
  for (const int variant : {0, 1, 2}) {
    AttentionShape shape = shape_of(variant == 0 ? 4 : 2);
    shape.spec.mask = causal();
    if (variant == 1) shape.rotated = 4;
    shape.alibi = variant == 2;
    SelfAttention layer(shape);
    draw_weights(layer);
    const Array<double> projected =
        reference::linear(array_of<double>(x), values_of(layer.qkv.weight), values_of(layer.qkv.bias));
    const Array<double> attended = reference::self_attention(projected, {}, *sequences, options_of(shape));
    const Array<double> expected = reference::linear(attended, values_of(layer.out.weight), values_of(layer.out.bias));
    const Var input = machine.pass.input(x, sequences);
    expect_values(layer(input), expected);
    expect_values(layer(input, {}, input), reference::add(expected, array_of<double>(x)));
  }
}

TEST(Layers, CrossAttentionLooksAtAMemoryGivenOrRemembered) {
  const SequencesPointer targets = sequences_of_lengths({2, 3}), sources = sequences_of_lengths({4, 1});
  const Tensor x = draw({5, 12}, RandomKey{20}), memory = draw({5, 12}, RandomKey{21});
  AttentionShape shape = shape_of(2);
  shape.slot = 0;
  CrossAttention layer(shape);
  draw_weights(layer);
  const Array<double> query =
      reference::linear(array_of<double>(x), values_of(layer.query.weight), values_of(layer.query.bias));
  const Array<double> both =
      reference::linear(array_of<double>(memory), values_of(layer.key_value.weight), values_of(layer.key_value.bias));
  const Array<double> attended = reference::attention(
      query, reference::columns(both, 0, 8), reference::columns(both, 8, 8), {}, *targets, *sources, options_of(shape));
  const Array<double> expected = reference::linear(attended, values_of(layer.out.weight), values_of(layer.out.bias));

  Machine machine;
  expect_values(layer(machine.pass.input(x, targets), machine.pass.input(memory, sources)), expected);

  std::vector<State> states(2, State(1));
  PassOptions options;
  options.states = {&states[0], &states[1]};
  for (int repeat = 0; repeat < 2; ++repeat) {  // what was remembered before is forgotten
    Pass pass(machine.arena, machine.pool, options);
    layer.remember(pass.input(memory, sources));
  }
  Pass pass(machine.arena, machine.pool, options);
  expect_values(layer(pass.input(x, targets), Var()), expected);
}

/// What one layer was asked to attend to.
struct Seen : Probe {
  std::vector<std::string> names;
  std::vector<Tensor> weights;
  void attention(const std::string& name, const AttentionProblem& problem, ThreadPool&) override {
    names.push_back(name);
    weights.push_back(attention_weights(problem, 0, 0));
  }
};

TEST(Layers, AProbeIsShownTheAttentionOfEachLayerByName) {
  Machine machine;
  AttentionShape shape = shape_of(4);
  shape.name = "encoder.layers.0.attention";
  SelfAttention layer(shape);
  draw_weights(layer);
  Seen seen;
  PassOptions options;
  options.probe = &seen;
  Pass pass(machine.arena, machine.pool, options);
  layer(pass.input(draw({3, 12}, RandomKey{20}), sequences_of_lengths({3})));
  EXPECT_EQ(seen.names, std::vector<std::string>{"encoder.layers.0.attention"});
  ASSERT_EQ(seen.weights.size(), 1u);
  for (int i = 0; i < 3; ++i) {
    double sum = 0.0;
    for (int j = 0; j < 3; ++j) sum += seen.weights[0].floats()[i * 3 + j];
    expect_close(sum, 1.0, 1.0, 4.0);
  }
}

}  // namespace

}  // namespace heed::test
