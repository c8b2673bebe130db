#include <gtest/gtest.h>
#include <heed/transformer.h>

#include "formats/test_files.h"
#include "support/model_gradients.h"

namespace heed::test {

namespace {

TEST(Transformer, EveryLayoutsGradientEqualsCentralDifferences) {
  Machine machine;
  for (const char* kind : {"decoder", "encoder", "encoder-decoder"})
    for (const char* position : {"sinusoidal", "learned", "rotary", "alibi", "t5", "none"})
      for (const char* norm_place : {"pre", "post"})
        for (const char* norm : {"layer", "rms"})
          for (const char* activation : {"relu", "gelu", "gelu_tanh", "silu"}) {
            ModelConfig config = tiny_transformer_config(kind);
            config.position = position;
            config.norm_place = norm_place;
            config.norm = norm;
            config.activation = activation;
            expect_gradient(machine, config);
          }
}

TEST(Transformer, EveryOptionsGradientEqualsCentralDifferences) {
  Machine machine;
  ModelConfig config = tiny_transformer_config("encoder-decoder");
  config.gated = true;
  config.key_value_heads = 1;
  config.head_width = 5;
  config.decoder_layers = 1;
  config.window = 2;
  config.embedding_scale = config.embedding_norm = true;
  config.tied = "all";
  config.activation_dropout = 0.2;
  expect_gradient(machine, config);
  config.bias = config.final_norm = false;
  config.tied = "none";
  config.dropout = 0.0;
  expect_gradient(machine, config);
  config = tiny_transformer_config("encoder");
  for (const char* pooling : {"mean", "first", "max", "attention"}) {
    config.pooling = pooling;
    expect_gradient(machine, config);
  }
}

TEST(Transformer, BfloatGradientsAreThoseOfFloatWithinTheirRounding) {
  Machine machine;
  for (const char* kind : {"decoder", "encoder", "encoder-decoder"}) {
    ModelConfig config = tiny_transformer_config(kind);
    const auto model = tiny_transformer(config);
    const auto gradients_in = [&](Precision precision) {
      auto gradients = std::make_unique<WeightGradients>(weights_of(*model));
      gradients->clear();
      Pass pass(machine.arena, machine.pool, training_options(gradients.get(), precision, RandomKey{5}));
      pass.backward(tiny_loss(*model, kind, pass));
      gradients->finish();
      return gradients;
    };
    const auto exact = gradients_in(Precision::float32), rounded = gradients_in(Precision::bfloat16);
    double difference = 0.0, norm = 0.0;
    for (std::int64_t i = 0; i < exact->buffer().elements(); ++i) {
      const double a = exact->buffer().floats()[i], b = rounded->buffer().floats()[i];
      difference += (a - b) * (a - b);
      norm += a * a;
    }
    EXPECT_GT(difference, 0.0);
    EXPECT_LE(std::sqrt(difference / norm), 8.0 * unit_roundoff(DType::bfloat16)) << kind;
  }
}

TEST(Transformer, ADecoderSeesNothingAhead) {
  Machine machine;
  for (const char* position : {"sinusoidal", "rotary", "alibi", "t5"}) {
    ModelConfig config = tiny_transformer_config("decoder");
    config.position = position;
    const auto model = tiny_transformer(config);
    Pass pass(machine.arena, machine.pool);
    const std::vector<std::int32_t> ids{1, 2, 3, 4, 5}, others{1, 2, 3, 9, 9};
    const Var a = model->decode(pass, {ids, sequences_of_lengths({5})}, Var());
    const Var b = model->decode(pass, {others, sequences_of_lengths({5})}, Var());
    for (std::int64_t i = 0; i < 3 * 12; ++i) EXPECT_EQ(a.value().floats()[i], b.value().floats()[i]) << position;
    EXPECT_NE(a.value().floats()[3 * 12], b.value().floats()[3 * 12]);
  }
}

TEST(Transformer, SequencesOfABatchDoNotSeeEachOther) {
  Machine machine;
  const auto model = tiny_transformer(tiny_transformer_config("encoder"));
  Pass pass(machine.arena, machine.pool);
  const std::vector<std::int32_t> both{1, 2, 3, 4, 5}, second{4, 5};
  const Var together = model->encode(pass, {both, sequences_of_lengths({3, 2})});
  const Var alone = model->encode(pass, {second, sequences_of_lengths({2})});
  expect_array(together.value().slice(3, 5), array_of<double>(alone.value()), unit_roundoff(DType::float32), 16.0,
               "rows");
}

TEST(Transformer, SummarisesByThePoolingOfItsRecipe) {
  Machine machine;
  for (const auto& [name, kind] :
       {std::pair("mean", Pooling::mean), {"first", Pooling::first}, {"max", Pooling::max}}) {
    ModelConfig config = tiny_transformer_config("encoder");
    config.pooling = name;
    const auto model = tiny_transformer(config);
    Pass pass(machine.arena, machine.pool);
    const SequencesPointer sequences = sequences_of_lengths({2, 5});
    const Tensor hidden = draw({7, 12}, RandomKey{3});
    expect_array(model->summarise(pass.input(hidden, sequences)).value(),
                 reference::pool(array_of<double>(hidden), kind, *sequences), unit_roundoff(DType::float32), 4.0, name);
  }
}

TEST(Transformer, AttentionPoolingIsAMeanThatALearnedQueryWeighs) {
  Machine machine;
  ModelConfig config = tiny_transformer_config("encoder");
  config.pooling = "attention";
  const auto model = tiny_transformer(config);
  Array<double> query, weight, bias;
  for (auto& [name, values] : model->weights()) {
    if (name == "pooling.query") query = array_of<double>(values.value());
    if (name == "pooling.key_value.weight") weight = array_of<double>(values.value());
    if (name == "pooling.key_value.bias") bias = array_of<double>(values.value());
  }
  const SequencesPointer sequences = sequences_of_lengths({2, 5}), one_each = sequences_of_lengths({1, 1});
  const Tensor hidden = draw({7, 12}, RandomKey{3});
  const Array<double> both = reference::linear(array_of<double>(hidden), weight, bias);
  AttentionOptions options;
  options.head_width = 12;
  Array<double> queries(2, 12);
  for (std::int64_t i = 0; i < 24; ++i) queries.values[static_cast<std::size_t>(i)] = query[i % 12];
  const Array<double> expected = reference::attention(
      queries, reference::columns(both, 0, 12), reference::columns(both, 12, 12), {}, *one_each, *sequences, options);
  Pass pass(machine.arena, machine.pool);
  expect_array(model->summarise(pass.input(hidden, sequences)).value(), expected, unit_roundoff(DType::float32), 32.0,
               "summary");
}

TEST(Transformer, ADecoderCannotEncodeNorAnEncoderDecode) {
  Machine machine;
  Pass pass(machine.arena, machine.pool);
  const std::vector<std::int32_t> ids{1};
  const TokenRows rows{ids, sequences_of_lengths({1})};
  expect_error("encode: a decoder-only model has no encoder",
               [&] { tiny_transformer(tiny_transformer_config("decoder"))->encode(pass, rows); });
  expect_error("decode: an encoder-only model has no decoder",
               [&] { tiny_transformer(tiny_transformer_config("encoder"))->decode(pass, rows, Var()); });
}

TEST(Transformer, NamesKeysThatDoNotFitTogether) {
  ModelConfig config = tiny_transformer_config("encoder-decoder");
  config.width = 13;
  expect_error("model.width is 13 and model.heads is 2: the width must be a multiple of the heads",
               [&] { tiny_transformer(config); });
  config = tiny_transformer_config("encoder-decoder");
  config.heads = 4;
  config.key_value_heads = 3;
  expect_error("model.heads is 4 and model.key_value_heads is 3: the latter must divide the former",
               [&] { tiny_transformer(config); });
  config = tiny_transformer_config("encoder-decoder");
  config.tied = "all";
  expect_error("model.tied is \"all\", but the vocabularies have 5 and 6 entries; set vocabulary.shared = true",
               [&] { make_model(config, {.source = 5, .target = 6}); });
  expect_error("a model with a decoder needs a vocabulary for its output", [&] { make_model(config, {.source = 5}); });
  config.kind = "encoder";
  expect_error("a model with an encoder needs a vocabulary for its input", [&] { make_model(config, {}); });
  expect_error("an encoder needs at least one class to tell", [&] { make_model(config, {.source = 5}); });
}

}  // namespace

}  // namespace heed::test
