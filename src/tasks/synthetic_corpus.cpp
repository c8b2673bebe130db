#include "tasks/synthetic_corpus.h"

#include <heed/error.h>
#include <heed/random.h>

#include <algorithm>
#include <array>
#include <set>

#include "formats/file.h"

namespace heed {

namespace {

constexpr std::array<const char*, 20> small_numbers = {
    "zero", "one",    "two",    "three",    "four",     "five",    "six",     "seven",     "eight",    "nine",
    "ten",  "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"};
constexpr std::array<const char*, 10> tens = {"",      "",      "twenty",  "thirty", "forty",
                                              "fifty", "sixty", "seventy", "eighty", "ninety"};
constexpr std::array<const char*, 32> ordinals = {"",
                                                  "first",
                                                  "second",
                                                  "third",
                                                  "fourth",
                                                  "fifth",
                                                  "sixth",
                                                  "seventh",
                                                  "eighth",
                                                  "ninth",
                                                  "tenth",
                                                  "eleventh",
                                                  "twelfth",
                                                  "thirteenth",
                                                  "fourteenth",
                                                  "fifteenth",
                                                  "sixteenth",
                                                  "seventeenth",
                                                  "eighteenth",
                                                  "nineteenth",
                                                  "twentieth",
                                                  "twenty-first",
                                                  "twenty-second",
                                                  "twenty-third",
                                                  "twenty-fourth",
                                                  "twenty-fifth",
                                                  "twenty-sixth",
                                                  "twenty-seventh",
                                                  "twenty-eighth",
                                                  "twenty-ninth",
                                                  "thirtieth",
                                                  "thirty-first"};
constexpr std::array<const char*, 13> months = {"",        "january",  "february", "march",  "april",
                                                "may",     "june",     "july",     "august", "september",
                                                "october", "november", "december"};
constexpr int first_year = 1500, last_year = 2099;

template <std::size_t count>
std::string word(const std::array<const char*, count>& words, std::int64_t index) {
  return words[static_cast<std::size_t>(index)];
}

std::string below_hundred(std::int64_t number) {
  if (number < 20) return word(small_numbers, number);
  return word(tens, number / 10) + (number % 10 > 0 ? "-" + word(small_numbers, number % 10) : "");
}

std::string year_in_words(int year) {
  if (year >= 2000 && year < 2010) return number_in_words(year);  // "two thousand and five"
  const int century = year / 100, rest = year % 100;
  if (rest == 0) return below_hundred(century) + " hundred";
  return below_hundred(century) + (rest < 10 ? " oh " : " ") + below_hundred(rest);
}

int days_in(int year, int month) {
  constexpr std::array<int, 13> days = {0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  return month == 2 && leap ? 29 : days[static_cast<std::size_t>(month)];
}

/// A number or a date, both ways.
struct Entry {
  std::string words, digits;
};

constexpr std::int64_t first_drawn_number = 100;
Entry number_entry(std::int64_t number) { return {number_in_words(number), std::to_string(number)}; }

/// A date, or every third time a number from 100 on: of three digits as often as of four.
Entry draw(RandomKey key) {
  if (uniform_index(key, 0, 3) == 0) {
    const std::int64_t bound = uniform_index(key, 1, 2) == 0 ? 1000 : 10000;
    return number_entry(first_drawn_number + uniform_index(key, 2, bound - first_drawn_number));
  }
  Date date;
  date.year = first_year + static_cast<int>(uniform_index(key, 1, last_year - first_year + 1));
  date.month = 1 + static_cast<int>(uniform_index(key, 2, 12));
  date.day = 1 + static_cast<int>(uniform_index(key, 3, days_in(date.year, date.month)));
  return {date_in_words(date), iso_date(date)};
}

}  // namespace

std::string number_in_words(std::int64_t number) {
  if (number < 0 || number > 9999) throw Error("number_in_words: expected 0 to 9999, found {}", number);
  if (number < 100) return below_hundred(number);
  const std::int64_t thousands = number / 1000, hundreds = number / 100 % 10, rest = number % 100;
  std::string words;
  if (thousands > 0) words = word(small_numbers, thousands) + " thousand";
  if (hundreds > 0) words += (words.empty() ? "" : " ") + word(small_numbers, hundreds) + " hundred";
  return rest > 0 ? words + " and " + below_hundred(rest) : words;
}

std::string date_in_words(Date date) {
  if (date.year < first_year || date.year > last_year || date.month < 1 || date.month > 12 || date.day < 1 ||
      date.day > days_in(date.year, date.month))
    throw Error("date_in_words: {}-{}-{} is no day of the years {} to {}", date.year, date.month, date.day, first_year,
                last_year);
  return "the " + word(ordinals, date.day) + " of " + word(months, date.month) + " " + year_in_words(date.year);
}

std::string iso_date(Date date) {
  auto two_digits = [](int number) { return (number < 10 ? "0" : "") + std::to_string(number); };
  return std::to_string(date.year) + "-" + two_digits(date.month) + "-" + two_digits(date.day);
}

SyntheticCorpus make_synthetic_corpus(std::uint64_t seed, const SyntheticCorpusSizes& sizes) {
  constexpr std::int64_t most = 100000;  // about half of all dates: drawing among them ends soon
  const bool each_fits = sizes.train >= first_drawn_number && sizes.validation >= 0 && sizes.test >= 0 &&
                         std::max({sizes.train, sizes.validation, sizes.test}) <= most;
  if (!each_fits || sizes.train + sizes.validation + sizes.test > most)
    throw Error(
        "synthetic corpus: {} training, {} validation and {} test entries; expected {} or more to train on, none "
        "negative, and together at most {}",
        sizes.train, sizes.validation, sizes.test, first_drawn_number, most);
  const RandomKey key = RandomKey{seed}.fold(0);
  SyntheticCorpus corpus;
  std::set<std::string> seen;
  std::uint64_t draws = 0;
  auto add = [&](std::vector<TranslationPair>& part, const Entry& entry) {
    if (!seen.insert(entry.digits).second) return;
    part.push_back({"digits: " + entry.words, entry.digits});
    part.push_back({"words: " + entry.digits, entry.words});
  };
  auto fill = [&](std::vector<TranslationPair>& part, std::int64_t count) {
    while (static_cast<std::int64_t>(part.size()) < 2 * count) add(part, draw(key.fold(draws++)));
    shuffle(key.fold(draws++), part);
  };
  fill(corpus.test, sizes.test);
  fill(corpus.validation, sizes.validation);
  for (std::int64_t number = 0; number < first_drawn_number; ++number) add(corpus.train, number_entry(number));
  fill(corpus.train, sizes.train);
  return corpus;
}

void write_pairs(const std::filesystem::path& file, const std::vector<TranslationPair>& pairs) {
  write_file_atomically(file, [&](Writer& writer) {
    writer.write("source\ttarget\n");
    for (const TranslationPair& pair : pairs) writer.write(pair.source + "\t" + pair.target + "\n");
  });
}

}  // namespace heed
