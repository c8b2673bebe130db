#pragma once
#include <heed/detail/field.h>

#include <cstdint>
#include <string>
#include <vector>

namespace heed {

/// The recipe's [model]: a Transformer of any of the usual layouts (a family, BERT, GPT-2, Llama, Marian, T5, …, is
/// such a configuration), or a recurrent network.
struct ModelConfig {
  std::string kind = "decoder";
  std::string network = "transformer";
  std::int64_t width = 256;
  std::int64_t heads = 4;
  std::int64_t key_value_heads = 0;
  std::int64_t head_width = 0;
  std::int64_t layers = 4;
  std::int64_t decoder_layers = 0;
  std::int64_t feed_forward = 0;
  std::string activation = "gelu";
  bool gated = false;
  std::string norm = "layer";
  std::string norm_place = "pre";
  double epsilon = 1e-5;
  bool bias = true;
  std::string position = "sinusoidal";
  double rotary_base = 10000.0;
  std::int64_t relative_buckets = 32;
  std::int64_t relative_distance = 128;
  std::int64_t context = 512;
  std::int64_t window = 0;
  bool embedding_scale = false;
  bool embedding_norm = false;
  std::string tied = "output";
  double dropout = 0.1;
  double attention_dropout = -1.0;
  double embedding_dropout = -1.0;
  double activation_dropout = 0.0;
  double recurrent_dropout = 0.0;
  std::string pooling = "mean";
  bool segments = false;
  bool final_norm = true;
  std::int64_t embedding_width = 0;
  std::string bidirectional = "auto";
  std::int64_t gate_biases = 1;
  bool reset_after = true;
  bool residual = false;
  std::string recurrent_start = "uniform";
  std::vector<std::int64_t> kernel_widths;
  std::int64_t filters = 0;
  std::int64_t ngrams = 1;
  std::int64_t ngram_buckets = 65536;
  bool pool_embeddings = false;
  double word_dropout = 0.0;
  std::string state_attention = "none";
  std::string pooling_score = "additive";
  std::string decoder_attention = "top";
  std::string attention_score = "scaled_dot";
  bool input_feeding = false;
  bool copy = false;

  // Keys whose default is another key's value.
  std::int64_t embedded() const { return embedding_width > 0 ? embedding_width : width; }
  std::int64_t width_of_head() const { return head_width > 0 ? head_width : width / heads; }
  std::int64_t layers_of_decoder() const { return decoder_layers > 0 ? decoder_layers : layers; }
  float embedding_rate() const { return rate_or_general(embedding_dropout); }
  float attention_rate() const { return rate_or_general(attention_dropout); }
  float rate_or_general(double own) const { return static_cast<float>(own < 0.0 ? dropout : own); }

