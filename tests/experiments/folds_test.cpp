#include "experiments/folds.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "experiments/mean_interval.h"
#include "experiments/pareto.h"
#include "formats/test_files.h"

namespace heed::test {

namespace {

std::vector<std::string> skewed_labels() {
  std::vector<std::string> labels;
  for (int i = 0; i < 103; ++i) labels.push_back(i % 10 == 0 ? "rare" : i % 3 == 0 ? "b" : "a");
  return labels;
}

TEST(Folds, HaveTheSameShareOfEveryClassAndTheSameSize) {
  const std::vector<std::string> labels = skewed_labels();
  const std::vector<int> folds = make_folds({labels.size(), labels, {}}, 5, 7);
  std::map<std::string, std::vector<int>> counts;
  std::vector<int> sizes(5, 0);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    counts[labels[i]].resize(5);
    ++counts[labels[i]][static_cast<std::size_t>(folds[i])];
    ++sizes[static_cast<std::size_t>(folds[i])];
  }
  counts["all"] = sizes;
  for (const auto& [name, each] : counts)
    EXPECT_LE(*std::max_element(each.begin(), each.end()) - *std::min_element(each.begin(), each.end()), 1) << name;
}

TEST(Folds, FollowTheSeed) {
  const std::vector<std::string> labels = skewed_labels();
  EXPECT_EQ(make_folds({labels.size(), labels, {}}, 5, 7), make_folds({labels.size(), labels, {}}, 5, 7));
  EXPECT_NE(make_folds({labels.size(), labels, {}}, 5, 7), make_folds({labels.size(), labels, {}}, 5, 8));
}

TEST(Folds, KeepGroupsTogetherAndClassesEven) {
  std::vector<std::string> labels, groups;
  for (int group = 0; group < 30; ++group)
    for (int i = 0; i < 3 + group % 4; ++i) {
      groups.push_back("author " + std::to_string(group));
      labels.push_back(group % 2 == 0 ? "yes" : "no");
    }
  const std::vector<int> folds = make_folds({labels.size(), labels, groups}, 3, 1);
  std::map<std::string, int> fold_of;
  std::map<std::string, std::vector<int>> counts;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    EXPECT_EQ(fold_of.emplace(groups[i], folds[i]).first->second, folds[i]);
    counts[labels[i]].resize(3);
    ++counts[labels[i]][static_cast<std::size_t>(folds[i])];
  }
  for (const auto& [label, each] : counts)
    EXPECT_LE(*std::max_element(each.begin(), each.end()) - *std::min_element(each.begin(), each.end()), 6) << label;
  // As many groups as folds: one each, however unlike they are.
  const std::vector<std::string> files{"a", "a", "a", "a", "b", "c"};
  const std::vector<int> by_file = make_folds({6, {}, files}, 3, 1);
  EXPECT_NE(by_file[4], by_file[5]);
  EXPECT_NE(by_file[0], by_file[4]);
}

TEST(Folds, RefuseWhatCannotBeDivided) {
  const std::vector<std::string> groups{"a", "b", "a"};
  expect_error("2 folds or more, found 1", [&] { make_folds({3, {}, {}}, 1, 1); });
  expect_error("3 examples cannot be divided into 4 folds", [&] { make_folds({3, {}, {}}, 4, 1); });
  expect_error("2 groups cannot be divided into 3 folds", [&] { make_folds({3, {}, groups}, 3, 1); });
}

TEST(Folds, NameAClassThatIsAbsent) {
  const std::vector<std::string> labels{"pos", "neg", "pos", "neg", "pos"};
  const std::vector<int> folds{0, 0, 1, 1, 2};
  expect_error("fold 3 of 3 has no example of the class \"neg\"", [&] { check_classes(labels, folds, 3); });
  const std::vector<int> lonely{0, 1, 0, 0, 1};
  const std::vector<std::string> all{"x", "y", "x", "x", "x"};
  const std::vector<std::string> names{"one.txt", "two.txt"};
  expect_error("one.txt has no example of the class \"y\"", [&] { check_classes(all, lonely, 2, names); });
}

TEST(Folds, OfATextAreBlocks) { EXPECT_EQ(make_blocks(7, 3), (std::vector<int>{0, 0, 0, 1, 1, 2, 2})); }

TEST(MeanInterval, IsStudents) {
  EXPECT_NEAR(student_t(0.95, 1), 12.7062, 1e-4);
  EXPECT_NEAR(student_t(0.95, 2), 4.30265, 1e-5);
  EXPECT_NEAR(student_t(0.95, 8), 2.306004, 1e-6);
  EXPECT_NEAR(student_t(0.99, 9), 3.249836, 1e-6);
  EXPECT_NEAR(student_t(0.95, 1000), 1.962339, 1e-6);
  const std::vector<double> values{0.78, 0.80, 0.79, 0.83};
  const MeanInterval found = mean_interval(values);
  EXPECT_NEAR(found.mean, 0.80, 1e-12);
  EXPECT_NEAR(found.deviation, 0.0216025, 1e-7);
  EXPECT_NEAR(found.half_width, 3.182446 * 0.0216025 / 2, 1e-6);
  EXPECT_TRUE(std::isinf(mean_interval(std::vector<double>{1.0}).half_width));
}

TEST(Pareto, RanksFrontsOneBehindTheOther) {
  const std::vector<Costs> points{{1, 5}, {2, 2}, {5, 1}, {3, 3}, {6, 6}, {2, 2}};
  EXPECT_EQ(domination_ranks(points), (std::vector<int>{0, 0, 0, 1, 2, 0}));
  EXPECT_EQ(from_the_best(points), (std::vector<std::size_t>{0, 1, 5, 2, 3, 4}));
}

}  // namespace

}  // namespace heed::test
