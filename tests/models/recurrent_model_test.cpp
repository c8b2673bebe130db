#include <gtest/gtest.h>
#include <heed/optimizer.h>
#include <heed/recurrent_model.h>

#include <set>

#include "formats/test_files.h"
#include "support/model_gradients.h"

namespace heed::test {

namespace {

ModelConfig tiny_config(const std::string& kind, const std::string& network) {
  ModelConfig config = tiny_transformer_config(kind);
  config.network = network;
  config.width = 6;
  config.embedding_width = 5;
  config.tied = "none";
  return config;
}

TEST(RecurrentModel, EveryNetworksGradientEqualsCentralDifferences) {
  Machine machine;
  for (const char* kind : {"decoder", "encoder"})
    for (const char* network : {"lstm", "gru", "rnn"})
      for (const bool other : {false, true}) {
        ModelConfig config = tiny_config(kind, network);
        config.residual = other;
        config.gate_biases = other ? 2 : 1;
        config.reset_after = !other;
        expect_gradient(machine, config);
      }
}

TEST(RecurrentModel, EveryPoolingsGradientEqualsCentralDifferences) {
  Machine machine;
  for (const char* pooling : {"mean", "first", "max", "attention", "class-attention", "self-attention", "last"})
    for (const char* score : {"additive", "dot", "scaled_dot", "bilinear", "cosine", "euclidean"}) {
      ModelConfig config = tiny_config("encoder", "lstm");
      const bool attends = std::string(pooling).ends_with("attention");
      if (!attends && std::string(score) != "dot") continue;
      if (std::string(pooling) == "class-attention" && std::string(score).find("dot") == std::string::npos &&
          std::string(score) != "additive")
        continue;
      config.pooling = pooling;
      config.pooling_score = score;
      SCOPED_TRACE(score);
      expect_gradient(machine, config);
    }
}

TEST(RecurrentModel, AttentionOverStatesHasGradients) {
  Machine machine;
  for (const char* score : {"dot", "scaled_dot", "cosine", "euclidean"}) {
    ModelConfig config = tiny_config("decoder", "lstm");
    config.state_attention = score;
    expect_gradient(machine, config);
  }
}

TEST(RecurrentModel, ConvolutionsHaveGradientsAloneAndBeneathRecurrentLayers) {
  Machine machine;
  for (const char* network : {"convolution", "gru"})
    for (const char* pooling : {"mean", "attention", "class-attention", "self-attention", "last"}) {
      ModelConfig config = tiny_config("encoder", network);
      config.kernel_widths = {1, 2, 5};
      config.filters = 4;
      config.residual = true;
      config.word_dropout = 0.3;
      config.pooling = pooling;
      expect_gradient(machine, config);
    }
}

TEST(RecurrentModel, EmbeddingsOfNgramsHaveGradientsAndAreSharedByHash) {
  Machine machine;
  for (const char* network : {"bag", "lstm", "convolution"}) {
    ModelConfig config = tiny_config("encoder", network);
    config.kernel_widths = {2};
    config.ngrams = 3;
    config.ngram_buckets = 7;
    config.pool_embeddings = true;
    config.pooling = "attention";
    expect_gradient(machine, config);
  }
  const auto sequences = sequences_of_lengths({4, 2});
  const std::vector<std::int32_t> ids{1, 5, 6, 5, 5, 6};
  const std::vector<std::int32_t> pairs = ngram_buckets(ids, *sequences, 2, 1 << 30);
  EXPECT_EQ(pairs[2], pairs[5]);  // 5 6
  EXPECT_EQ(std::set<std::int32_t>(pairs.begin(), pairs.end()).size(), 5u);
  for (const std::int32_t bucket : ngram_buckets(ids, *sequences, 3, 2)) EXPECT_TRUE(bucket == 0 || bucket == 1);
}

TEST(RecurrentModel, TheLayerTableShowsConvolutions) {
  ModelConfig config = tiny_config("encoder", "convolution");
  config.kernel_widths = {3, 4};
  config.filters = 7;
  const auto model = make_model(config, {.source = 11, .target = 0, .classes = 3});
  const std::vector<LayerRow> rows = layer_table(*model, config, 10);
  ASSERT_EQ(rows.size(), 4u);
  EXPECT_EQ(rows[1].name, "encoder.convolutions.0");
  EXPECT_EQ(rows[1].kind, "convolution");
  EXPECT_EQ(rows[1].parameters, 7 * (3 * 5 + 1) + 7 * (4 * 5 + 1));
  EXPECT_EQ(rows[2].multiply_adds, 7 * (3 + 4) * 14);
  EXPECT_EQ(rows[3].shape, "[3, 14] [3]");
}

TEST(RecurrentModel, DroppedWordsAreUnknownOnes) {
  Machine machine;
  ModelConfig config = tiny_config("encoder", "convolution");
  config.kernel_widths = {1};
  config.dropout = 0.0;
  config.word_dropout = 0.5;
  const auto model = tiny_transformer(config);
  const std::vector<std::int32_t> words(200, 4), unknown(200, 0);
  const auto states = [&](const std::vector<std::int32_t>& ids, bool training) {
    PassOptions options;
    options.training = training;
    Pass pass(machine.arena, machine.pool, options);
    return model->encode(pass, {ids, sequences_of_lengths({static_cast<std::int64_t>(ids.size())})}).keep();
  };
  const Tensor kept = states(words, false), dropped = states(words, true), nothing = states(unknown, false);
  int count = 0;
  for (std::int64_t i = 0; i < 200; ++i) {
    const Tensor row = dropped.slice(i, i + 1);
    const bool is_unknown = std::equal(row.floats(), row.floats() + row.width(), nothing.floats());
    EXPECT_TRUE(is_unknown || std::equal(row.floats(), row.floats() + row.width(), kept.floats()));
    count += is_unknown;
  }
  EXPECT_NEAR(count, 100, 40);
}

ModelConfig word_model() {
  ModelConfig config;
  config.network = "lstm";
  config.width = 128;
  config.embedding_width = 64;
  config.layers = 2;
  config.tied = "none";
  config.dropout = 0.0;
  return config;
}

TEST(RecurrentModel, HasTheParametersOfItsSummary) {
  ModelConfig config = word_model();
  const ModelSizes sizes{.source = 0, .target = 10'000, .classes = 0};
  EXPECT_EQ(make_model(config, sizes)->parameters(), 2'160'400);
  config.gate_biases = 2;
  EXPECT_EQ(make_model(config, sizes)->parameters(), 2'161'424);
}

TEST(RecurrentModel, TheLayerTableHasARowForEachLayer) {
  const ModelConfig config = word_model();
  const auto model = make_model(config, {.source = 0, .target = 10'000, .classes = 0});
  const std::vector<LayerRow> rows = layer_table(*model, config, 100);
  ASSERT_EQ(rows.size(), 4u);
  EXPECT_EQ(rows[0].kind, "embedding");
  EXPECT_EQ(rows[1].kind, "lstm");
  EXPECT_EQ(rows[1].parameters, 98'816);
  EXPECT_EQ(rows[2].parameters, 131'584);
  EXPECT_EQ(rows[2].multiply_adds, 2 * 512 * 128);
  EXPECT_EQ(rows[3].parameters, 1'290'000);
}

std::vector<std::int32_t> drawn(std::int64_t count, std::uint64_t seed, std::int64_t entries) {
  std::vector<std::int32_t> ids;
  for (std::int64_t i = 0; i < count; ++i)
    ids.push_back(static_cast<std::int32_t>(uniform_index(RandomKey{seed}, static_cast<std::uint64_t>(i), entries)));
  return ids;
}

/// Next tokens of eight sequences that are drawn at random.
Loss random_loss(const Model& model, Pass& pass, std::uint64_t seed) {
  const SequencesPointer sequences = sequences_of_lengths(std::vector<std::int64_t>(8, 100));
  const std::vector<std::int32_t> ids = drawn(801, seed, 10'000);
  const Var hidden = model.decode(pass, {std::span(ids).first(800), sequences}, Var());
  return cross_entropy(hidden, model.output_weight(pass), model.output_bias(pass), std::span(ids).subspan(1));
}

TEST(RecurrentModel, LearnsNothingOfRandomTokens) {
  // What was drawn cannot be foreseen: ln(10,000) = 9.21 and one in 10,000, before training and after.
  Machine machine;
  for (const char* attention : {"none", "scaled_dot"}) {
    ModelConfig config = word_model();
    config.state_attention = attention;
    const auto model = make_model(config, {.source = 0, .target = 10'000, .classes = 0});
    model->initialise(RandomKey{1});
    TrainingConfig training;
    Optimizer optimizer(training, model->weights());
    WeightGradients gradients(weights_of(*model));
    for (std::uint64_t step = 0; step < 4; ++step) {
      Pass test(machine.arena, machine.pool);
      const Loss loss = random_loss(*model, test, 1000);
      EXPECT_NEAR(loss.total / static_cast<double>(loss.count), 9.21, 0.02);
      EXPECT_LE(loss.correct, 3);  // 0.08 are expected of 800
      gradients.clear();
      Pass pass(machine.arena, machine.pool, training_options(&gradients));
      const Loss trained = random_loss(*model, pass, step);
      pass.backward(trained);
      gradients.finish();
      optimizer.step(gradients, 0.001, 1.0 / static_cast<double>(trained.count), machine.pool);
    }
  }
}

TEST(RecurrentModel, ADecoderSeesNothingAhead) {
  Machine machine;
  for (const char* network : {"lstm", "gru", "rnn"}) {
    ModelConfig config = tiny_config("decoder", network);
    config.state_attention = "scaled_dot";
    const auto model = tiny_transformer(config);
    Pass pass(machine.arena, machine.pool);
    const std::vector<std::int32_t> ids{1, 2, 3, 4, 5}, others{1, 2, 3, 9, 9};
    const Var a = model->decode(pass, {ids, sequences_of_lengths({5})}, Var());
    const Var b = model->decode(pass, {others, sequences_of_lengths({5})}, Var());
    for (std::int64_t i = 0; i < 3 * 6; ++i) EXPECT_EQ(a.value().floats()[i], b.value().floats()[i]) << network;
    EXPECT_NE(a.value().floats()[3 * 6], b.value().floats()[3 * 6]);
  }
}

TEST(RecurrentModel, SequencesOfABatchDoNotSeeEachOther) {
  Machine machine;
  for (const char* pooling : {"attention", "class-attention", "self-attention", "last", "mean"}) {
    ModelConfig config = tiny_config("encoder", "lstm");
    config.pooling = pooling;
    config.kernel_widths = {3};
    const auto model = tiny_transformer(config);
    Pass pass(machine.arena, machine.pool);
    const std::vector<std::int32_t> both{1, 2, 3, 4, 5}, second{4, 5};
    const Var together = model->summarise(model->encode(pass, {both, sequences_of_lengths({3, 2})}));
    const Var alone = model->summarise(model->encode(pass, {second, sequences_of_lengths({2})}));
    expect_array(together.value().slice(1, 2), array_of<double>(alone.value()), unit_roundoff(DType::float32), 16.0,
                 pooling);
  }
}

TEST(RecurrentModel, EncodersGoInTheDirectionsOfTheirRecipe) {
  ModelConfig config = tiny_config("encoder", "lstm");
  const auto width = [&](const char* way) {
    config.bidirectional = way;
    return recurrent_stack(config, 5, true, 2, -1).width();
  };
  EXPECT_EQ(width("auto"), 12);
  EXPECT_EQ(width("all"), 12);
  EXPECT_EQ(width("first"), 6);
  EXPECT_EQ(width("none"), 6);
}

/// The weights that a classifier gave the tokens.
struct Seen : Probe {
  std::string name;
  std::vector<Tensor> weights;
  void attention(const std::string& layer, const AttentionProblem& problem, ThreadPool&) override {
    name = layer;
    for (int head = 0; head < problem.heads; ++head) weights.push_back(attention_weights(problem, 0, head));
  }
};

TEST(RecurrentModel, ShowsTheWeightOfEachWord) {
  Machine machine;
  for (const char* pooling : {"attention", "class-attention", "self-attention"}) {
    ModelConfig config = tiny_config("encoder", "gru");
    config.pooling = pooling;
    const auto model = tiny_transformer(config);
    Seen seen;
    PassOptions options;
    options.probe = &seen;
    Pass pass(machine.arena, machine.pool, options);
    const std::vector<std::int32_t> ids{1, 2, 3, 4};
    model->summarise(model->encode(pass, {ids, sequences_of_lengths({4})}));
    EXPECT_EQ(seen.name, "pooling");
    ASSERT_EQ(seen.weights.size(), std::string(pooling) == "class-attention" ? 3u : 1u);
    for (const Tensor& weights : seen.weights) {
      EXPECT_EQ(weights.width(), 4);
      double sum = 0.0;
      for (std::int64_t i = 0; i < 4; ++i) sum += weights.floats()[i];
      expect_close(sum, 1.0, 1.0, 4.0);
    }
  }
}

TEST(RecurrentModel, NamesKeysThatDoNotFitTogether) {
  const auto expect_refused = [](const std::string& message, const ModelConfig& config) {
    expect_error(message, [&] { tiny_transformer(config); });
  };
  ModelConfig config = tiny_config("decoder", "lstm");
  config.tied = "output";
  expect_refused("model.tied is \"output\", but embeddings are 5 wide and the last layer's states 6", config);
  config = tiny_config("decoder", "lstm");
  config.bidirectional = "all";
  expect_refused("model.bidirectional is \"all\", but a language model may not look ahead", config);
  config = tiny_config("decoder", "lstm");
  config.state_attention = "dot";
  config.heads = 4;
  expect_refused("model.width is 6 and model.heads is 4", config);
  config = tiny_config("encoder", "lstm");
  config.pooling = "class-attention";
  config.pooling_score = "cosine";
  expect_refused("model.pooling is \"class-attention\" and model.pooling_score \"cosine\"", config);
  config = tiny_config("encoder", "lstm");
  config.layers = 0;
  expect_refused("model.layers is 0; a recurrent model has one or more", config);
  config = tiny_config("encoder", "convolution");
  expect_refused("model.network is \"convolution\": model.kernel_widths must name a width", config);
  config = tiny_config("decoder", "convolution");
  expect_refused("model.network is \"convolution\", which classifiers have", config);
  config = tiny_config("decoder", "lstm");
  config.kernel_widths = {3};
  expect_refused("model.ngrams, model.pool_embeddings and model.kernel_widths are for classifiers", config);
  config = tiny_config("encoder", "lstm");
  config.pool_embeddings = true;
  config.pooling = "last";
  expect_refused("model.pool_embeddings does not go with model.pooling", config);
  config = tiny_transformer_config("encoder");
  config.pooling = "last";
  expect_refused("model.pooling is \"last\", which recurrent models have", config);
}

}  // namespace

}  // namespace heed::test
