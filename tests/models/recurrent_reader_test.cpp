#include "models/recurrent_reader.h"

#include <gtest/gtest.h>

#include "formats/test_files.h"
#include "support/model_gradients.h"

namespace heed::test {

namespace {

std::unique_ptr<Model> tiny_reader(const ModelConfig& config) {
  auto model = make_model(config, {.source = 11, .classes = 2, .pairs = true});
  model->initialise(RandomKey{3});
  return model;
}

ModelConfig reader_config(const std::string& network) {
  ModelConfig config;
  config.kind = "encoder";
  config.network = network;
  config.width = 5;
  config.embedding_width = 4;
  config.layers = 1;
  config.dropout = 0.1;
  return config;
}

/// Two questions and their passages, of different lengths.
struct Pairs {
  std::vector<std::int32_t> question{1, 4, 5, 1, 6, 7, 8}, passage{2, 5, 9, 4, 10, 2, 3, 7, 0};
  SequencesPointer questions = sequences_of_lengths({3, 4}), passages = sequences_of_lengths({5, 4});
};

Tensor scores_of(Machine& machine, const Model& model, const Pairs& pairs) {
  Pass pass(machine.arena, machine.pool);
  const Var hidden = model.encode_pair(pass, {pairs.question, pairs.questions}, {pairs.passage, pairs.passages});
  return linear(hidden, model.output_weight(pass), model.output_bias(pass)).keep();
}

TEST(RecurrentReader, GradientEqualsCentralDifferences) {
  Machine machine;
  const Pairs pairs;
  const std::vector<std::int32_t> first{1, 0}, last{3, 2};
  for (const char* network : {"lstm", "gru"})
    for (const char* score : {"scaled_dot", "additive"}) {
      SCOPED_TRACE(format("{} {}", network, score));
      ModelConfig config = reader_config(network);
      config.pooling_score = score;
      const auto model = tiny_reader(config);
      for (auto& [name, weight] : model->weights())  // away from the corner of the rectifier
        if (name == "reader.from_passage.bias") weight.change().fill(4.0f);
      expect_gradient(machine, *model, [&](Pass& pass) {
        const Var hidden = model->encode_pair(pass, {pairs.question, pairs.questions}, {pairs.passage, pairs.passages});
        return position_cross_entropy(linear(hidden, model->output_weight(pass), model->output_bias(pass)),
                                      {first, last});
      });
    }
}

TEST(RecurrentReader, APassageIsReadInTheLightOfItsOwnQuestionAlone) {
  Machine machine;
  const auto model = tiny_reader(reader_config("lstm"));
  Pairs pairs;
  const Tensor before = scores_of(machine, *model, pairs);
  pairs.question[1] = 3;
  const Tensor after = scores_of(machine, *model, pairs);
  for (std::int64_t row = 0; row < before.rows(); ++row)
    EXPECT_EQ(before.floats()[2 * row] == after.floats()[2 * row], row >= 5) << row;
}

TEST(TransformerReader, SegmentsHaveGradientsAndTellQuestionFromPassage) {
  Machine machine;
  const Pairs pairs;
  ModelConfig config = tiny_transformer_config("encoder");
  config.segments = true;
  const auto model = tiny_reader(config);
  expect_gradient(machine, *model, [&](Pass& pass) {
    const Var hidden = model->encode_pair(pass, {pairs.question, pairs.questions}, {pairs.passage, pairs.passages});
    const std::vector<std::int32_t> first{1, 0}, last{3, 2};
    return position_cross_entropy(linear(hidden, model->output_weight(pass), model->output_bias(pass)), {first, last});
  });
  const Tensor before = scores_of(machine, *model, pairs);
  for (auto& [name, weight] : model->weights())
    if (name == "segments") std::fill_n(weight.change().floats(), weight.shape()[1], 0.5f);  // the question's
  EXPECT_NE(before.floats()[0], scores_of(machine, *model, pairs).floats()[0]);
  config.segments = false;
  EXPECT_EQ(tiny_reader(config)->parameters(), model->parameters() - 2 * config.width);
}

TEST(RecurrentReader, NamesBothNumbersWhenAQuestionIsMissing) {
  Machine machine;
  const auto model = tiny_reader(reader_config("gru"));
  Pairs pairs;
  pairs.question = {1, 4, 5};
  pairs.questions = sequences_of_lengths({3});
  expect_error("1 questions for 2 passages", [&] { scores_of(machine, *model, pairs); });
}

}  // namespace

}  // namespace heed::test
