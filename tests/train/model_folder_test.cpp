#include "train/model_folder.h"

#include <gtest/gtest.h>

#include "train/small_training.h"

namespace heed::test {

namespace {

/// A trained model folder at folder/model.
void make_model_folder(const TestFolder& folder) {
  const Recipe recipe = small_recipe(folder.path());
  SmallTraining training(recipe, folder / "model");
  write_model_folder(folder / "model", recipe, training.data.text);
  train(training.run);
}

void replace(const std::filesystem::path& file, const std::string& from, const std::string& to) {
  std::string text = contents(file);
  const auto place = text.find(from);
  ASSERT_NE(place, std::string::npos) << from << " in " << text;
  put(file, text.replace(place, from.size(), to));
}

TEST(ModelFolder, LoadsWhereverItIsMoved) {
  TestFolder folder;
  make_model_folder(folder);
  const ModelFolder before = load_model_folder(folder / "model");
  std::filesystem::create_directories(folder / "far" / "away");
  std::filesystem::rename(folder / "model", folder / "far" / "away" / "renamed");
  std::filesystem::remove(folder / "text.txt");
  const ModelFolder after = load_model_folder(folder / "far" / "away" / "renamed", true);
  EXPECT_EQ(after.recipe, before.recipe);
  EXPECT_EQ(after.sizes, before.sizes);
  EXPECT_EQ(after.text.source->fingerprint(), before.text.source->fingerprint());
  const auto of_before = before.model->weights(), of_after = after.model->weights();
  ASSERT_EQ(of_before.size(), of_after.size());
  for (std::size_t i = 0; i < of_after.size(); ++i) {
    const Tensor &a = of_before[i].second.value(), &b = of_after[i].second.value();
    EXPECT_EQ(std::memcmp(a.data(), b.data(), static_cast<std::size_t>(a.bytes())), 0) << of_after[i].first;
  }
}

TEST(ModelFolder, OfALaterFormatIsRefused) {
  TestFolder folder;
  make_model_folder(folder);
  replace(folder / "model" / "heed.json", "\"format_version\": 1", "\"format_version\": 2");
  expect_error("heed.json: format version 2, this heed reads up to 1; use a newer heed",
               [&] { load_model_folder(folder / "model"); });
}

TEST(ModelFolder, ThatIsNoneIsNamed) {
  TestFolder folder;
  expect_error("nowhere: no such model folder", [&] { load_model_folder(folder / "nowhere"); });
  expect_error("not a model folder (it has no heed.json); `heed train RECIPE --out FOLDER` makes one",
               [&] { load_model_folder(folder.path()); });
}

TEST(ModelFolder, WithoutWeightsYetHasADescription) {
  TestFolder folder;
  const Recipe recipe = small_recipe(folder.path());
  SmallTraining training(recipe, folder / "model");
  write_model_folder(folder / "model", recipe, training.data.text);
  EXPECT_EQ(load_model_description(folder / "model").sizes, sizes_of(training.data.text));
  expect_error("has no model.safetensors yet; `heed train --resume", [&] { load_model_folder(folder / "model"); });
}

TEST(ModelFolder, AlteredFilesAreOneClearErrorEach) {
  TestFolder folder;
  make_model_folder(folder);
  const std::filesystem::path model = folder / "model";
  for (const char* name : {"heed.json", "recipe.toml", "source.json", "model.safetensors"}) {
    const std::string whole = contents(model / name);
    put(model / name, whole.substr(0, whole.size() / 2));
    EXPECT_NE(error_of([&] { load_model_folder(model, true); }).find(name), std::string::npos) << name;
    put(model / name, "");
    EXPECT_NE(error_of([&] { load_model_folder(model, true); }).find(name), std::string::npos) << name << " empty";
    put(model / name, whole);
  }
  std::string altered = contents(model / "model.safetensors");
  altered.back() = static_cast<char>(altered.back() ^ 1);
  put(model / "model.safetensors", altered);
  EXPECT_NE(error_of([&] { load_model_folder(model, true); }).find("model.safetensors"), std::string::npos);
}

TEST(ModelFolder, NamesAFieldThatIsMissing) {
  TestFolder folder;
  make_model_folder(folder);
  replace(folder / "model" / "heed.json", "\"lowercase\": false", "\"lowercase\": 7.5");
  expect_error("\"lowercase\" is missing or of another type: the file is altered",
               [&] { load_model_folder(folder / "model"); });
  replace(folder / "model" / "heed.json", "\"task\"", "\"tusk\"");
  expect_error("\"task\" is missing or of another type: the file is altered",
               [&] { load_model_folder(folder / "model"); });
}

TEST(ModelFolder, WithARecipeOfAnotherModelNamesTheWeight) {
  TestFolder folder;
  make_model_folder(folder);
  replace(folder / "model" / "recipe.toml", "layers = 1", "layers = 2");
  expect_error("the weight decoder.layers.1.norm1.gain is missing: the file is of another architecture",
               [&] { load_model_folder(folder / "model"); });
}

}  // namespace

}  // namespace heed::test
