#include "experiments/search_space.h"

#include <gtest/gtest.h>

#include <set>

#include "experiments/small_search.h"

namespace heed::test {

namespace {

TEST(SearchSpace, ReadsListsRangesAndOverrides) {
  TestFolder folder;
  put_space(folder, "strategy = \"random\"\nobjectives = [\"accuracy\", \"parameters\"]",
            "model.layers = [1, 2]\ntraining.rate = { from = 1e-4, to = 1e-2, scale = \"log\" }\n"
            "model.dropout = { from = 0.0, to = 0.6, step = 0.2 }\nvocabulary.size = { from = 10, to = 20 "
            "}\nmodel.pooling = [\"mean\", \"max\"]");
  const SearchSpace space = read_search_space(folder / "space.toml", {"training.epochs=2"});
  ASSERT_EQ(space.dimensions.size(), 5u);
  EXPECT_EQ(space.base.training.epochs, 2.0);
  EXPECT_EQ(space.base.training.best_by, "accuracy");
  EXPECT_TRUE(std::filesystem::path(space.base.data.train.front()).is_absolute());
  EXPECT_EQ(space.dimensions[2].choices, (std::vector<std::string>{"0.0", "0.2", "0.4", "0.6"}));
  EXPECT_EQ(space.count(), 0) << "a range of fractions has no end";
  std::set<std::string> layers, sizes;
  double least = 1.0, most = 0.0;
  int low_rates = 0;
  for (std::uint64_t draw = 0; draw < 200; ++draw) {
    const Point point = space.random_point(draw);
    EXPECT_EQ(point, space.parse(space.json(point)));
    const Recipe recipe = space.recipe(point);
    layers.insert(point[0]);
    sizes.insert(point[3]);
    least = std::min(least, recipe.training.rate);
    most = std::max(most, recipe.training.rate);
    low_rates += recipe.training.rate < 1e-3;
  }
  EXPECT_EQ(layers, (std::set<std::string>{"1", "2"}));
  EXPECT_EQ(sizes.size(), 11u);
  EXPECT_GE(least, 1e-4);
  EXPECT_LT(least, 1.3e-4);
  EXPECT_LE(most, 1e-2);
  EXPECT_NEAR(low_rates, 100, 30) << "half of the ratio lies below the middle of the logarithm";
}

TEST(SearchSpace, AGridHasEveryPointOnce) {
  TestFolder folder;
  const SearchSpace space = read_search_space(
      put_space(folder, "strategy = \"grid\"\ngrid_points = 3",
                "model.layers = [1, 2]\ntraining.rate = { from = 1e-4, to = 1e-2, scale = \"log\" }"));
  EXPECT_EQ(space.count(), 6);
  std::set<Point> points;
  for (std::uint64_t i = 0; i < 6; ++i) points.insert(space.grid_point(i).value());
  EXPECT_EQ(points.size(), 6u);
  EXPECT_TRUE(points.contains({"2", "0.001"}));
  EXPECT_FALSE(space.grid_point(6));
}

struct WrongSpace {
  const char* search;
  const char* space;
  const char* sentence;
};

class WrongSpaces : public ::testing::TestWithParam<WrongSpace> {};

TEST_P(WrongSpaces, AreRefusedInOneSentence) {
  TestFolder folder;
  const auto path = put_space(folder, GetParam().search, GetParam().space);
  const std::string sentence = error_of([&] { read_search_space(path); });
  EXPECT_NE(sentence.find(GetParam().sentence), std::string::npos) << sentence;
  EXPECT_NE(sentence.find("space.toml"), std::string::npos) << sentence;
  EXPECT_EQ(sentence.find('\n'), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(
    SearchSpace, WrongSpaces,
    ::testing::Values(
        WrongSpace{"", "model.layer = [1, 2]", "model.layer: unknown key; did you mean model.layers?"},
        WrongSpace{"", "model.layres = { from = 1, to = 2 }", "did you mean model.layers?"},
        WrongSpace{"", "modle.layers = [1]", "did you mean [model]?"}, WrongSpace{"", "", "the space is empty"},
        WrongSpace{"", "model.layers = []", "space.model.layers: expected a list of values"},
        WrongSpace{"", "model.layers = 3", "expected a list of values"},
        WrongSpace{"", "model.layers = { from = 3, to = 1 }", "the range from 3 to 1 is empty"},
        WrongSpace{"", "model.layers = { from = 1 }", "a range needs from and to"},
        WrongSpace{"", "model.dropout = { from = 0.0, to = 0.5, scale = \"log\" }", "begins above 0"},
        WrongSpace{"", "training.rate = { from = -1.0, to = 1.0 }", "training.rate: expected more than 0"},
        WrongSpace{"", "model.pooling = [\"mean\", \"median\"]", "model.pooling: expected mean, first, max"},
        WrongSpace{"", "data.lowercase = [true, false]", "compared on the same data"},
        WrongSpace{"", "training.epochs = [1, 2]", "rungs are counted by it"},
        WrongSpace{"objectives = [\"bleu\"]", "model.layers = [1]", "\"bleu\" is no metric of this task's validation"},
        WrongSpace{"objectives = [\"speed\"]", "model.layers = [1]",
                   "\"speed\" is no metric of this task's validation"},
        WrongSpace{"objectives = [\"latency\"]", "model.layers = [1]", "the first is a metric of validation"},
        WrongSpace{"strategy = \"annealing\"", "model.layers = [1]", "search.strategy: expected grid, random or asha"},
        WrongSpace{"tirals = 3", "model.layers = [1]", "search.tirals: unknown key"},
        WrongSpace{"first_rung = 9", "model.layers = [1]", "is not below training.epochs = 4"},
        WrongSpace{"rung_by = \"steps\"", "model.layers = [1]", "the recipe has no training.steps"}));

TEST(SearchSpace, NeedsValidationData) {
  TestFolder folder;
  const auto path = put_space(folder, "", "model.layers = [1]");
  expect_error("the recipe has none", [&] { read_search_space(path, {"data.validation_split=0"}); });
}

TEST(SearchSpace, ItsReferenceReadsBack) {
  TestFolder folder;
  put(folder / "train.txt", small_sentences());
  put(folder / "recipe.toml", small_classifier());
  EXPECT_EQ(read_search_space(put(folder / "space.toml", documented_search_space())).dimensions.size(), 5u);
}

}  // namespace

}  // namespace heed::test
