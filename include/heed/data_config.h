#pragma once
#include <heed/detail/field.h>

#include <cstdint>
#include <string>
#include <vector>

namespace heed {

/// The recipe's [data]: which files, and how a line becomes an example.
struct DataConfig {
  std::vector<std::string> train, validation, test;
  std::vector<std::string> train_target, validation_target, test_target;
  std::string format = "auto";
  std::string text_column = "text", target_column = "target", label_column = "label";
  bool header = true;
  double validation_split = 0.0;
  std::int64_t validation_every = 0;
  double test_split = 0.0;
  std::string bad_bytes = "refuse";
  std::string too_long = "refuse";
  std::int64_t max_length = 0;
  std::int64_t max_line_bytes = 1 << 20;
  bool lowercase = false;
  std::string words = "as-is";
  std::string documents = "stream";
  std::string label_names;
  std::string reference_column;
  std::string bad_answers = "refuse";
  std::int64_t stride = 128;

  bool operator==(const DataConfig&) const = default;
  static void fields(auto& self, auto&& f) {
    f("train", self.train, "training files; plain or gzip, relative to the recipe; for translation the source side");
    f("train_target", self.train_target,
      "translation, summarisation: the target side, line by line with train; classification: the labels, likewise; "
      "empty: train has both (a TSV, CSV or JSON-lines file)");
    f("validation", self.validation, "validation files, like train; empty: see validation_split and validation_every");
    f("validation_target", self.validation_target, "the target side of validation");
    f("test", self.test, "test files, scored once at the end of `heed eval MODEL`; never used in training");
    f("test_target", self.test_target, "the target side of test");
    f("format", self.format,
      "auto (by the file's ending), lines, label-lines (\"label text\"), tsv, csv, jsonl, squad (question answering; "
      "language modelling: the questions alone)",
      one_of({"auto", "lines", "label-lines", "tsv", "csv", "jsonl", "squad"}));
    f("text_column", self.text_column, "tsv, csv, jsonl: the input's column: a name, or a number from 1");
    f("target_column", self.target_column, "translation, summarisation in one file: the target's column");
    f("label_column", self.label_column, "classification: the label's column");
    f("header", self.header, "tsv, csv: the first line names the columns");
    f("validation_split", self.validation_split,
      "share of the training examples held out, drawn by the seed; language modelling: the last share of the text",
      at_least_below(0, 1));
    f("validation_every", self.validation_every,
      "hold out every n-th training example instead (the n-th, 2n-th, …); 0: no", at_least(0));
    f("test_split", self.test_split,
      "question answering, with validation_split: share of the articles kept apart for `heed eval MODEL`",
      at_least_below(0, 1));
    f("bad_bytes", self.bad_bytes,
      "bytes that are not UTF-8: refuse (an error names file, line and column) or replace (by U+FFFD)",
      one_of({"refuse", "replace"}));
    f("too_long", self.too_long, "an example longer than max_length: refuse, cut, skip, or split (language modelling)",
      one_of({"refuse", "cut", "skip", "split"}));
    f("max_length", self.max_length, "longest sequence in tokens; 0: the model's context", at_least(0));
    f("max_line_bytes", self.max_line_bytes, "a longer line is an error", at_least(1));
    f("lowercase", self.lowercase, "lower-case the text (ASCII and Latin letters) before the vocabulary sees it");
    f("words", self.words,
      "classification, language modelling: as-is, or apart (punctuation, symbols and Chinese characters are words of "
      "their own, as always in question answering)",
      one_of({"as-is", "apart"}));
    f("documents", self.documents,
      "language modelling: stream (the text as one stream), lines (each line is a document that ends in the end token; "
      "documents are packed but do not see each other)",
      one_of({"stream", "lines"}));
    f("label_names", self.label_names,
      "classification: a file with a label and its name in each line (\"0<tab>anger\"); answers then have the names");
    f("reference_column", self.reference_column,
      "summarisation: a column with further references for `heed eval`, a text or (jsonl) a list of them");
    f("bad_answers", self.bad_answers,
      "question answering: an answer that is not at its offset: refuse, or drop (a question without other answers too)",
      one_of({"refuse", "drop"}));
    f("stride", self.stride,
      "question answering: a passage longer than the model's context is read in windows that start so many tokens "
      "apart",
      at_least(1));
  }
};

/// The recipe's [vocabulary].
struct VocabularyConfig {
  std::string kind = "subword";
  std::string algorithm = "bpe";
  std::int64_t size = 8000;
  std::int64_t min_count = 1;
  bool shared = true;
  double character_coverage = 1.0;
  double sampling = 0.0;
  std::string normalisation = "nmt_nfkc";
  std::vector<std::string> tags;
  std::string from;
  std::string vectors;
  bool freeze_vectors = false;

