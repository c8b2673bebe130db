#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace heed {

/// A source and its translation.
struct TranslationPair {
  std::string source, target;
  bool operator==(const TranslationPair&) const = default;
};

/// A number from 0 to 9,999 in English words: "four thousand three hundred and seven".
std::string number_in_words(std::int64_t number);

/// A day of the years 1500 to 2099 as it is read out: "the fourth of march nineteen eighty-seven".
struct Date {
  int year = 0, month = 0, day = 0;
};
std::string date_in_words(Date date);
/// "1987-03-04".
std::string iso_date(Date date);

/// How many numbers and dates each part gets; each makes two pairs, one for each direction.
struct SyntheticCorpusSizes {
  std::int64_t train = 3000, validation = 100, test = 250;
};

/// A small language to translate, out of nothing: numbers and dates, from words to digits and back. The source begins
/// with what is wanted:
///   digits: the fourth of march nineteen eighty-seven  ->  1987-03-04
///   words: 712                                         ->  seven hundred and twelve
///
/// Two of three are dates. A number or date is in one part alone, in both directions, so what is held out was never
/// seen in either. The numbers below 100 are all in training: what a number word means must be seen once. Decided by
/// the seed; the pairs of a part are shuffled.
struct SyntheticCorpus {
  std::vector<TranslationPair> train, validation, test;
};
/// Throws Error for sizes below 0 or together above 100,000, or too few to train on to hold the numbers below 100.
SyntheticCorpus make_synthetic_corpus(std::uint64_t seed, const SyntheticCorpusSizes& sizes = {});

/// A TSV file with a header, columns "source" and "target".
void write_pairs(const std::filesystem::path& file, const std::vector<TranslationPair>& pairs);

}  // namespace heed
