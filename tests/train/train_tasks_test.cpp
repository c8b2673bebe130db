#include "train/train_tasks.h"

#include <gtest/gtest.h>

#include <set>

#include "formats/test_files.h"
#include "models/task_models.h"
#include "tasks/evaluate.h"
#include "train/model_folder.h"

namespace heed::test {

namespace {

/// What animal a sentence speaks of, and whether it is a question: two tasks with words in common.
Recipe two_tasks(const std::filesystem::path& folder) {
  std::string animals, questions;
  for (int i = 0; i < 40; ++i) {
    const std::string verb = i % 3 == 0 ? "sees" : i % 3 == 1 ? "hears" : "likes";
    const std::string animal = i % 2 == 0 ? "cat" : "dog";
    animals += animal + " the " + animal + " " + verb + " me\n";
    questions += i % 4 < 2 ? "yes who " + verb + " me ?\n" : "no she " + verb + " the " + animal + " .\n";
  }
  put(folder / "animals.txt", animals);
  put(folder / "questions.txt", questions);
  return parse_recipe(format(R"(
task = "multi-task"
[tasks.animal]
train = "{}/animals.txt"
[tasks.question]
train = "{}/questions.txt"
weight = 2
[data]
format = "label-lines"
validation_split = 0.25
[vocabulary]
kind = "word"
[batch]
sequences = 6
[model]
kind = "encoder"
network = "gru"
width = 8
layers = 1
dropout = 0.1
pooling = "attention"
[training]
rate = 0.02
epochs = 4
log_every = 1
best_by = "accuracy"
precision = "float32"
)",
                             folder.string(), folder.string()),
                      "r.toml");
}

Measures trained(const Recipe& recipe, const std::filesystem::path& folder, int stop_after = 0) {
  check(recipe);
  ThreadPool pool(1);
  Measures last;
  FolderTraining how{.folder = folder, .pool = &pool};
  std::atomic<bool> stop = false;
  how.stop = &stop;
  how.observer.step = [&](const StepReport& report) { stop = report.step == stop_after; };
  how.observer.validated = [&](std::int64_t, const Measures& measures, bool) { last = measures; };
  train_folder(recipe, how);
  if (stop_after > 0) {
    stop = false;
    how.resume = true;
    how.observer.step = {};
    train_folder(recipe, how);
  }
  return last;
}

TEST(TrainTasks, LearnsBothTasksOverOneEncoder) {
  TestFolder folder;
  const Recipe recipe = two_tasks(folder.path());
  const Measures last = trained(recipe, folder / "m");
  EXPECT_EQ(last.at("animal.accuracy"), 1.0);
  EXPECT_EQ(last.at("question.accuracy"), 1.0);
  EXPECT_NEAR(last.at("loss"), (last.at("animal.loss") + 2 * last.at("question.loss")) / 3, 1e-12);

  EXPECT_EQ(tasks_in(folder / "m"), (std::vector<std::string>{"animal", "question"}));
  const ModelFolder animal = load_model_folder(task_folder(folder / "m", "animal")),
                    question = load_model_folder(task_folder(folder / "m", "question"), true);
  EXPECT_EQ(animal.text.labels.names(), (std::vector<std::string>{"cat", "dog"}));
  EXPECT_EQ(question.text.labels.names(), (std::vector<std::string>{"no", "yes"}));
  Arena arena(1 << 24);
  ThreadPool pool(1);
  const auto likeliest = [&](const ModelFolder& model, const std::string& text) {
    const Tensor p = classify({*model.model, model.text, arena, pool, Precision::float32}, {model.text.input(text)});
    return model.text.labels.names()[p.floats()[1] > p.floats()[0]];
  };
  EXPECT_EQ(likeliest(animal, "the dog sees me"), "dog");
  EXPECT_EQ(likeliest(question, "who sees me ?"), "yes");

  const auto words = [](const ModelFolder& model) { return model.model->weights().front(); };
  EXPECT_EQ(words(animal).first, "encoder.embedding.table");
  for (std::int64_t i = 0; i < words(animal).second.elements(); ++i)
    EXPECT_EQ(words(animal).second.value().floats()[i], words(question).second.value().floats()[i]);
}

TEST(TrainTasks, InterruptedAndGoneOnWithGivesTheSameBits) {
  TestFolder folder;
  const Recipe recipe = two_tasks(folder.path());
  trained(recipe, folder / "whole");
  trained(recipe, folder / "stopped", 7);
  EXPECT_TRUE(contents(folder / "whole" / "model.safetensors") == contents(folder / "stopped" / "model.safetensors"));
}

TEST(TrainTasks, ATasksWeightMultipliesItsGradient) {
  TestFolder folder;
  Recipe recipe = two_tasks(folder.path());
  recipe.training.optimizer = "sgd";
  recipe.training.clip = recipe.training.weight_decay = 0.0;
  recipe.training.epochs = 0;
  recipe.training.steps = 1;
  std::vector<Tensor> after;
  for (const double weight : {1e-9, 1.0, 3.0}) {
    for (TaskConfig& task : recipe.tasks) task.weight = weight;
    const std::filesystem::path into = folder / std::to_string(weight);
    trained(recipe, into);
    after.push_back(load_model_folder(into / "tasks" / "animal").model->weights().front().second.value().clone());
  }
  double moved = 0.0;
  for (std::int64_t i = 0; i < after[0].elements(); ++i) {
    const float start = after[0].floats()[i], once = after[1].floats()[i] - start,
                thrice = after[2].floats()[i] - start;
    EXPECT_NEAR(thrice, 3 * once, 1e-6);
    moved += std::abs(once);
  }
  EXPECT_GT(moved, 0.0);
}

TEST(TrainTasks, AnEpochHasEveryBatchOfEachTaskOnce) {
  TestFolder folder;
  const Recipe recipe = two_tasks(folder.path());
  const std::vector<TextEncoder> texts = make_text_encoders(recipe);
  EXPECT_EQ(texts[0].source, texts[1].source);
  const PreparedData animal = prepare(recipe_of(recipe, recipe.tasks[0]), texts[0], folder / "a"),
                     question = prepare(recipe_of(recipe, recipe.tasks[1]), texts[1], folder / "q");
  const std::vector<TrainedTask> tasks{{"animal", Task::classification, nullptr, animal.train.get()},
                                       {"question", Task::classification, nullptr, question.train.get()}};
  const TaskMixture mixture(tasks, 1), same(tasks, 1);
  std::vector<std::string> orders;
  for (const std::int64_t epoch : {0, 1}) {
    std::set<std::pair<std::string, std::int64_t>> picked;
    std::string order;
    for (std::int64_t i = 0; i < mixture.batches_in_epoch(epoch); ++i) {
      const TaskMixture::Pick pick = mixture.pick(epoch, i);
      picked.emplace(pick.task->name, pick.index);
      order += pick.task->name[0];
      EXPECT_EQ(same.pick(epoch, i).index, pick.index);
    }
    EXPECT_EQ(picked.size(), 10u);
    orders.push_back(order);
  }
  EXPECT_NE(orders[0], orders[1]);
}

TEST(TrainTasks, ATaskTakesWhatItDoesNotSayFromTheData) {
  TestFolder folder;
  const Recipe recipe = two_tasks(folder.path());
  EXPECT_EQ(recipe.tasks[1].data.validation_split, 0.25);
  EXPECT_EQ(recipe.tasks[1].weight, 2.0);
  const std::string text = write_recipe(recipe);
  EXPECT_EQ(parse_recipe(text, "written"), recipe);
  EXPECT_EQ(parse_recipe(text, "written", {"tasks.question.weight=0.5"}).tasks[1].weight, 0.5);
  EXPECT_EQ(parse_recipe(text, "written", {"data.lowercase=true"}).tasks[0].data.lowercase, true);
}

TEST(TrainTasks, RecipesThatDoNotFitAreRefused) {
  TestFolder folder;
  const Recipe right = two_tasks(folder.path());
  const auto refused = [&](const std::string& why, auto&& change) {
    Recipe recipe = right;
    change(recipe);
    expect_error(why, [&] { check(recipe); });
  };
  refused("two or more sections [tasks.NAME], found 1", [](Recipe& r) { r.tasks.pop_back(); });
  refused("is for task = \"multi-task\"", [](Recipe& r) { r.task = "classification"; });
  refused("each step has one batch of one of them", [](Recipe& r) { r.batch.accumulate = 2; });
  refused("[tasks.animal]: data.train: not given", [](Recipe& r) { r.tasks[0].data.train.clear(); });
  refused("letters, digits, - and _ alone", [](Recipe& r) { r.tasks[0].name = "../x"; });
  refused("tasks.animal.weight: expected a number above 0", [](Recipe& r) { r.tasks[0].weight = 0; });
  expect_error("tasks.a.trian: unknown key; a task has task, weight and the keys of [data] (r.toml, line 2, column 9)",
               [] { parse_recipe("[tasks.a]\ntrian = \"x\"\n", "r.toml"); });

  trained(right, folder / "m");
  expect_error("a model of several tasks; name one of animal, question with --task",
               [&] { load_model_folder(folder / "m"); });
  expect_error("has no task mood; its tasks are animal, question", [&] { task_folder(folder / "m", "mood"); });
}

}  // namespace

}  // namespace heed::test
