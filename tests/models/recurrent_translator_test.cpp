#include <gtest/gtest.h>

#include "formats/test_files.h"
#include "support/model_gradients.h"

namespace heed::test {

namespace {

ModelConfig tiny_config(const char* network) {
  ModelConfig config = tiny_transformer_config("encoder-decoder");
  config.network = network;
  config.width = 6;
  config.embedding_width = 5;
  config.tied = "none";
  return config;
}

TEST(RecurrentTranslator, EveryLayoutsGradientEqualsCentralDifferences) {
  Machine machine;
  for (const char* network : {"lstm", "gru"})
    for (const char* place : {"top", "lowest"})
      for (const bool feeding : {false, true})
        for (const char* score : {"additive", "scaled_dot"}) {
          SCOPED_TRACE(format("{} attends by {}, fed {}", place, score, feeding));
          ModelConfig config = tiny_config(network);
          config.decoder_attention = place;
          config.input_feeding = feeding;
          config.attention_score = score;
          config.residual = feeding;
          config.copy = feeding;
          config.bidirectional = feeding ? "first" : "all";
          expect_gradient(machine, config);
        }
}

TEST(RecurrentTranslator, CopyingInATransformerHasGradients) {
  Machine machine;
  ModelConfig config = tiny_transformer_config("encoder-decoder");
  config.copy = true;
  expect_gradient(machine, config);
}

TEST(RecurrentTranslator, IsRefusedWhereItsPartsDoNotFit) {
  const ModelSizes sizes{.source = 11, .target = 11, .classes = 0}, two{.source = 11, .target = 12, .classes = 0};
  ModelConfig config = tiny_config("lstm");
  config.copy = true;
  expect_error("the vocabularies have 11 and 12 entries", [&] { make_model(config, two); });
  config.copy = false;
  config.tied = "output";
  expect_error("embeddings are 5 wide and the decoder's states 6", [&] { make_model(config, sizes); });
  config.tied = "none";
  config.decoder_attention = "lowest";
  config.decoder_layers = 1;
  expect_error("no layer above it to read the context", [&] { make_model(config, sizes); });
}

}  // namespace

}  // namespace heed::test
