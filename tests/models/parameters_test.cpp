#include <gtest/gtest.h>
#include <heed/transformer.h>

#include "support/tiny_transformer.h"

namespace heed::test {

namespace {

std::int64_t parameters_of(auto& module) {
  std::int64_t total = 0;
  visit_weights(module, [&](const std::string&, Weight& weight) { total += weight.elements(); });
  return total;
}

TEST(Parameters, OfTheBaseTransformersEncoderLayer) {
  ModelConfig config;
  config.width = 512;
  config.heads = 8;
  config.feed_forward = 2048;
  config.norm_place = "post";
  TransformerLayer layer(config, false, false, -1, "layer");
  EXPECT_EQ(parameters_of(layer), 3'152'384);
}

TEST(Parameters, OfTheSmallGpt2) {
  ModelConfig config;
  config.kind = "decoder";
  config.width = 768;
  config.heads = 12;
  config.layers = 12;
  config.position = "learned";
  config.context = 1024;
  config.tied = "output";
  EXPECT_EQ(make_model(config, {.target = 50257})->parameters(), 124'439'808);
}

TEST(Parameters, TyingSharesTheTables) {
  ModelConfig config = tiny_transformer_config("encoder-decoder");
  config.tied = "none";
  const std::int64_t apart = tiny_transformer(config)->parameters(), table = tiny_entries * config.width;
  config.tied = "output";
  EXPECT_EQ(tiny_transformer(config)->parameters(), apart - table);
  config.tied = "all";
  const auto tied = tiny_transformer(config);
  EXPECT_EQ(tied->parameters(), apart - 2 * table);
  std::vector<const Weight::Record*> shared;
  tied->visit([&](const std::string& name, Weight& weight) {
    if (name == "encoder.embedding.table" || name == "decoder.embedding.table" || name == "output.weight")
      shared.push_back(weight.identity());
  });
  ASSERT_EQ(shared.size(), 3u);
  EXPECT_EQ(shared[0], shared[1]);
  EXPECT_EQ(shared[1], shared[2]);
}

TEST(Parameters, TheLayerTableAddsUpToThem) {
  for (const char* kind : {"decoder", "encoder", "encoder-decoder"})
    for (const char* position : {"learned", "t5", "none"})
      for (const char* tied : {"none", "output", "all"}) {
        ModelConfig config = tiny_transformer_config(kind);
        config.position = position;
        config.tied = tied;
        config.pooling = "attention";
        config.embedding_norm = true;
        const auto model = tiny_transformer(config);
        std::int64_t total = 0;
        for (const LayerRow& row : layer_table(*model, config, 16)) total += row.parameters;
        EXPECT_EQ(total, model->parameters()) << kind << " " << position << " " << tied;
      }
}

TEST(Parameters, TheLayerTableCountsMultiplyAdds) {
  ModelConfig config = tiny_transformer_config("decoder");
  const auto model = tiny_transformer(config);
  std::int64_t total = 0;
  for (const LayerRow& row : layer_table(*model, config, 16)) total += row.multiply_adds;
  // A layer: queries, keys, values and the result; scores and sums over 16 positions; the two products of the inner
  // network.
  const std::int64_t layer = 4 * 12 * 12 + 2 * 16 * 12 + 2 * 12 * 20;
  EXPECT_EQ(total, 2 * layer + 12 * tiny_entries);
}

TEST(Parameters, StartFromTheirKeyAlone) {
  const ModelConfig config = tiny_transformer_config("decoder");
  const auto a = make_model(config, {.target = tiny_entries}), b = make_model(config, {.target = tiny_entries});
  a->initialise(RandomKey{3});
  b->initialise(RandomKey{3});
  const auto of_a = a->weights(), of_b = b->weights();
  for (std::size_t i = 0; i < of_a.size(); ++i) {
    EXPECT_EQ(of_a[i].first, of_b[i].first);
    for (std::int64_t j = 0; j < of_a[i].second.elements(); ++j)
      ASSERT_EQ(of_a[i].second.value().floats()[j], of_b[i].second.value().floats()[j]) << of_a[i].first;
  }
}

}  // namespace

}  // namespace heed::test
