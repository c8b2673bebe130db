#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace heed {

/// How often class `truth` was predicted as class `predicted`.
class ConfusionMatrix {
 public:
  explicit ConfusionMatrix(int classes);

  int classes() const { return classes_; }
  int64_t& at(int truth, int predicted) { return counts_[place(truth, predicted)]; }
  int64_t at(int truth, int predicted) const { return counts_[place(truth, predicted)]; }

 private:
  size_t place(int truth, int predicted) const {
    return static_cast<size_t>(truth) * static_cast<size_t>(classes_) + static_cast<size_t>(predicted);
  }

  int classes_;
  std::vector<int64_t> counts_;
};

/// Throws Error when the two differ in length (naming both) or a label is not in 0 … classes − 1 (naming its place).
ConfusionMatrix confusion_matrix(std::span<const int32_t> truth, std::span<const int32_t> predicted, int classes);

/// All 0 … 1; a ratio of nothing to nothing is 0.
struct PrecisionRecall {
  double precision = 0, recall = 0, f1 = 0;
};

struct ClassScores : PrecisionRecall {
  /// Examples truly of this class.
  int64_t support = 0;
};

struct ClassificationScores {
  /// Share of all examples predicted rightly.
  double accuracy = 0;
  /// Means over the averaged classes, each counting alike.
  PrecisionRecall macro;
  /// Of the averaged classes' counts taken together; with all classes, each of the three is the accuracy.
  PrecisionRecall micro;
  /// Of every class, averaged or not.
  std::vector<ClassScores> classes;
};

/// Scores as scikit-learn's precision_recall_fscore_support defines them.
///
/// averaged: the classes that macro and micro take (scikit-learn's `labels`), for instance all but a "none of these";
/// when empty, all that occur as truth or as prediction. Throws Error when one is not a class.
ClassificationScores classification_scores(const ConfusionMatrix& matrix, std::span<const int> averaged = {});

/// Scores of the examples that share a value, for instance of a column that names a group of people: where a slice is
/// worse than the whole, the model is biased against it.
struct ClassificationSlice {
  std::string value;
  ConfusionMatrix matrix;
  ClassificationScores scores;
};

/// One slice a value, in the order of their bytes. Throws Error as confusion_matrix does, and when there is not one
/// value for each example (naming both counts).
std::vector<ClassificationSlice> classification_slices(std::span<const int32_t> truth,
                                                       std::span<const int32_t> predicted,
                                                       std::span<const std::string> values, int classes);

}  // namespace heed
