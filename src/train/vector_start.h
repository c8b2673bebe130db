#pragma once
#include <heed/model.h>

#include <string>

#include "text/examples.h"
#include "train/recipe.h"

namespace heed {

/// How much of a vocabulary a file of word vectors knows.
struct VectorStart {
  std::int64_t words = 0, known = 0;
  double unknown_rate() const {
    return words > 0 ? 1.0 - static_cast<double>(known) / static_cast<double>(words) : 0.0;
  }
};

/// Puts the vectors of vocabulary.vectors (a file of them, or a model folder: those of its input) into the embeddings
/// of the input: a word's own or, failing that, its lower-case form's. Words without a vector keep what they have.
/// Throws Error naming both widths when they differ, when no word of the vocabulary is known, and what
/// load_word_vectors or load_model_folder throws.
VectorStart start_from_vectors(Model& model, const Recipe& recipe, const TextEncoder& text);

/// Whether a weight of this name is the table of the input's embeddings. `kind`: model.kind.
bool is_input_embedding(const std::string& name, const std::string& kind);

}  // namespace heed
