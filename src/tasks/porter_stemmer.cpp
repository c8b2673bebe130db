#include "tasks/porter_stemmer.h"

#include <algorithm>
#include <initializer_list>
#include <utility>

namespace heed {

namespace {

struct Rule {
  std::string_view suffix, replacement;
};

bool is_consonant(std::string_view word, std::size_t i) {
  switch (word[i]) {
    case 'a':
    case 'e':
    case 'i':
    case 'o':
    case 'u':
      return false;
    case 'y':
      return i == 0 || !is_consonant(word, i - 1);
    default:
      return true;
  }
}

/// m of Porter's [C](VC)^m[V]: how often a vowel is followed by a consonant.
int measure(std::string_view stem) {
  int m = 0;
  for (std::size_t i = 1; i < stem.size(); ++i) m += is_consonant(stem, i) && !is_consonant(stem, i - 1);
  return m;
}

bool has_vowel(std::string_view stem) {
  for (std::size_t i = 0; i < stem.size(); ++i)
    if (!is_consonant(stem, i)) return true;
  return false;
}

/// Porter's *o: consonant, vowel, consonant that is not w, x or y; or a vowel and a consonant are all there is.
bool ends_short(std::string_view stem) {
  const std::size_t n = stem.size();
  if (n == 2) return !is_consonant(stem, 0) && is_consonant(stem, 1);
  return n > 2 && is_consonant(stem, n - 3) && !is_consonant(stem, n - 2) && is_consonant(stem, n - 1) &&
         stem[n - 1] != 'w' && stem[n - 1] != 'x' && stem[n - 1] != 'y';
}

bool ends_double_consonant(std::string_view word) {
  const std::size_t n = word.size();
  return n > 1 && word[n - 1] == word[n - 2] && is_consonant(word, n - 1);
}

std::string_view without(std::string_view word, std::size_t letters) { return word.substr(0, word.size() - letters); }

/// The first rule whose suffix fits decides, whether its condition on the stem holds or not.
template <class Condition>
std::string by_first_rule(std::string_view word, std::initializer_list<Rule> rules, Condition condition) {
  for (const Rule& rule : rules) {
    if (!word.ends_with(rule.suffix)) continue;
    const std::string_view stem = without(word, rule.suffix.size());
    return condition(stem, rule) ? std::string(stem) += rule.replacement : std::string(word);
  }
  return std::string(word);
}

std::string plurals(std::string_view word) {
  if (word.ends_with("ies") && word.size() == 4) return std::string(without(word, 1));
  return by_first_rule(word, {{"sses", "ss"}, {"ies", "i"}, {"ss", "ss"}, {"s", ""}},
                       [](std::string_view, const Rule&) { return true; });
}

std::string past_and_progressive(std::string_view word) {
  if (word.ends_with("ied")) return std::string(without(word, word.size() == 4 ? 1 : 2));
  if (word.ends_with("eed")) return std::string(measure(without(word, 3)) > 0 ? without(word, 1) : word);
  std::string_view stem;
  if (word.ends_with("ed") && has_vowel(without(word, 2)))
    stem = without(word, 2);
  else if (word.ends_with("ing") && has_vowel(without(word, 3)))
    stem = without(word, 3);
  else
    return std::string(word);
  if (stem.ends_with("at") || stem.ends_with("bl") || stem.ends_with("iz")) return std::string(stem) + "e";
  if (ends_double_consonant(stem)) {
    const char last = stem.back();
    return std::string(last == 'l' || last == 's' || last == 'z' ? stem : without(stem, 1));
  }
  return measure(stem) == 1 && ends_short(stem) ? std::string(stem) + "e" : std::string(stem);
}

std::string final_y(std::string_view word) {
  return by_first_rule(word, {{"y", "i"}}, [](std::string_view stem, const Rule&) {
    return stem.size() > 1 && is_consonant(stem, stem.size() - 1);
  });
}

std::string double_suffixes(std::string_view word) {
  if (word.ends_with("alli") && measure(without(word, 4)) > 0) return double_suffixes(without(word, 2));
  return by_first_rule(word,
                       {{"ational", "ate"}, {"tional", "tion"}, {"enci", "ence"}, {"anci", "ance"}, {"izer", "ize"},
                        {"bli", "ble"},     {"alli", "al"},     {"entli", "ent"}, {"eli", "e"},     {"ousli", "ous"},
                        {"ization", "ize"}, {"ation", "ate"},   {"ator", "ate"},  {"alism", "al"},  {"iveness", "ive"},
                        {"fulness", "ful"}, {"ousness", "ous"}, {"aliti", "al"},  {"iviti", "ive"}, {"biliti", "ble"},
                        {"fulli", "ful"},   {"logi", "log"}},
                       [word](std::string_view stem, const Rule& rule) {
                         // The l of -logi is taken for the stem's, so that geologi is shortened as archaeologi is.
                         return measure(rule.suffix == "logi" ? without(word, 3) : stem) > 0;
                       });
}

std::string simple_suffixes(std::string_view word) {
  return by_first_rule(
      word,
      {{"icate", "ic"}, {"ative", ""}, {"alize", "al"}, {"iciti", "ic"}, {"ical", "ic"}, {"ful", ""}, {"ness", ""}},
      [](std::string_view stem, const Rule&) { return measure(stem) > 0; });
}

std::string last_suffixes(std::string_view word) {
  return by_first_rule(word,
                       {{"al", ""},
                        {"ance", ""},
                        {"ence", ""},
                        {"er", ""},
                        {"ic", ""},
                        {"able", ""},
                        {"ible", ""},
                        {"ant", ""},
                        {"ement", ""},
                        {"ment", ""},
                        {"ent", ""},
                        {"ion", ""},
                        {"ou", ""},
                        {"ism", ""},
                        {"ate", ""},
                        {"iti", ""},
                        {"ous", ""},
                        {"ive", ""},
                        {"ize", ""}},
                       [](std::string_view stem, const Rule& rule) {
                         return measure(stem) > 1 &&
                                (rule.suffix != "ion" || stem.ends_with('s') || stem.ends_with('t'));
                       });
}

std::string final_e_and_double_l(std::string word) {
  if (word.ends_with('e')) {
    const std::string_view stem = without(word, 1);
    const int m = measure(stem);
    if (m > 1 || (m == 1 && !ends_short(stem))) word.pop_back();
  }
  if (word.ends_with("ll") && measure(without(word, 1)) > 1) word.pop_back();
  return word;
}

constexpr std::pair<std::string_view, std::string_view> irregular[] = {
    {"sky", "sky"},        {"skies", "sky"},       {"dying", "die"},        {"lying", "lie"},
    {"tying", "tie"},      {"news", "news"},       {"innings", "inning"},   {"inning", "inning"},
    {"outings", "outing"}, {"outing", "outing"},   {"cannings", "canning"}, {"canning", "canning"},
    {"howe", "howe"},      {"proceed", "proceed"}, {"exceed", "exceed"},    {"succeed", "succeed"}};

}  // namespace

std::string porter_stem(std::string_view word) {
  for (const auto& [form, stem] : irregular)
    if (word == form) return std::string(stem);
  if (word.size() <= 2) return std::string(word);
  return final_e_and_double_l(
      last_suffixes(simple_suffixes(double_suffixes(final_y(past_and_progressive(plurals(word)))))));
}

}  // namespace heed