  bool operator==(const VocabularyConfig&) const = default;
  static void fields(auto& self, auto&& f) {
    f("kind", self.kind, "character, word (split at white space) or subword (SentencePiece)",
      one_of({"character", "word", "subword"}));
    f("algorithm", self.algorithm, "subword: bpe (Sennrich et al. 2016) or unigram (Kudo 2018)",
      one_of({"bpe", "unigram"}));
    f("size", self.size, "most entries, special ones included; the actual number may be smaller", at_least(1));
    f("min_count", self.min_count, "word, character: rarer entries become the unknown token", at_least(1));
    f("shared", self.shared, "translation: one vocabulary for both sides");
    f("character_coverage", self.character_coverage, "subword: share of the characters that get a piece of their own",
      between(0.98, 1));
    f("sampling", self.sampling,
      "subword regularisation in training: BPE dropout's rate, or unigram's smoothing alpha; 0: none",
      at_least_below(0, 1));
    f("normalisation", self.normalisation,
      "subword: SentencePiece's rule: nmt_nfkc, nfkc, nmt_nfkc_cf, nfkc_cf (case folding), identity",
      one_of({"nmt_nfkc", "nfkc", "nmt_nfkc_cf", "nfkc_cf", "identity"}));
    f("tags", self.tags,
      "subword: words such as \"<2de>\" that are one token each; at a source's beginning they tell the language that "
      "is wanted (Johnson et al. 2017)");
    f("from", self.from, "take the vocabulary of this model folder instead of making one");
    f("vectors", self.vectors,
      "embeddings of the input start from this file of word vectors: word2vec (text, binary), GloVe, fastText (text, "
      ".bin), or from those of this model folder; as wide as the model's embeddings");
    f("freeze_vectors", self.freeze_vectors, "embeddings that start from vectors are not trained");
  }
};

/// The recipe's [batch].
struct BatchConfig {
  std::int64_t tokens = 0;
  std::int64_t sequences = 32;
  std::int64_t context = 0;
  std::string order = "shuffle";
  double context_jitter = 0.0;
  std::int64_t bucket = 64;
  std::int64_t accumulate = 1;

  bool operator==(const BatchConfig&) const = default;
  static void fields(auto& self, auto&& f) {
    f("tokens", self.tokens, "most tokens a batch (source and target counted, no padding); 0: count sequences instead",
      at_least(0));
    f("sequences", self.sequences, "sequences a batch when tokens is 0", at_least(1));
    f("context", self.context, "language modelling: tokens a training sequence; 0: the model's context", at_least(0));
    f("order", self.order,
      "shuffle (every example once an epoch), sequential, random (language modelling: windows at random places), or "
      "stream (recurrent language models: the text in `sequences` parallel streams, of which each batch has the next "
      "`context` tokens; states are carried from batch to batch)",
      one_of({"shuffle", "sequential", "random", "stream"}));
    f("context_jitter", self.context_jitter,
      "order = \"stream\": each batch's context is drawn from context x (1 - this) to context x (1 + this)",
      at_least_below(0, 1));
    f("bucket", self.bucket, "batches sorted together by length after the shuffle; 1: no bucketing", at_least(1));
    f("accumulate", self.accumulate, "batches whose gradients are added before a step", at_least(1));
  }
};

}  // namespace heed
