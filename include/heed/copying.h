#pragma once
#include <heed/model.h>

namespace heed {

/// Words of an answer that are copied from its source: the mixture of copy_cross_entropy (See et al. 2017,
/// arXiv:1704.04368), with an attention of its own over the encoded source.
struct Copying {
  Linear query, key, gate;
  int slot = -1;  ///< its place in a State, which holds the keys and ids of the source
  Copying() = default;
  Copying(std::int64_t width, std::int64_t memory_width, int slot);
  /// Of a model that has this: its last projection makes the vocabulary's part.
  Loss loss(const Model& model, const Var& hidden, const Targets& targets) const;
  void remember(const Var& memory, const TokenRows& source) const;
  /// From logits of the vocabulary, in place, to log-probabilities of the mixture. Row i belongs to the pass's state
  /// sequence_of[i].
  void mix(Pass& pass, const Tensor& hidden, const Tensor& logits, std::span<const std::int32_t> sequence_of) const;
  static void visit(auto& self, auto&& f) { f("query", self.query), f("key", self.key), f("gate", self.gate); }
};

/// Throws Error when source and target have not one vocabulary.
Copying copying_for(const ModelSizes& sizes, std::int64_t width, std::int64_t memory_width, int slot);

}  // namespace heed
