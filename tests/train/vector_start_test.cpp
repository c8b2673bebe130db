#include "train/vector_start.h"

#include <gtest/gtest.h>

#include "tasks/loss.h"
#include "train/small_training.h"

namespace heed::test {
namespace {

/// A classifier of words whose classes are skewed: six of "a", two of "b".
Recipe classifier(const TestFolder& folder) {
  Recipe recipe = small_recipe(folder.path());
  recipe.task = "classification";
  recipe.data.train = {
      put(folder / "train.txt", "a Red green\na blue\na red\na blue\na green\na red\nb blue\nb green\n").string()};
  recipe.data.validation_split = 0;
  recipe.vocabulary.kind = "word";
  recipe.model.kind = "encoder";
  recipe.model.width = 4;
  return recipe;
}

TEST(VectorStart, PutsTheVectorsOfKnownWordsIntoTheEmbeddings) {
  const TestFolder folder;
  Recipe recipe = classifier(folder);
  recipe.vocabulary.vectors = put(folder / "vectors", "red 1 2 3 4\nblue 5 6 7 8\nother 9 9 9 9\n").string();
  const TextEncoder text = make_text_encoder(recipe);
  const auto model = make_model(recipe.model, sizes_of(text));
  model->initialise(RandomKey{1});
  const VectorStart start = start_from_vectors(*model, recipe, text);
  EXPECT_EQ(start.words, 4);
  EXPECT_EQ(start.known, 3);  // Red by its lower case
  EXPECT_EQ(start.unknown_rate(), 0.25);
  for (auto& [name, weight] : model->weights())
    if (is_input_embedding(name, "encoder")) {
      EXPECT_EQ(weight.value().floats()[4 * text.source->encode("blue").front() + 2], 7);
      EXPECT_EQ(weight.value().floats()[4 * text.source->encode("Red").front()], 1);
    }

  put(folder / "vectors", "red 1 2 3\n");
  expect_error("its vectors are 3 wide, and the model's embeddings 4",
               [&] { start_from_vectors(*model, recipe, text); });
  put(folder / "vectors", "rot 1 2 3 4\n");
  expect_error("none of the vocabulary's 4 words has a vector", [&] { start_from_vectors(*model, recipe, text); });
}

TEST(VectorStart, TakesTheEmbeddingsOfATrainedModel) {
  const TestFolder folder;
  Recipe language = small_recipe(folder.path());
  put(folder / "text.txt", "the cat is red and the dog is blue\nthe dog is green\n");
  language.vocabulary.kind = "word";
  language.model.width = 4;
  language.data.validation_split = 0;
  const TextEncoder words = make_text_encoder(language);
  const auto trained = make_model(language.model, sizes_of(words));
  trained->initialise(RandomKey{5});
  write_model_folder(folder / "words", language, words);
  write_safetensors(folder / "words" / "model.safetensors", named_weights(*trained));
  const auto row = [](Model& model, const TextEncoder& text, const std::string& word) {
    for (auto& [name, weight] : model.weights())
      if (name.ends_with("embedding.table")) {
        const float* values = weight.value().floats() + 4 * text.source->encode(word).front();
        return std::vector<float>(values, values + 4);
      }
    return std::vector<float>();
  };

  Recipe recipe = classifier(folder);
  recipe.vocabulary.vectors = (folder / "words").string();
  const TextEncoder text = make_text_encoder(recipe);
  const auto model = make_model(recipe.model, sizes_of(text));
  model->initialise(RandomKey{1});
  const VectorStart start = start_from_vectors(*model, recipe, text);
  EXPECT_EQ(start.known, 4);
  EXPECT_EQ(row(*model, text, "blue"), row(*trained, words, "blue"));
  EXPECT_EQ(row(*model, text, "Red"), row(*trained, words, "red"));
  recipe.vocabulary.vectors = folder.path().string();
  expect_error("not a model folder", [&] { start_from_vectors(*model, recipe, text); });
}

TEST(VectorStart, FrozenEmbeddingsStayAsTheyAre) {
  const TestFolder folder;
  Recipe recipe = classifier(folder);
  recipe.vocabulary.vectors = put(folder / "vectors", "red 1 2 3 4\n").string();
  recipe.vocabulary.freeze_vectors = true;
  SmallTraining training(recipe, folder / "model");
  training.run.validate = {};
  start_from_vectors(*training.model, recipe, training.data.text);
  const auto table = [&] {
    for (auto& [name, weight] : training.model->weights())
      if (is_input_embedding(name, "encoder"))
        return std::vector<float>(weight.value().floats(), weight.value().floats() + weight.elements());
    return std::vector<float>{};
  };
  const std::vector<float> before = table();
  train(training.run);
  EXPECT_EQ(before, table());
  EXPECT_FALSE(before.empty());
}

TEST(ClassWeights, AreScaledSoThatTheirMeanOverTheExamplesIsOne) {
  const TestFolder folder;
  Recipe recipe = classifier(folder);
  recipe.training.class_weights = {"balanced"};
  EXPECT_EQ(prepare(recipe, make_text_encoder(recipe), folder / "m").class_weights,
            (std::vector<float>{8.0f / 12, 2.0f}));
  recipe.training.class_weights = {"b=3"};
  EXPECT_EQ(prepare(recipe, make_text_encoder(recipe), folder / "m").class_weights,
            (std::vector<float>{8.0f / 12, 2.0f}));
  for (const char* wrong : {"b=0", "b", "b=x"}) {
    recipe.training.class_weights = {wrong};
    expect_error("a label, = and a weight above 0", [&] { prepare(recipe, make_text_encoder(recipe), folder / "m"); });
  }
  recipe.training.class_weights = {"c=1"};
  expect_error("\"c\" was never seen", [&] { prepare(recipe, make_text_encoder(recipe), folder / "m"); });
}

TEST(ClassWeights, MultiplyTheLossOfTheirClass) {
  const TestFolder folder;
  const Recipe recipe = classifier(folder);
  SmallTraining training(recipe, folder / "model");
  Arena arena;
  const PackedBatch batch = training.data.train->batch(0, 0);
  const auto loss = [&](std::vector<float> weights) {
    Pass pass(arena, training.pool);
    const Loss found = batch_loss(Task::classification, *training.model, pass, batch, 0.0f, weights);
    EXPECT_EQ(found.count, 8);
    return found.total;
  };
  EXPECT_NEAR(loss({3, 5}), 3 * loss({1, 0}) + 5 * loss({0, 1}), 1e-4);
  EXPECT_NEAR(loss({}), loss({1, 1}), 1e-6);
}

}  // namespace
}  // namespace heed::test
