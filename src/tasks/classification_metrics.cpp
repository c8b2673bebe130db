#include "tasks/classification_metrics.h"

#include <heed/error.h>

#include <map>
#include <utility>

namespace heed {

namespace {

struct ClassCounts {
  int64_t right = 0, truth = 0, predicted = 0;

  ClassCounts& operator+=(const ClassCounts& other) {
    right += other.right;
    truth += other.truth;
    predicted += other.predicted;
    return *this;
  }
};

double ratio(int64_t part, int64_t whole) { return whole ? static_cast<double>(part) / static_cast<double>(whole) : 0; }

PrecisionRecall scores_of(const ClassCounts& counts) {
  return {.precision = ratio(counts.right, counts.predicted),
          .recall = ratio(counts.right, counts.truth),
          .f1 = ratio(2 * counts.right, counts.truth + counts.predicted)};
}

}  // namespace

ConfusionMatrix::ConfusionMatrix(int classes) : classes_(classes) {
  if (classes < 1) throw Error("confusion matrix: {} classes; there must be at least 1", classes);
  counts_.resize(static_cast<size_t>(classes) * static_cast<size_t>(classes));
}

ConfusionMatrix confusion_matrix(std::span<const int32_t> truth, std::span<const int32_t> predicted, int classes) {
  if (truth.size() != predicted.size())
    throw Error("confusion matrix: {} true labels, but {} predictions; each example needs one of either", truth.size(),
                predicted.size());
  ConfusionMatrix matrix(classes);
  const auto check = [&](const char* what, int32_t label, size_t i) {
    if (label < 0 || label >= classes)
      throw Error("confusion matrix: {} {} is {}, not in 0 to {}", what, i, label, classes - 1);
  };
  for (size_t i = 0; i < truth.size(); ++i) {
    check("true label", truth[i], i);
    check("prediction", predicted[i], i);
    ++matrix.at(truth[i], predicted[i]);
  }
  return matrix;
}

ClassificationScores classification_scores(const ConfusionMatrix& matrix, std::span<const int> averaged) {
  const int classes = matrix.classes();
  std::vector<ClassCounts> counts(static_cast<size_t>(classes));
  ClassCounts all;
  for (int c = 0; c < classes; ++c) {
    ClassCounts& of = counts[static_cast<size_t>(c)];
    of.right = matrix.at(c, c);
    for (int other = 0; other < classes; ++other) {
      of.truth += matrix.at(c, other);
      of.predicted += matrix.at(other, c);
    }
    all += of;
  }

  std::vector<int> chosen(averaged.begin(), averaged.end());
  for (const int c : chosen)
    if (c < 0 || c >= classes) throw Error("classification scores: class {} is not in 0 to {}", c, classes - 1);
  if (chosen.empty())
    for (int c = 0; c < classes; ++c)
      if (counts[static_cast<size_t>(c)].truth + counts[static_cast<size_t>(c)].predicted > 0) chosen.push_back(c);

  ClassificationScores scores;
  scores.accuracy = ratio(all.right, all.truth);
  for (const ClassCounts& of : counts) scores.classes.push_back({scores_of(of), of.truth});
  ClassCounts together;
  for (const int c : chosen) {
    const ClassScores& of = scores.classes[static_cast<size_t>(c)];
    const auto share = 1 / static_cast<double>(chosen.size());
    scores.macro.precision += share * of.precision;
    scores.macro.recall += share * of.recall;
    scores.macro.f1 += share * of.f1;
    together += counts[static_cast<size_t>(c)];
  }
  scores.micro = scores_of(together);
  return scores;
}

std::vector<ClassificationSlice> classification_slices(std::span<const int32_t> truth,
                                                       std::span<const int32_t> predicted,
                                                       std::span<const std::string> values, int classes) {
  if (truth.size() != values.size())
    throw Error("classification slices: {} true labels, but {} values; each example needs one of either", truth.size(),
                values.size());
  confusion_matrix(truth, predicted, classes);  // checks what the slices would with places of their own
  std::map<std::string, std::pair<std::vector<int32_t>, std::vector<int32_t>>> by_value;
  for (size_t i = 0; i < values.size(); ++i) {
    auto& [of_truth, of_predicted] = by_value[values[i]];
    of_truth.push_back(truth[i]);
    of_predicted.push_back(predicted[i]);
  }
  std::vector<ClassificationSlice> slices;
  for (const auto& [value, labels] : by_value) {
    ConfusionMatrix matrix = confusion_matrix(labels.first, labels.second, classes);
    ClassificationScores scores = classification_scores(matrix);
    slices.push_back({value, std::move(matrix), std::move(scores)});
  }
  return slices;
}

}  // namespace heed
