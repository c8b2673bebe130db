#include <heed/attention.h>

namespace heed {

std::string_view name_of(Score score) {
  switch (score) {
    case Score::scaled_dot:
      return "scaled_dot";
    case Score::dot:
      return "dot";
    case Score::bilinear:
      return "bilinear";
    case Score::cosine:
      return "cosine";
    case Score::euclidean:
      return "euclidean";
    case Score::additive:
      return "additive";
  }
  return "unknown";
}

std::string_view name_of(Normaliser normaliser) {
  switch (normaliser) {
    case Normaliser::softmax:
      return "softmax";
    case Normaliser::softmax_zero:
      return "softmax_zero";
    case Normaliser::softmax_sink:
      return "softmax_sink";
    case Normaliser::sigmoid:
      return "sigmoid";
    case Normaliser::sparsemax:
      return "sparsemax";
    case Normaliser::entmax15:
      return "entmax15";
  }
  return "unknown";
}

std::string AttentionSpec::text() const {
  std::string text = format("{} of {} scores, mask {}", name_of(normaliser), name_of(score), mask);
  if (scale) text += format(", scale {}", *scale);
  if (soft_cap != 0.0f) text += format(", soft cap {}", soft_cap);
  if (rule) text += format(", rule {}", rule);
  if (dropout != 0.0f) text += format(", dropout {}", dropout);
  return text;
}

}  // namespace heed