  bool operator==(const ModelConfig&) const = default;
  static void fields(auto& self, auto&& f) {
    f("kind", self.kind, "decoder (language model), encoder (classifier), or encoder-decoder",
      one_of({"decoder", "encoder", "encoder-decoder"}));
    f("network", self.network,
      "transformer, lstm, gru, rnn (tanh, or relu if that is the activation); classifiers also: convolution, bag (no "
      "layers: the embeddings themselves are pooled)",
      one_of({"transformer", "lstm", "gru", "rnn", "convolution", "bag"}));
    f("width", self.width, "d_model; recurrent: width of a layer's state, of each direction", at_least(1));
    f("heads", self.heads, "attention heads", at_least(1));
    f("key_value_heads", self.key_value_heads, "heads of keys and values, each shared by a group of heads; 0: as heads",
      at_least(0));
    f("head_width", self.head_width, "width of a head; 0: width / heads", at_least(0));
    f("layers", self.layers, "layers; encoder-decoder: of the encoder", at_least(0));
    f("decoder_layers", self.decoder_layers, "encoder-decoder: layers of the decoder; 0: as layers", at_least(0));
    f("feed_forward", self.feed_forward, "inner width of the feed-forward network; 0: 4 x width", at_least(0));
    f("activation", self.activation, "relu, gelu, gelu_tanh or silu", one_of({"relu", "gelu", "gelu_tanh", "silu"}));
    f("gated", self.gated, "gated feed-forward network: act(gate(x)) * up(x) (GEGLU, SwiGLU)");
    f("norm", self.norm, "layer (LayerNorm) or rms (RMSNorm)", one_of({"layer", "rms"}));
    f("norm_place", self.norm_place,
      "pre (before each sublayer), post (after each residual sum) or post-final (and after the last layer)",
      one_of({"pre", "post", "post-final"}));
    f("epsilon", self.epsilon, "added to the norms' variance", above(0));
    f("bias", self.bias, "biases in linear layers and layer norms");
    f("position", self.position, "sinusoidal, learned, rotary, alibi, t5 (relative buckets) or none",
      one_of({"sinusoidal", "learned", "rotary", "alibi", "t5", "none"}));
    f("rotary_base", self.rotary_base, "rotary: the base of the wavelengths", above(1));
    f("relative_buckets", self.relative_buckets, "t5: number of buckets", at_least(2));
    f("relative_distance", self.relative_distance, "t5: distance from which one bucket serves all", at_least(2));
    f("context", self.context, "longest sequence in tokens", at_least(1));
    f("window", self.window, "self-attention sees only this many positions to each side; 0: all", at_least(0));
    f("embedding_scale", self.embedding_scale, "multiply embeddings by sqrt(width)");
    f("embedding_norm", self.embedding_norm, "normalise the embedded input (BERT)");
    f("tied", self.tied, "none, output (the output projection is the target's embedding), all (the source's too)",
      one_of({"none", "output", "all"}));
    f("dropout", self.dropout, "rate after each sublayer", at_least_below(0, 1));
    f("attention_dropout", self.attention_dropout, "rate in attention weights; -1: as dropout",
      at_least_below(0, 1).or_exactly(-1));
    f("embedding_dropout", self.embedding_dropout, "rate on the embedded input; -1: as dropout",
      at_least_below(0, 1).or_exactly(-1));
    f("activation_dropout", self.activation_dropout, "rate inside the feed-forward network", at_least_below(0, 1));
    f("recurrent_dropout", self.recurrent_dropout,
      "recurrent: rate in the states' matrices, drawn once a batch (DropConnect: Merity et al. 2018); decoders that "
      "attend have none",
      at_least_below(0, 1));
    f("pooling", self.pooling,
      "classification: mean, first, max or attention (one learned query) over the tokens; recurrent also: "
      "class-attention (one query a class), self-attention (every token's, then the mean), last (the final states)",
      one_of({"mean", "first", "max", "attention", "class-attention", "self-attention", "last"}));
    f("segments", self.segments,
      "question answering, transformer: tokens carry an embedding of whether they are the question's or the passage's");
    f("final_norm", self.final_norm, "pre-norm: a norm after the last layer");
    f("embedding_width", self.embedding_width, "recurrent, convolution, bag: width of the embeddings; 0: as width",
      at_least(0));
    f("bidirectional", self.bidirectional,
      "recurrent encoders: layers that go in both directions: none, first, all, or auto (all)",
      one_of({"auto", "none", "first", "all"}));
    f("gate_biases", self.gate_biases, "recurrent: biases of a gate, 1, or 2 (one of the state's product, too)",
      between(1, 2));
    f("reset_after", self.reset_after, "gru: the reset gate after the recurrent product, else before it");
    f("residual", self.residual, "recurrent: a layer as wide as its input adds it");
    f("recurrent_start", self.recurrent_start,
      "recurrent: first values of the states' matrices: uniform, or orthogonal (each gate's)",
      one_of({"uniform", "orthogonal"}));
    f("kernel_widths", self.kernel_widths,
      "convolution: tokens that the kernels of a layer span, side by side, such as [3, 4, 5]; a recurrent classifier "
      "has one such layer beneath the others, if any",
      between(1, 64));
    f("filters", self.filters, "convolutions of each kernel width; 0: as width", at_least(0));
    f("ngrams", self.ngrams,
      "recurrent, convolution, bag: to the embedding of a token those of the groups of 2 to so many tokens that end "
      "with it are added (Joulin et al. 2016); 1: none",
      between(1, 8));
    f("ngram_buckets", self.ngram_buckets, "embeddings that groups of tokens share, by a hash", at_least(1));
    f("pool_embeddings", self.pool_embeddings,
      "recurrent, convolution: the rows that are pooled are the states beside the embeddings that they were made from");
    f("word_dropout", self.word_dropout,
      "recurrent, convolution, bag: in training, tokens are read as the unknown one at this rate",
      at_least_below(0, 1));
    f("state_attention", self.state_attention,
      "recurrent decoders: causal attention over the states, by its score: none, dot, scaled_dot, cosine or euclidean",
      one_of({"none", "dot", "scaled_dot", "cosine", "euclidean"}));
    f("decoder_attention", self.decoder_attention,
      "recurrent encoder-decoder: the states that attend to the source: of the top layer (Luong et al. 2015), or of "
      "the lowest, whose context all layers above it read (Wu et al. 2016)",
      one_of({"top", "lowest"}));
    f("attention_score", self.attention_score,
      "recurrent encoder-decoder: scaled_dot, dot, additive (Bahdanau et al. 2015), cosine or euclidean",
      one_of({"scaled_dot", "dot", "additive", "cosine", "euclidean"}));
    f("input_feeding", self.input_feeding,
      "recurrent encoder-decoder: each step reads what the step before it has attended to");
    f("copy", self.copy, "encoder-decoder: an answer's words may be copied from the source; one shared vocabulary");
    f("pooling_score", self.pooling_score,
      "recurrent, convolution, bag: the score of attention pooling: additive, dot, scaled_dot, bilinear, cosine or "
      "euclidean",
      one_of({"additive", "dot", "scaled_dot", "bilinear", "cosine", "euclidean"}));
  }
};

/// True when all that its language model remembers of a text are recurrent states, which passes may hand on.
inline bool carries_states(const ModelConfig& config) {
  return config.network != "transformer" && config.state_attention == "none";
}

}  // namespace heed
