#pragma once
#include <heed/detail/field.h>

#include <cstdint>
#include <string>
#include <vector>

namespace heed {

/// The recipe's [generation]: how text is made when `heed run` is not told otherwise.
struct GenerationConfig {
  std::int64_t beams = 1;
  double length_penalty = 1.0;
  double coverage_penalty = 0.0;
  bool sample = false;
  double temperature = 1.0;
  std::int64_t top_k = 0;
  double top_p = 1.0;
  double min_p = 0.0;
  double repetition_penalty = 1.0;
  std::int64_t min_tokens = 0;
  std::int64_t max_tokens = 256;
  double max_length_ratio = 2.0;
  std::int64_t no_repeat = 0;
  std::vector<std::string> stop;
  std::int64_t longest_answer = 30;
  double no_answer_threshold = 0.0;
  std::uint64_t seed = 1;
  std::int64_t batch_tokens = 2048;

  bool operator==(const GenerationConfig&) const = default;
  static void fields(auto& self, auto&& f) {
    f("beams", self.beams, "beam search with so many hypotheses; 1: greedy or sampled", at_least(1));
    f("length_penalty", self.length_penalty, "beam search: scores are divided by length^penalty", at_least(0));
    f("coverage_penalty", self.coverage_penalty,
      "beam search, encoder-decoders: scores lose so much times -ln of each source token's attention, summed over the "
      "answer, below 1 (Wu et al. 2016, equation 14)",
      at_least(0));
    f("sample", self.sample, "draw the next token; false: take the likeliest");
    f("temperature", self.temperature, "sampling: logits are divided by it; 0 is greedy", at_least(0));
    f("top_k", self.top_k, "sampling: only the k likeliest; 0: all", at_least(0));
    f("top_p", self.top_p, "sampling: only the likeliest that together have this probability (Holtzman et al. 2020)",
      between(0, 1));
    f("min_p", self.min_p, "sampling: only tokens at least this share as likely as the likeliest", between(0, 1));
    f("repetition_penalty", self.repetition_penalty,
      "logits of tokens already there are divided (or multiplied) by it (Keskar et al. 2019)", above(0));
    f("min_tokens", self.min_tokens, "shortest answer in tokens: no end before it", at_least(0));
    f("max_tokens", self.max_tokens, "longest answer in tokens", at_least(1));
    f("max_length_ratio", self.max_length_ratio,
      "translation, summarisation: longest answer as a multiple of the source's tokens, plus 10", above(0));
    f("no_repeat", self.no_repeat,
      "no so many tokens in a row come twice in an answer (Paulus et al. 2018: 3); 0: they may", at_least(0));
    f("stop", self.stop, "strings at which an answer ends (they are cut off)");
    f("longest_answer", self.longest_answer, "question answering: longest answer in tokens", at_least(1));
    f("no_answer_threshold", self.no_answer_threshold,
      "question answering: no answer is given where that is preferred to the best one by more than this (in nats), if "
      "some questions of the training had none");
    f("seed", self.seed, "of sampling");
    f("batch_tokens", self.batch_tokens, "whole files are answered in batches of about so many tokens", at_least(1));
  }
};

}  // namespace heed
