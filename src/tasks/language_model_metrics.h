#pragma once
#include <heed/error.h>

#include <cmath>
#include <cstdint>
#include <numbers>

namespace heed {

/// How well a model foretells a text: the sum of −ln p over its tokens, and how many tokens and characters (code
/// points) those are. Adds up over texts. Each measure throws Error when what it divides by is 0.
struct LanguageModelLoss {
  double nats = 0;
  int64_t tokens = 0, characters = 0;

  LanguageModelLoss& operator+=(const LanguageModelLoss& other) {
    nats += other.nats;
    tokens += other.tokens;
    characters += other.characters;
    return *this;
  }

  double nats_per_token() const { return nats / counted("tokens", tokens); }
  double bits_per_token() const { return nats_per_token() / std::numbers::ln2; }
  /// Comparable between vocabularies, as the two above are not.
  double bits_per_character() const { return nats / counted("characters", characters) / std::numbers::ln2; }
  /// exp of the mean loss; infinite beyond about e^709.
  double perplexity() const { return std::exp(nats_per_token()); }

 private:
  static double counted(const char* what, int64_t count) {
    if (count <= 0) throw Error("language model loss: over {} {}; a mean needs at least one", count, what);
    return static_cast<double>(count);
  }
};

}  // namespace heed
