#include "train/trainer.h"

#include <gtest/gtest.h>
#include <malloc.h>

#include <cmath>
#include <limits>

#include "tasks/loss.h"
#include "train/averaging.h"
#include "train/small_training.h"

namespace heed::test {

namespace {

Weight weight_named(Model& model, const std::string& wanted) {
  for (auto& [name, weight] : model.weights())
    if (name == wanted) return weight;
  ADD_FAILURE() << "no weight " << wanted;
  return {};
}

TEST(Trainer, LearnsToRepeatAPattern) {
  TestFolder folder;
  Recipe recipe = small_recipe(folder.path());
  std::string pattern;
  while (pattern.size() < 2000) pattern += "abcdef,";  // no whole number of them is a window
  put(folder / "text.txt", pattern);
  recipe.model.dropout = 0.0;
  recipe.training.rate = 0.05;
  recipe.training.steps = 100;
  recipe.training.validate_every = 100;
  recipe.training.checkpoint_every = 1000;
  for (const char* precision : {"float32", "bfloat16"}) {
    recipe.training.precision = precision;
    SmallTraining training(recipe, folder / precision);
    double loss = 0.0;
    Measures measures;
    training.run.observer.step = [&](const StepReport& report) { loss = report.loss; };
    training.run.observer.validated = [&](std::int64_t, const Measures& found, bool) { measures = found; };
    train(training.run);
    EXPECT_LT(loss, 0.1) << precision;
    EXPECT_LT(measures.at("loss"), 0.1) << precision;
    EXPECT_GT(measures.at("accuracy"), 0.95) << precision;
  }
}

TEST(Trainer, ValidatesOnceAnEpochAndAtTheEnd) {
  TestFolder folder;
  for (const std::int64_t accumulate : {1, 3}) {
    Recipe recipe = small_recipe(folder.path());
    recipe.batch.accumulate = accumulate;
    recipe.training.steps = 0;
    recipe.training.epochs = 3.0;
    SmallTraining training(recipe, folder / std::to_string(accumulate));
    const std::int64_t batches = training.data.train->batches_in_epoch(0);
    std::vector<std::int64_t> validated, expected;
    training.run.observer.validated = [&](std::int64_t step, const Measures&, bool) { validated.push_back(step); };
    EXPECT_EQ(train(training.run).reason, "epochs");
    for (std::int64_t epoch = 1; epoch <= 3; ++epoch)
      expected.push_back((epoch * batches + accumulate - 1) / accumulate);
    EXPECT_EQ(validated, expected) << batches << " batches, " << accumulate << " a step";
  }
}

TEST(Trainer, StreamsGoOnWhereTheBatchBeforeEndedWhateverIsValidated) {
  TestFolder folder;
  Recipe recipe = small_recipe(folder.path());
  recipe.model.network = "lstm";
  recipe.model.dropout = 0.0;
  recipe.batch.order = "stream";
  recipe.batch.sequences = 2;
  recipe.batch.context = 30;
  recipe.training.optimizer = "sgd";
  recipe.training.rate = 1e-12;  // the model stays as it is
  recipe.training.weight_decay = 0.0;
  recipe.training.steps = 0;
  recipe.training.epochs = 2;
  recipe.training.validate_every = 3;
  SmallTraining training(recipe, folder / "model");
  const Batches& batches = *training.data.train;
  std::vector<double> losses;
  training.run.observer.step = [&](const StepReport& report) { losses.push_back(report.loss); };
  train(training.run);
  const std::int64_t steps = batches.batches_in_epoch(0);
  ASSERT_EQ(static_cast<std::int64_t>(losses.size()), 2 * steps);
  ASSERT_GT(steps, 10);

  // Each stream as one long sequence.
  PackedBatch whole;
  std::vector<std::vector<std::int32_t>> inputs(2), outputs(2);
  std::vector<double> sums(2);
  for (std::int64_t i = 0; i < 2 * steps; ++i) {
    const PackedBatch batch = batches.batch(i / steps, i % steps);
    sums[static_cast<std::size_t>(i / steps)] +=
        losses[static_cast<std::size_t>(i)] * static_cast<double>(batch.target_tokens);
    for (std::size_t s = 0; s < 2 && i < steps; ++s)
      for (auto at = static_cast<std::size_t>(batch.target_offsets[s]);
           at < static_cast<std::size_t>(batch.target_offsets[s + 1]); ++at) {
        inputs[s].push_back(batch.target_input[at]);
        outputs[s].push_back(batch.target_output[at]);
      }
  }
  whole.target_offsets = {0};
  for (std::size_t s = 0; s < 2; ++s) {
    whole.target_input.insert(whole.target_input.end(), inputs[s].begin(), inputs[s].end());
    whole.target_output.insert(whole.target_output.end(), outputs[s].begin(), outputs[s].end());
    whole.target_offsets.push_back(static_cast<std::int64_t>(whole.target_input.size()));
  }
  Arena arena(1 << 26);
  Pass pass(arena, training.pool);
  const double expected = batch_loss(Task::language_modelling, *training.model, pass, whole, 0.0f).total;
  EXPECT_NEAR(sums[0], expected, 1e-5 * expected);
  EXPECT_NEAR(sums[1], expected, 1e-5 * expected);
}

TEST(Trainer, MeasuresARecurrentLanguageModelWithItsStateCarriedOverTheText) {
  TestFolder folder;
  Recipe recipe = small_recipe(folder.path());
  recipe.data.validation_split = 0.4;
  recipe.model.network = "gru";
  recipe.batch.context = 5;
  SmallTraining training(recipe, folder / "model");
  Arena arena(1 << 26);
  const Measures measures = training.run.validate(arena, Precision::float32);
  PackedBatch whole;
  const Batches& batches = *training.data.validation;
  EXPECT_EQ(batches.streams(), 1);
  for (std::int64_t i = 0; i < batches.batches_in_epoch(0); ++i) {
    const PackedBatch batch = batches.batch(0, i);
    whole.target_input.insert(whole.target_input.end(), batch.target_input.begin(), batch.target_input.end());
    whole.target_output.insert(whole.target_output.end(), batch.target_output.begin(), batch.target_output.end());
  }
  EXPECT_GT(batches.batches_in_epoch(0), 1);
  whole.target_offsets = {0, static_cast<std::int64_t>(whole.target_input.size())};
  Pass pass(arena, training.pool);
  const Loss loss = batch_loss(Task::language_modelling, *training.model, pass, whole, 0.0f);
  EXPECT_EQ(loss.count, batches.tokens_in_epoch());
  EXPECT_NEAR(measures.at("loss"), loss.total / static_cast<double>(loss.count), 1e-5);
  EXPECT_NEAR(measures.at("perplexity"), std::exp(measures.at("loss")), 1e-9);
}

TEST(Trainer, WritesTheBestModelAndItsMetrics) {
  TestFolder folder;
  Recipe recipe = small_recipe(folder.path());
  recipe.training.validate_every = 8;
  SmallTraining training(recipe, folder / "model");
  // Made worse after the first validation: the model of step 8 stays.
  training.run.validate = [step = 0](Arena&, Precision) mutable { return Measures{{"loss", ++step == 1 ? 1.0 : 2.0}}; };
  std::string best;
  training.run.observer.validated = [&](std::int64_t step, const Measures&, bool is_best) {
    EXPECT_EQ(is_best, step == 8);
    if (is_best) best = contents(folder / "model" / "model.safetensors");
  };
  const TrainingResult result = train(training.run);
  EXPECT_EQ(result.progress.best_step, 8);
  EXPECT_EQ(result.progress.without_better, 2);
  EXPECT_EQ(contents(folder / "model" / "model.safetensors"), best);
  std::vector<std::int64_t> logged, validated;
  for (const auto& line : metrics_of(folder / "model"))
    (line.contains("validation_loss") ? validated : logged).push_back(line["step"].get<std::int64_t>());
  EXPECT_EQ(logged, (std::vector<std::int64_t>{3, 6, 9, 12, 15, 18, 21, 24}));
  EXPECT_EQ(validated, (std::vector<std::int64_t>{8, 16, 24}));
}

TEST(Trainer, StopsWhenPatienceIsOver) {
  TestFolder folder;
  Recipe recipe = small_recipe(folder.path());
  recipe.training.validate_every = 2;
  recipe.training.patience = 3;
  SmallTraining training(recipe, folder / "model");
  training.run.validate = [step = 0](Arena&, Precision) mutable {
    return Measures{{"loss", static_cast<double>(++step)}};
  };
  const TrainingResult result = train(training.run);
  EXPECT_EQ(result.reason, "patience");
  EXPECT_EQ(result.progress.step, 8);
}

TEST(Trainer, LeavesFrozenWeightsAsTheyAre) {
  TestFolder folder;
  Recipe recipe = small_recipe(folder.path());
  recipe.training.freeze = {"decoder.embedding", "decoder.layers.0.mlp"};
  SmallTraining training(recipe, folder / "model");
  std::map<std::string, Tensor> before;
  for (const auto& [name, weight] : training.model->weights()) before[name] = weight.value().clone();
  train(training.run);
  for (const auto& [name, weight] : training.model->weights()) {
    const bool same =
        std::memcmp(before[name].data(), weight.value().data(), static_cast<std::size_t>(weight.value().bytes())) == 0;
    EXPECT_EQ(same, name.starts_with("decoder.embedding") || name.starts_with("decoder.layers.0.mlp")) << name;
  }
  recipe.training.freeze = {"decoder"};
  SmallTraining all(recipe, folder / "other");
  expect_error("training.freeze leaves no weight to train", [&] { train(all.run); });
}

TEST(Trainer, NamesStepWeightAndCheckpointWhenALossIsNotFinite) {
  TestFolder folder;
  SmallTraining training(small_recipe(folder.path()), folder / "model");
  training.run.observer.step = [&](const StepReport& report) {
    if (report.step == 6)
      weight_named(*training.model, "decoder.layers.0.mlp.up.weight").change().floats()[3] =
          std::numeric_limits<float>::quiet_NaN();
  };
  expect_error(
      "the loss is not finite at step 7; first in the weight decoder.layers.0.mlp.up.weight. The last good checkpoint "
      "is " +
          training.checkpoint().string(),
      [&] { train(training.run); });
}

TEST(Trainer, NamesTheLayerThatOverflows) {
  TestFolder folder;
  Recipe recipe = small_recipe(folder.path());
  recipe.batch.accumulate = 2;
  SmallTraining training(recipe, folder / "model");
  training.run.observer.step = [&](const StepReport& report) {
    if (report.step == 2) weight_named(*training.model, "decoder.layers.0.mlp.down.weight").change().fill(3e38f);
  };
  expect_error("the loss is not finite at step 3; first in the layer of decoder.layers.0.mlp.down.",
               [&] { train(training.run); });
}

TEST(Trainer, TakesNoMemoryFromTheSystemOnceItHasSeenTheLengths) {
  TestFolder folder;
  Recipe recipe = small_recipe(folder.path());
  recipe.training.steps = 60;
  recipe.training.validate_every = recipe.training.checkpoint_every = 1000;
  recipe.training.log_every = 1000;
  SmallTraining training(recipe, folder / "model", 2);
  struct Taken {
    std::size_t heap = 0;
    long pages = 0;
  } before, after;
  const auto taken = [] {
    const auto info = ::mallinfo2();
    Taken now{info.arena + info.hblkhd, 0};
    std::ifstream("/proc/self/statm") >> now.pages;
    return now;
  };
  training.run.observer.step = [&](const StepReport& report) {
    if (report.step == 30) before = taken();
    if (report.step == 59) after = taken();
  };
  train(training.run);
  EXPECT_EQ(before.heap, after.heap);
  EXPECT_EQ(before.pages, after.pages);
}

TEST(Trainer, MovingAverageFollowsItsFormula) {
  TestFolder folder;
  TrainingConfig config;
  config.average_decay = 0.5;
  SmallTraining training(small_recipe(folder.path()), folder / "model");
  Averages averages(*training.model, config);
  Weight weight = weight_named(*training.model, "decoder.layers.0.norm1.gain");
  std::size_t place = 0;
  while (training.model->weights()[place].second.identity() != weight.identity()) ++place;
  double expected = weight.value().floats()[0];
  for (std::int64_t step = 0; step < 20; ++step) {
    weight.change().fill(static_cast<float>(step));
    averages.update(*training.model, step, training.pool);
    const double decay = std::min(0.5, (1.0 + static_cast<double>(step)) / (10.0 + static_cast<double>(step)));
    expected = decay * expected + (1.0 - decay) * static_cast<double>(step);
  }
  EXPECT_NEAR(averages.tensors()[place].floats()[0], expected, 1e-6 * expected);
  {
    const Averages::Shown shown(averages, *training.model);
    EXPECT_NEAR(weight.value().floats()[0], expected, 1e-6 * expected);
  }
  EXPECT_EQ(weight.value().floats()[0], 19.0f);
}

TEST(Trainer, MeansTheWeightsOfTheLastValidations) {
  TestFolder folder;
  TrainingConfig config;
  config.average = 2;
  SmallTraining training(small_recipe(folder.path()), folder / "model");
  Averages averages(*training.model, config);
  Weight weight = weight_named(*training.model, "decoder.layers.0.norm1.gain");
  EXPECT_FALSE(averages.average_kept(*training.model, folder.path()));
  for (const std::int64_t step : {9, 10, 100}) {
    weight.change().fill(static_cast<float>(step));
    averages.keep(*training.model, folder.path(), step);
  }
  ASSERT_TRUE(averages.average_kept(*training.model, folder.path()));
  {
    const Averages::Kept kept(averages, *training.model);
    EXPECT_EQ(weight.value().floats()[0], 55.0f) << "of steps 10 and 100";
  }
  averages.forget_after(folder.path(), 10);
  EXPECT_FALSE(averages.average_kept(*training.model, folder.path())) << "only step 10 is left";
}

TEST(Trainer, PrecisionIsTheRecipesOrTheFaster) {
  TrainingConfig config;
  EXPECT_EQ(precision_of(config), best_precision());
  config.precision = "float32";
  EXPECT_EQ(precision_of(config), Precision::float32);
  config.precision = "bfloat16";
  EXPECT_EQ(precision_of(config), Precision::bfloat16);
}

}  // namespace

}  // namespace heed::test
