#include "train/checkpoint.h"

#include <gtest/gtest.h>

#include "formats/test_files.h"
#include "support/tiny_transformer.h"

namespace heed::test {

namespace {

struct Trained {
  std::unique_ptr<Model> model;
  Optimizer optimizer;
  std::vector<Tensor> averages;
  explicit Trained(std::uint64_t seed, const ModelConfig& config = tiny_transformer_config("decoder"))
      : model(tiny_transformer(config, seed)), optimizer(TrainingConfig{}, model->weights()) {
    std::uint64_t index = 0;
    for (const auto& [name, moment] : optimizer.state()) {
      const Tensor drawn = draw(moment.shape(), RandomKey{seed}.fold(++index));
      std::copy(drawn.floats(), drawn.floats() + drawn.elements(), moment.floats());
    }
    for (const auto& [name, weight] : model->weights())
      averages.push_back(draw(weight.shape(), RandomKey{seed}.fold(++index)));
  }
};

Progress some_progress() {
  Progress progress;
  progress.step = 17;
  progress.epoch = 2;
  progress.batch = 3;
  progress.tokens = 4567;
  progress.seconds = 1.5;
  progress.best = 0.1;  // not exact in binary: it must come back all the same
  progress.best_step = 12;
  progress.validations = 4;
  progress.without_better = 1;
  progress.validated_step = 16;
  progress.loss_sum = 1.0 / 3.0;
  progress.loss_count = 99;
  progress.metrics_bytes = 1234;
  progress.finished = true;
  return progress;
}

void expect_same(const Tensor& a, const Tensor& b, const std::string& name) {
  ASSERT_EQ(a.shape(), b.shape()) << name;
  EXPECT_EQ(std::memcmp(a.data(), b.data(), static_cast<std::size_t>(a.bytes())), 0) << name;
}

TEST(Checkpoint, ComesBackAsItWas) {
  TestFolder folder;
  Trained saved(1), loaded(2);
  CarriedStates no_states(*saved.model, 0);
  save_checkpoint(folder / "checkpoint", *saved.model, saved.optimizer, saved.averages, no_states, some_progress(),
                  "recipe");
  const Progress progress =
      load_checkpoint(folder / "checkpoint", *loaded.model, loaded.optimizer, loaded.averages, no_states, "recipe");
  const Progress expected = some_progress();
  EXPECT_EQ(progress.step, expected.step);
  EXPECT_EQ(progress.epoch, expected.epoch);
  EXPECT_EQ(progress.batch, expected.batch);
  EXPECT_EQ(progress.tokens, expected.tokens);
  EXPECT_EQ(progress.seconds, expected.seconds);
  EXPECT_EQ(progress.best, expected.best);
  EXPECT_EQ(progress.best_step, expected.best_step);
  EXPECT_EQ(progress.validations, expected.validations);
  EXPECT_EQ(progress.without_better, expected.without_better);
  EXPECT_EQ(progress.validated_step, expected.validated_step);
  EXPECT_EQ(progress.loss_sum, expected.loss_sum);
  EXPECT_EQ(progress.loss_count, expected.loss_count);
  EXPECT_EQ(progress.metrics_bytes, expected.metrics_bytes);
  EXPECT_EQ(progress.finished, expected.finished);
  const auto of_saved = named_weights(*saved.model), of_loaded = named_weights(*loaded.model);
  for (std::size_t i = 0; i < of_saved.size(); ++i) {
    expect_same(of_saved[i].second, of_loaded[i].second, of_saved[i].first);
    expect_same(saved.averages[i], loaded.averages[i], "average." + of_saved[i].first);
  }
  const auto saved_moments = saved.optimizer.state(), loaded_moments = loaded.optimizer.state();
  for (std::size_t i = 0; i < saved_moments.size(); ++i)
    expect_same(saved_moments[i].second, loaded_moments[i].second, saved_moments[i].first);
}

TEST(Checkpoint, AlteredOrCutAnywhereIsOneClearError) {
  TestFolder folder;
  Trained trained(1);
  const std::filesystem::path file = folder / "checkpoint";
  CarriedStates no_states(*trained.model, 0);
  save_checkpoint(file, *trained.model, trained.optimizer, trained.averages, no_states, some_progress(), "recipe");
  const std::string whole = contents(file);
  const auto sentence = [&] {
    return error_of(
        [&] { load_checkpoint(file, *trained.model, trained.optimizer, trained.averages, no_states, "recipe"); });
  };
  for (std::uint64_t i = 0; i < 30; ++i) {
    const auto place =
        static_cast<std::size_t>(uniform_index(RandomKey{1}, i, static_cast<std::int64_t>(whole.size())));
    std::string altered = whole;
    altered[place] = static_cast<char>(altered[place] ^ (1 << (i % 8)));
    put(file, altered);
    EXPECT_TRUE(sentence().starts_with(file.string())) << "byte " << place;
    put(file, whole.substr(0, place));
    EXPECT_TRUE(sentence().starts_with(file.string())) << "cut at " << place;
  }
}

TEST(Checkpoint, OfAnotherArchitectureNamesTheFirstDifference) {
  TestFolder folder;
  ModelConfig wider = tiny_transformer_config("decoder"), deeper = wider;
  wider.feed_forward = 24;
  deeper.layers = 3;
  Trained saved(1), of_wider(1, wider), of_deeper(1, deeper);
  CarriedStates no_states(*saved.model, 0);
  const std::filesystem::path file = folder / "checkpoint";
  save_checkpoint(file, *saved.model, saved.optimizer, {}, no_states, some_progress(), "recipe");
  std::vector<Tensor> none;
  expect_error(
      "weight.decoder.layers.0.mlp.up.weight is [20, 12], the model needs [24, 12]: the checkpoint is of another model",
      [&] { load_checkpoint(file, *of_wider.model, of_wider.optimizer, none, no_states, "recipe"); });
  expect_error("weight.decoder.layers.2.",
               [&] { load_checkpoint(file, *of_deeper.model, of_deeper.optimizer, none, no_states, "recipe"); });
  expect_error(
      "the checkpoint was made with another recipe or other data; train into another folder, or resume with the same",
      [&] { load_checkpoint(file, *saved.model, saved.optimizer, none, no_states, "another"); });
}

TEST(Checkpoint, RefusesProgressThatIsNone) {
  TestFolder folder;
  Trained trained(1);
  const std::filesystem::path file = folder / "checkpoint";
  std::vector<Tensor> none;
  CarriedStates no_states(*trained.model, 0);
  const auto expect_refused = [&](const std::string& part, const Metadata& metadata) {
    write_safetensors(file, named_weights(*trained.model), metadata);
    expect_error(part, [&] { load_checkpoint(file, *trained.model, trained.optimizer, none, no_states, "recipe"); });
  };
  expect_refused("not a checkpoint of a training (it has no heed.progress)", {});
  expect_refused("heed.progress is not a JSON object",
                 {{"heed.progress", "[1"}, {"heed.optimizer_steps", "1"}, {"heed.recipe", "recipe"}});
  expect_refused("heed.progress is not a JSON object",
                 {{"heed.progress", "[1]"}, {"heed.optimizer_steps", "1"}, {"heed.recipe", "recipe"}});
  expect_refused("heed.progress lacks \"step\"",
                 {{"heed.progress", "{}"}, {"heed.optimizer_steps", "1"}, {"heed.recipe", "recipe"}});
  expect_refused("heed.progress has a \"step\" of another type",
                 {{"heed.progress", R"({"step": "many"})"}, {"heed.optimizer_steps", "1"}, {"heed.recipe", "recipe"}});
}

TEST(Weights, OfAnotherArchitectureAreRefusedByName) {
  TestFolder folder;
  const auto model = tiny_transformer(tiny_transformer_config("decoder"));
  const auto expect_refused = [&](const std::string& part, const NamedTensors& tensors) {
    write_safetensors(folder / "model.safetensors", tensors);
    expect_error(part, [&] { load_weights(SafetensorsReader(folder / "model.safetensors"), *model); });
  };
  NamedTensors tensors = named_weights(*model);
  tensors.emplace_back("more", Tensor({2}));
  expect_refused("the weight more is not one of the recipe's model: the file is of another architecture", tensors);
  tensors = named_weights(*model);
  tensors[0].second = Tensor({3, 12});
  expect_refused(
      "decoder.embedding.table is [3, 12], the recipe's model needs [11, 12]: the file is of another architecture",
      tensors);
  tensors[0].second = Tensor({11, 12}, DType::float64);
  expect_refused("decoder.embedding.table is float64; weights are float32, bfloat16 or float16", tensors);
  tensors.erase(tensors.begin());
  expect_refused("the weight decoder.embedding.table is missing: the file is of another architecture", tensors);
}

}  // namespace

}  // namespace heed::test
