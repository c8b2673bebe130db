#pragma once
#include <heed/attention.h>

#include <vector>

/// The six normalisers of one query's scores, and their derivatives.
namespace heed::attention::reference {

struct Normalised {
  std::vector<double> weights;
  /// What attention_forward stores as log_sum_exp. The threshold of a query without keys is +∞: nothing exceeds it.
  double log_sum_exp = 0.0;
  double sink_weight = 0.0;  ///< what the extra logit takes
};

/// `scores` of the keys that the query may see. `sink`: the extra logit, −∞ for none.
/// softmax: exp(s − log_sum_exp); sparsemax: max(s − threshold, 0); entmax15: max(s/2 − threshold, 0)².
Normalised normalise(Normaliser normaliser, const std::vector<double>& scores, double sink);

struct ScoreGradients {
  std::vector<double> scores;
  double sink = 0.0;
};
ScoreGradients normalise_backward(Normaliser normaliser, const Normalised& forward,
                                  const std::vector<double>& dweights);

}  // namespace heed::attention::reference
