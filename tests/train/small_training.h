#pragma once
// A training that takes a moment: a language model of characters, or a classifier, with everything that a real one has.
#include <gtest/gtest.h>
#include <heed/thread_pool.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "formats/test_files.h"
#include "tasks/evaluate.h"
#include "train/model_folder.h"
#include "train/prepare.h"
#include "train/trainer.h"

namespace heed::test {

/// A language model of a text in `folder`/text.txt: width 16, one layer, 8 steps of 8 windows of 16 characters an
/// epoch.
inline Recipe small_recipe(const std::filesystem::path& folder) {
  std::string text;
  for (int line = 0; text.size() < 1100; ++line)
    text += "the cat number " + std::to_string(line * 7 % 13) + " sat on the mat\n";
  put(folder / "text.txt", text.substr(0, 1100));
  Recipe recipe;
  recipe.task = "language-model";
  recipe.data.train = {(folder / "text.txt").string()};
  recipe.data.validation_split = 0.05;
  recipe.vocabulary.kind = "character";
  recipe.batch.sequences = 8;
  recipe.batch.context = 16;
  recipe.model.width = 16;
  recipe.model.heads = 2;
  recipe.model.layers = 1;
  recipe.model.context = 32;
  recipe.training.rate = 1e-2;
  recipe.training.steps = 24;
  recipe.training.warmup = 4;
  recipe.training.checkpoint_every = 4;
  recipe.training.log_every = 3;
  recipe.training.precision = "float32";
  return recipe;
}

/// Everything that `train` is given; made anew it stands at the start, or where the folder's checkpoint does.
struct SmallTraining {
  Recipe recipe;
  std::filesystem::path folder;
  ThreadPool pool;
  PreparedData data;
  std::unique_ptr<Model> model;
  TrainingRun run;

  SmallTraining(const Recipe& of, const std::filesystem::path& into, int threads = 1)
      : recipe(of), folder(into), pool(threads) {
    check(recipe);
    data = prepare(recipe, make_text_encoder(recipe), folder);
    model = make_model(recipe.model, sizes_of(data.text));
    model->initialise(RandomKey{recipe.training.seed});
    run.recipe = &recipe;
    run.folder = folder;
    run.model = model.get();
    run.tasks = {{"", data.text.task, model.get(), data.train.get(), data.class_weights, 1.0}};
    run.data_fingerprint = data.fingerprint;
    run.pool = &pool;
    run.resume = true;
    run.validate = [this](Arena& arena, Precision precision) {
      return evaluate({*model, data.text, arena, pool, precision}, *data.validation);
    };
  }
  std::filesystem::path checkpoint() const { return folder / "checkpoint" / "last.safetensors"; }
};

/// The lines of metrics.jsonl without what a clock says.
inline std::vector<nlohmann::json> metrics_of(const std::filesystem::path& folder) {
  std::vector<nlohmann::json> lines;
  std::ifstream file(folder / "metrics.jsonl");
  for (std::string line; std::getline(file, line);) {
    lines.push_back(nlohmann::json::parse(line));
    lines.back().erase("seconds");
    lines.back().erase("tokens_per_second");
  }
  return lines;
}

/// Tensors and metadata of a checkpoint without what a clock says.
inline void expect_same_checkpoint(const std::filesystem::path& a, const std::filesystem::path& b) {
  const SafetensorsReader first(a), second(b);
  ASSERT_EQ(first.entries().size(), second.entries().size());
  for (const SafetensorsEntry& entry : first.entries()) {
    const Tensor x = first.tensor(entry.name), y = second.tensor(entry.name);
    ASSERT_EQ(x.bytes(), y.bytes()) << entry.name;
    EXPECT_EQ(std::memcmp(x.data(), y.data(), static_cast<std::size_t>(x.bytes())), 0) << entry.name;
  }
  const auto without_clock = [](const SafetensorsReader& reader) {
    auto progress = nlohmann::json::parse(reader.metadata().at("heed.progress"));
    progress.erase("seconds");
    progress.erase("metrics_bytes");  // lines of metrics tell seconds, in more or fewer digits
    return progress;
  };
  EXPECT_EQ(without_clock(first), without_clock(second));
  EXPECT_EQ(first.metadata().at("heed.optimizer_steps"), second.metadata().at("heed.optimizer_steps"));
  EXPECT_EQ(first.metadata().at("heed.recipe"), second.metadata().at("heed.recipe"));
}

/// The same model, checkpoint and metrics, bit for bit.
inline void expect_same_training(const std::filesystem::path& a, const std::filesystem::path& b) {
  EXPECT_EQ(contents(a / "model.safetensors"), contents(b / "model.safetensors"));
  expect_same_checkpoint(a / "checkpoint" / "last.safetensors", b / "checkpoint" / "last.safetensors");
  EXPECT_EQ(metrics_of(a), metrics_of(b));
}

}  // namespace heed::test
