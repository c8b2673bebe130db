#pragma once
#include <string>
#include <string_view>

namespace heed {

/// The stem of an English word in lower case: "relational" → "relat".
///
/// Porter 1980, "An algorithm for suffix stripping", with the departures of NLTK's default stemmer, by which ROUGE is
/// computed: a few irregular words, -ied, -ies and -y with regard to the length of what is left, -fulli and -logi.
std::string porter_stem(std::string_view word);

}  // namespace heed
