#include "tasks/rouge.h"

#include <heed/error.h>

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "tasks/ngrams.h"
#include "tasks/porter_stemmer.h"

namespace heed {

namespace {

using Numbers = std::vector<std::uint32_t>;  // the words of a text or sentence, equal words alike

std::vector<std::string> words_of(std::string_view text, const RougeOptions& options) {
  std::vector<std::string> words;
  std::string word;
  const auto end_word = [&] {
    if (!word.empty()) words.push_back(options.stem && word.size() > 3 ? porter_stem(word) : word);
    word.clear();
  };
  for (char c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
      word += c;
    else
      end_word();
  }
  end_word();
  return words;
}

/// Texts as numbers of words that can be compared with each other.
class Numbering {
 public:
  explicit Numbering(const RougeOptions& options) : options_(options) {}

  Numbers whole(std::string_view text) {
    Numbers numbers;
    for (std::string& word : words_of(text, options_))
      numbers.push_back(
          numbers_.try_emplace(std::move(word), static_cast<std::uint32_t>(numbers_.size())).first->second);
    return numbers;
  }
  std::vector<Numbers> lines(std::string_view text) {
    std::vector<Numbers> lines;
    while (!text.empty()) {
      const std::size_t end = text.find('\n');
      lines.push_back(whole(text.substr(0, end)));
      text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    }
    return lines;
  }
  std::size_t size() const { return numbers_.size(); }

 private:
  const RougeOptions& options_;
  std::unordered_map<std::string, std::uint32_t> numbers_;
};

PrecisionRecall with_f1(double precision, double recall) {
  return {precision, recall, precision + recall > 0 ? 2 * precision * recall / (precision + recall) : 0};
}

PrecisionRecall scores_of(double matches, double hypothesis, double reference) {
  return with_f1(hypothesis > 0 ? matches / hypothesis : 0, reference > 0 ? matches / reference : 0);
}

/// Lengths of the (weighted) longest common subsequences of all prefixes: at (i, j) of the first i words of the
/// hypothesis and the first j of the reference.
class Subsequences {
 public:
  Subsequences(const Numbers& hypothesis, const Numbers& reference, double weight)
      : hypothesis_(hypothesis), reference_(reference), columns_(reference.size() + 1) {
    lengths_.resize((hypothesis.size() + 1) * columns_);
    std::vector<std::size_t> run(columns_), run_before(columns_);  // matches in succession that end here
    for (std::size_t i = 1; i <= hypothesis.size(); ++i) {
      run.swap(run_before);
      for (std::size_t j = 1; j < columns_; ++j) {
        const bool match = hypothesis[i - 1] == reference[j - 1];
        run[j] = match ? run_before[j - 1] + 1 : 0;
        if (match && weight == 1)
          at(i, j) = at(i - 1, j - 1) + 1;
        else if (match)
          at(i, j) = at(i - 1, j - 1) + std::pow(static_cast<double>(run[j]), weight) -
                     std::pow(static_cast<double>(run[j] - 1), weight);
        else
          at(i, j) = std::max(at(i - 1, j), at(i, j - 1));
      }
    }
  }
  double length() const { return lengths_.back(); }

  /// Marks the words of the reference that the longest one takes; of several it is the one found from the end that
  /// passes over the reference's words first.
  void mark(std::vector<bool>& taken) const {
    for (std::size_t i = hypothesis_.size(), j = reference_.size(); i > 0 && j > 0;) {
      if (hypothesis_[i - 1] == reference_[j - 1]) {
        taken[j - 1] = true;
        --i;
        --j;
      } else if (at(i, j) == at(i, j - 1)) {
        --j;
      } else {
        --i;
      }
    }
  }

 private:
  double& at(std::size_t i, std::size_t j) { return lengths_[i * columns_ + j]; }
  double at(std::size_t i, std::size_t j) const { return lengths_[i * columns_ + j]; }

