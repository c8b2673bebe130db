#include "experiments/folds.h"

#include <heed/error.h>
#include <heed/random.h>

#include <algorithm>
#include <map>

namespace heed {

namespace {

/// Numbers of equal texts, in the order of their bytes.
struct Numbered {
  std::vector<std::size_t> number;  // of each text
  std::vector<std::string> names;
};

Numbered numbered(std::span<const std::string> texts) {
  std::map<std::string, std::size_t> seen;
  for (const std::string& text : texts) seen.emplace(text, 0);
  Numbered result;
  for (auto& [text, number] : seen) {
    number = result.names.size();
    result.names.push_back(text);
  }
  for (const std::string& text : texts) result.number.push_back(seen.at(text));
  return result;
}

void check_counts(std::size_t things, const char* what, int folds) {
  if (folds < 2) throw Error("cross-validation needs 2 folds or more, found {}", folds);
  if (things < static_cast<std::size_t>(folds))
    throw Error("{} {} cannot be divided into {} folds; choose fewer folds", things, what, folds);
}

/// How far the folds are from having the same share of every class; smaller is better.
double unevenness(const std::vector<std::vector<double>>& shares) {
  double sum = 0.0;
  for (std::size_t c = 0; c < shares.front().size(); ++c) {
    double mean = 0.0, squares = 0.0;
    for (const auto& fold : shares) mean += fold[c] / static_cast<double>(shares.size());
    for (const auto& fold : shares) squares += (fold[c] - mean) * (fold[c] - mean);
    sum += squares;
  }
  return sum;
}

std::vector<int> grouped_folds(const Numbered& classes, const Numbered& groups, int folds, RandomKey key) {
  const std::size_t class_count = classes.names.size();
  std::vector<std::vector<double>> counts(groups.names.size(), std::vector<double>(class_count, 0.0));
  std::vector<double> class_sizes(class_count, 0.0);
  std::vector<std::int64_t> sizes(groups.names.size(), 0);
  for (std::size_t i = 0; i < groups.number.size(); ++i) {
    counts[groups.number[i]][classes.number[i]] += 1.0;
    class_sizes[classes.number[i]] += 1.0;
    ++sizes[groups.number[i]];
  }
  std::vector<std::int64_t> order = permutation(key, static_cast<std::int64_t>(groups.names.size()));
  std::stable_sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) {
    return sizes[static_cast<std::size_t>(a)] > sizes[static_cast<std::size_t>(b)];
  });
  std::vector<std::vector<double>> shares(static_cast<std::size_t>(folds), std::vector<double>(class_count, 0.0));
  std::vector<int> fold_of_group(groups.names.size(), 0);
  std::size_t left = order.size();
  for (const std::int64_t place : order) {
    const auto group = static_cast<std::size_t>(place);
    const auto empty = std::count_if(shares.begin(), shares.end(), [](const auto& fold) {
      return *std::max_element(fold.begin(), fold.end()) == 0.0;
    });
    double least = 0.0;
    int best = -1;
    for (int fold = 0; fold < folds; ++fold) {
      auto& share = shares[static_cast<std::size_t>(fold)];
      const bool is_empty = *std::max_element(share.begin(), share.end()) == 0.0;
      if (static_cast<std::size_t>(empty) == left && !is_empty) continue;  // no fold stays without a group
      const std::vector<double> before = share;
      for (std::size_t c = 0; c < class_count; ++c) share[c] += counts[group][c] / class_sizes[c];
      const double found = unevenness(shares);
      share = before;
      if (best < 0 || found < least - 1e-12) best = fold, least = found;
    }
    auto& share = shares[static_cast<std::size_t>(best)];
    for (std::size_t c = 0; c < class_count; ++c) share[c] += counts[group][c] / class_sizes[c];
    fold_of_group[group] = best;
    --left;
  }
  std::vector<int> result;
  for (const std::size_t group : groups.number) result.push_back(fold_of_group[group]);
  return result;
}

}  // namespace

std::vector<int> make_folds(const FoldMaterial& material, int folds, std::uint64_t seed) {
  const RandomKey key = RandomKey{seed}.fold(0x666f6c6473);
  const std::vector<std::string> alike(material.labels.empty() ? material.examples : 0);
  const Numbered classes = numbered(material.labels.empty() ? std::span<const std::string>(alike) : material.labels);
  if (!material.groups.empty()) {
    const Numbered groups = numbered(material.groups);
    check_counts(groups.names.size(), "groups", folds);
    return grouped_folds(classes, groups, folds, key);
  }
  check_counts(material.examples, "examples", folds);
  // Each class shuffled and dealt out; the next goes on where it ended, so that sizes differ by one at most.
  std::vector<std::vector<std::size_t>> members(classes.names.size());
  for (std::size_t i = 0; i < classes.number.size(); ++i) members[classes.number[i]].push_back(i);
  std::vector<int> result(material.examples, 0);
  int next = 0;
  for (std::size_t c = 0; c < members.size(); ++c) {
    shuffle(key.fold(c), members[c]);
    for (const std::size_t example : members[c]) {
      result[example] = next;
      next = (next + 1) % folds;
    }
  }
  return result;
}

std::vector<int> make_blocks(std::size_t examples, int folds) {
  check_counts(examples, "lines", folds);
  std::vector<int> result;
  for (std::size_t i = 0; i < examples; ++i)
    result.push_back(static_cast<int>(i * static_cast<std::size_t>(folds) / examples));
  return result;
}

void check_classes(std::span<const std::string> labels, std::span<const int> folds, int count,
                   std::span<const std::string> names) {
  const Numbered classes = numbered(labels);
  std::vector<std::vector<std::int64_t>> found(static_cast<std::size_t>(count),
                                               std::vector<std::int64_t>(classes.names.size(), 0));
  std::vector<std::int64_t> all(classes.names.size(), 0);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    ++found[static_cast<std::size_t>(folds[i])][classes.number[i]];
    ++all[classes.number[i]];
  }
  for (std::size_t fold = 0; fold < found.size(); ++fold)
    for (std::size_t c = 0; c < all.size(); ++c) {
      const std::string name = names.empty() ? format("fold {} of {}", fold + 1, count) : names[fold];
      if (found[fold][c] == 0)
        throw Error(
            "{} has no example of the class \"{}\", which has {} in all: it cannot be measured there; choose fewer "
            "folds, other groups, or leave the class out",
            name, classes.names[c], all[c]);
      if (found[fold][c] == all[c])
        throw Error(
            "{} has all {} examples of the class \"{}\": the training without it could not learn the class; choose "
            "other folds or groups, or leave the class out",
            name, all[c], classes.names[c]);
    }
}

}  // namespace heed
