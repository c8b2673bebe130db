#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "train/small_training.h"

namespace heed::test {

namespace {

/// Trains in a process of its own, from where the folder's checkpoint stands.
pid_t start_training(const Recipe& recipe, const std::filesystem::path& folder) {
  const pid_t child = ::fork();
  if (child != 0) return child;
  try {
    SmallTraining training(recipe, folder);
    train(training.run);
    ::_exit(0);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    ::_exit(1);
  }
}

/// Kills the training again and again, each time after a random moment (longer each time, so that it comes to an end on
/// any machine), until it is through. Returns how often.
int train_under_fire(const Recipe& recipe, const std::filesystem::path& folder, RandomKey key) {
  double longest = 0.02;
  for (int kills = 0;; ++kills) {
    const pid_t child = start_training(recipe, folder);
    const double moment = longest * static_cast<double>(uniform(key, static_cast<std::uint64_t>(kills)));
    std::this_thread::sleep_for(std::chrono::duration<double>(moment));
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    if (WIFEXITED(status)) {
      EXPECT_EQ(WEXITSTATUS(status), 0);
      return kills;
    }
    longest *= 1.1;
  }
}

void expect_the_same_after_kills(const Recipe& recipe, const std::filesystem::path& folder, std::uint64_t seed) {
  SmallTraining uninterrupted(recipe, folder / "whole");
  train(uninterrupted.run);
  const int kills = train_under_fire(recipe, folder / "killed", RandomKey{seed});
  EXPECT_GT(kills, 0);
  expect_same_training(folder / "whole", folder / "killed");
  for (const auto& entry : std::filesystem::directory_iterator(folder / "killed" / "checkpoint"))
    EXPECT_EQ(entry.path().string().find(".partial-"), std::string::npos) << entry.path();
}

TEST(Resume, AfterKillsAtRandomMomentsGivesTheSameBits) {
  TestFolder folder;
  Recipe recipe = small_recipe(folder.path());
  recipe.training.checkpoint_every = 2;
  recipe.training.validate_every = 5;
  recipe.training.average_decay = 0.9;
  recipe.batch.accumulate = 2;
  expect_the_same_after_kills(recipe, folder.path(), 1);
}

TEST(Resume, AfterKillsAveragesTheSameValidations) {
  TestFolder folder;
  Recipe recipe = small_recipe(folder.path());
  recipe.training.checkpoint_every = 3;
  recipe.training.validate_every = 4;
  recipe.training.average = 3;
  recipe.batch.order = "random";
  recipe.training.optimizer = "sgd";
  recipe.training.momentum = 0.9;
  expect_the_same_after_kills(recipe, folder.path(), 2);
}

TEST(Resume, AfterKillsCarriesTheSameStates) {
  TestFolder folder;
  Recipe recipe = small_recipe(folder.path());
  recipe.model.network = "lstm";
  recipe.model.layers = 2;
  recipe.batch.order = "stream";
  recipe.batch.sequences = 3;
  recipe.batch.context_jitter = 0.5;
  recipe.training.softmax_samples = 8;
  recipe.training.steps = 40;  // an epoch is about 22
  recipe.training.checkpoint_every = 3;
  recipe.training.validate_every = 5;
  expect_the_same_after_kills(recipe, folder.path(), 3);
}

TEST(Resume, AfterAnInterruptGivesTheSameBits) {
  TestFolder folder;
  const Recipe recipe = small_recipe(folder.path());
  SmallTraining whole(recipe, folder / "whole");
  EXPECT_EQ(train(whole.run).reason, "steps");
  {
    SmallTraining first(recipe, folder / "parts");
    std::atomic<bool> stop = false;
    first.run.stop = &stop;
    first.run.observer.step = [&](const StepReport& report) { stop = report.step == 10; };
    const TrainingResult result = train(first.run);
    EXPECT_EQ(result.reason, "interrupted");
    EXPECT_EQ(result.progress.step, 10);
  }
  SmallTraining second(recipe, folder / "parts");
  std::string note;
  second.run.observer.note = [&](const std::string& line) { note = line; };
  EXPECT_EQ(train(second.run).reason, "steps");
  EXPECT_EQ(note, "resuming after step 10");
  expect_same_training(folder / "whole", folder / "parts");
}

TEST(Resume, OfATrainingThatHasEndedChangesNothing) {
  TestFolder folder;
  const Recipe recipe = small_recipe(folder.path());
  SmallTraining first(recipe, folder / "model");
  train(first.run);
  const std::string model = contents(folder / "model" / "model.safetensors"),
                    metrics = contents(folder / "model" / "metrics.jsonl");
  SmallTraining again(recipe, folder / "model");
  EXPECT_EQ(train(again.run).progress.step, recipe.training.steps);
  EXPECT_EQ(contents(folder / "model" / "model.safetensors"), model);
  EXPECT_EQ(contents(folder / "model" / "metrics.jsonl"), metrics);
}

TEST(Resume, WithMoreStepsGoesOnAndValidatesAtTheNewEnd) {
  TestFolder folder;
  Recipe recipe = small_recipe(folder.path());
  recipe.training.validate_every = 1000;
  SmallTraining first(recipe, folder / "model");
  train(first.run);
  recipe.training.steps += 6;
  SmallTraining longer(recipe, folder / "model");
  std::vector<std::int64_t> validated;
  longer.run.observer.validated = [&](std::int64_t step, const Measures&, bool) { validated.push_back(step); };
  EXPECT_EQ(train(longer.run).progress.step, recipe.training.steps);
  EXPECT_EQ(validated, std::vector<std::int64_t>{recipe.training.steps});
}

TEST(Resume, WithAnotherRecipeIsRefused) {
  TestFolder folder;
  Recipe recipe = small_recipe(folder.path());
  SmallTraining first(recipe, folder / "model");
  train(first.run);
  recipe.training.rate = 0.5;
  SmallTraining other(recipe, folder / "model");
  expect_error("the checkpoint was made with another recipe or other data", [&] { train(other.run); });
}

TEST(Resume, WithALostLineOfMetricsIsRefused) {
  TestFolder folder;
  const Recipe recipe = small_recipe(folder.path());
  SmallTraining first(recipe, folder / "model");
  train(first.run);
  put(folder / "model" / "metrics.jsonl", "");
  SmallTraining again(recipe, folder / "model");
  expect_error("metrics.jsonl: has fewer bytes than the", [&] { train(again.run); });
}

/// No file of this process may grow beyond so many bytes: what a full disk does, for anyone to try.
class SmallDisk {
 public:
  SmallDisk() : handler_(std::signal(SIGXFSZ, SIG_IGN)) { ::getrlimit(RLIMIT_FSIZE, &before_); }
  ~SmallDisk() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }
  void allow(rlim_t bytes) const {
    const rlimit limit{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }

 private:
  void (*handler_)(int);
  rlimit before_{};
};

TEST(Resume, AfterAFullDiskGoesOnFromTheLastCheckpoint) {
  TestFolder folder;
  const Recipe recipe = small_recipe(folder.path());
  SmallTraining whole(recipe, folder / "whole");
  train(whole.run);
  std::string before;
  {
    SmallTraining full(recipe, folder / "full");
    const SmallDisk disk;
    full.run.observer.step = [&](const StepReport& report) {
      if (report.step != 10) return;
      before = contents(full.checkpoint());
      disk.allow(before.size() / 2);
    };
    const std::string sentence = error_of([&] { train(full.run); });
    EXPECT_NE(sentence.find("last.safetensors"), std::string::npos) << sentence;
    EXPECT_NE(sentence.find("File too large"), std::string::npos) << sentence;
  }
  EXPECT_FALSE(before.empty());
  EXPECT_EQ(contents(folder / "full" / "checkpoint" / "last.safetensors"), before);
  for (const auto& entry : std::filesystem::directory_iterator(folder / "full" / "checkpoint"))
    EXPECT_EQ(entry.path().filename(), "last.safetensors");
  SmallTraining again(recipe, folder / "full");
  train(again.run);
  expect_same_training(folder / "whole", folder / "full");
}

}  // namespace

}  // namespace heed::test
