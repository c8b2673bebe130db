#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace heed {

/// Text of a passage that answers a question, and where it stands.
struct PassageAnswer {
  std::string text;
  std::int64_t start = 0;           ///< in characters (code points) of the passage
  std::int64_t begin = 0, end = 0;  ///< in bytes of the passage
};

struct PassageQuestion {
  std::string id, question;
  std::shared_ptr<const std::string> passage;  ///< shared by the questions about it
  std::vector<PassageAnswer> answers;          ///< none: the passage does not tell (SQuAD 2.0)
  std::int64_t article = 0;                    ///< number of its article in the file, from 0
};

/// What to do with an answer that is not at its offset: refuse the file, or go on without the answer (and, when it was
/// the only one, without the question).
enum class BadAnswers { refuse, drop };

struct SquadQuestions {
  std::vector<PassageQuestion> questions;
  std::int64_t articles = 0;
  std::int64_t dropped_answers = 0, dropped_questions = 0;
};

/// The questions of a SQuAD file, version 1.1 or 2.0, plain or gzip. Memory: the texts, each passage once.
///
/// Throws Error, naming the file, for what is not JSON (with the byte), for a missing or mistyped field (with the
/// question's id, or the article and paragraph), and for an answer that is not at its offset (with the id).
SquadQuestions read_squad(const std::filesystem::path& path, BadAnswers bad_answers = BadAnswers::refuse);
/// The same from text in memory; `name` stands for the file in errors.
SquadQuestions parse_squad(std::string_view text, const std::string& name, BadAnswers bad_answers = BadAnswers::refuse);

}  // namespace heed