  const Numbers& hypothesis_;
  const Numbers& reference_;
  std::size_t columns_;
  std::vector<double> lengths_;
};

/// What the union of the subsequences matches: a run of k words counts k^weight. A word counts no more often than the
/// hypothesis has it.
double union_matches(const std::vector<Numbers>& hypothesis, const std::vector<Numbers>& reference, std::size_t words,
                     double weight) {
  std::vector<std::int64_t> left(words);
  for (const Numbers& sentence : hypothesis)
    for (const std::uint32_t word : sentence) ++left[word];
  double matches = 0;
  for (const Numbers& sentence : reference) {
    std::vector<bool> taken(sentence.size());
    for (const Numbers& other : hypothesis) Subsequences(other, sentence, weight).mark(taken);
    double run = 0;
    for (std::size_t j = 0; j < sentence.size(); ++j) {
      if (!taken[j] || left[sentence[j]] == 0) continue;
      --left[sentence[j]];
      ++run;
      if (j + 1 < sentence.size() && taken[j + 1]) continue;
      matches += std::pow(run, weight);
      run = 0;
    }
    // A run whose last word the hypothesis has no more of is dropped by ROUGE-W; of weight 1 it counts word by word.
    if (weight == 1) matches += run;
  }
  return matches;
}

double words_in(const std::vector<Numbers>& sentences) {
  double words = 0;
  for (const Numbers& sentence : sentences) words += static_cast<double>(sentence.size());
  return words;
}

}  // namespace

PrecisionRecall rouge_n(std::string_view hypothesis, std::string_view reference, int n, const RougeOptions& options) {
  if (n < 1) throw Error("rouge: n-grams of {} words; n must be at least 1", n);
  Numbering numbering(options);
  const std::vector<Numbers> texts{numbering.whole(hypothesis), numbering.whole(reference)};
  double matches = 0;
  visit_ngrams(texts, n, [&](int order, std::span<const std::int64_t> counts) {
    if (order == n) matches += static_cast<double>(std::min(counts[0], counts[1]));
  });
  const auto ngrams = [n](const Numbers& text) { return std::max(0.0, static_cast<double>(text.size()) - n + 1); };
  return scores_of(matches, ngrams(texts[0]), ngrams(texts[1]));
}

PrecisionRecall rouge_l(std::string_view hypothesis, std::string_view reference, const RougeOptions& options) {
  Numbering numbering(options);
  const Numbers found = numbering.whole(hypothesis), wanted = numbering.whole(reference);
  return scores_of(Subsequences(found, wanted, 1).length(), static_cast<double>(found.size()),
                   static_cast<double>(wanted.size()));
}

PrecisionRecall rouge_l_sum(std::string_view hypothesis, std::string_view reference, const RougeOptions& options) {
  Numbering numbering(options);
  const std::vector<Numbers> found = numbering.lines(hypothesis), wanted = numbering.lines(reference);
  return scores_of(union_matches(found, wanted, numbering.size(), 1), words_in(found), words_in(wanted));
}

PrecisionRecall rouge_w(std::string_view hypothesis, std::string_view reference, double weight,
                        const RougeOptions& options) {
  if (!(weight >= 1)) throw Error("rouge: the weight of ROUGE-W is {}; it must be at least 1", weight);
  Numbering numbering(options);
  const std::vector<Numbers> found = numbering.lines(hypothesis), wanted = numbering.lines(reference);
  double longest = 0;
  for (const Numbers& sentence : wanted) longest += std::pow(static_cast<double>(sentence.size()), weight);
  const PrecisionRecall weighted = scores_of(union_matches(found, wanted, numbering.size(), weight),
                                             std::pow(words_in(found), weight), std::pow(longest, weight));
  return with_f1(std::pow(weighted.precision, 1 / weight), std::pow(weighted.recall, 1 / weight));
}

RougeScores rouge(std::string_view hypothesis, const std::vector<std::string>& references,
                  const RougeOptions& options) {
  if (references.empty()) throw Error("rouge: a hypothesis without a reference; it needs at least one");
  RougeScores best;
  const auto keep = [](PrecisionRecall& kept, const PrecisionRecall& other, bool first) {
    if (first || other.f1 > kept.f1) kept = other;
  };
  for (std::size_t i = 0; i < references.size(); ++i) {
    keep(best.rouge_1, rouge_n(hypothesis, references[i], 1, options), i == 0);
    keep(best.rouge_2, rouge_n(hypothesis, references[i], 2, options), i == 0);
    keep(best.rouge_l, rouge_l(hypothesis, references[i], options), i == 0);
    keep(best.rouge_l_sum, rouge_l_sum(hypothesis, references[i], options), i == 0);
  }
  return best;
}

RougeScores corpus_rouge(const std::vector<std::string>& hypotheses,
                         const std::vector<std::vector<std::string>>& references, const RougeOptions& options) {
  if (hypotheses.empty()) throw Error("rouge: there are no hypotheses; a corpus has at least one");
  if (hypotheses.size() != references.size())
    throw Error("rouge: {} hypotheses, but references for {}; each hypothesis needs its own", hypotheses.size(),
                references.size());
  RougeScores mean;
  const auto share = 1 / static_cast<double>(hypotheses.size());
  const auto add = [share](PrecisionRecall& sum, const PrecisionRecall& one) {
    sum.precision += share * one.precision;
    sum.recall += share * one.recall;
    sum.f1 += share * one.f1;
  };
  for (std::size_t i = 0; i < hypotheses.size(); ++i) {
    const RougeScores one = rouge(hypotheses[i], references[i], options);
    add(mean.rouge_1, one.rouge_1);
    add(mean.rouge_2, one.rouge_2);
    add(mean.rouge_l, one.rouge_l);
    add(mean.rouge_l_sum, one.rouge_l_sum);
  }
  return mean;
}

}  // namespace heed
