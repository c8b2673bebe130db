#include "formats/squad.h"

#include <heed/error.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "formats/gzip.h"
#include "formats/json_text.h"
#include "formats/utf8.h"

namespace heed {

namespace {

using nlohmann::json;

/// Bytes of the first `characters` characters from `begin` on, or npos when there are not so many.
std::size_t bytes_of(std::string_view text, std::size_t begin, std::int64_t characters) {
  std::size_t at = begin;
  for (; characters > 0; --characters) {
    if (at >= text.size()) return std::string_view::npos;
    at += static_cast<std::size_t>(decode_utf8(text, at).bytes);
  }
  return at - begin;
}

class SquadParser {
 public:
  SquadParser(std::string name, BadAnswers bad_answers) : name_(std::move(name)), bad_answers_(bad_answers) {}

  SquadQuestions operator()(std::string_view text) {
    // Articles are taken and dropped one by one, so that only the texts are held.
    bool in_data = false, seen_data = false;
    const auto take = [&](int depth, json::parse_event_t event, json& value) {
      if (depth == 1 && event == json::parse_event_t::key) {
        in_data = value == "data";
        seen_data = seen_data || in_data;
      }
      if (depth != 2 || event != json::parse_event_t::object_end || !in_data) return true;
      add_article(value);
      return false;
    };
    try {
      const json whole = json::parse(text.begin(), text.end(), take);
      if (!seen_data || !whole.is_object() || !whole["data"].is_array() || !whole["data"].empty())
        throw Error("{}: not SQuAD: an object with a list \"data\" of articles was expected", name_);
    } catch (const json::parse_error& error) {
      throw Error("{}: not JSON, at byte {}: {}", name_, error.byte, json_reason(error.what()));
    } catch (const json::exception& error) {
      throw Error("{}: not SQuAD: {}", name_, json_reason(error.what()));
    }
    if (found_.questions.empty())
      throw Error("{}: holds no question{}", name_,
                  found_.dropped_questions > 0 ? format("; all {} were dropped", found_.dropped_questions) : "");
    return std::move(found_);
  }

 private:
  const json& field(const json& object, const char* key, json::value_t type) const {
    const auto found = object.is_object() ? object.find(key) : object.end();
    if (!object.is_object() || found == object.end())
      throw Error("{}: {} has no \"{}\", which SQuAD asks for", name_, place_, key);
    const bool fits = found->type() == type || (type == json::value_t::number_integer && found->is_number_integer());
    if (!fits)
      throw Error("{}: {}: \"{}\" is JSON {}; SQuAD asks for {}", name_, place_, key, found->type_name(),
                  json(type).type_name());
    return *found;
  }
  std::string text(const json& object, const char* key) const {
    std::string value = field(object, key, json::value_t::string).get<std::string>();
    if (value.find('\0') != std::string::npos)
      throw Error("{}: {}: \"{}\" holds the character U+0000, which is not text", name_, place_, key);
    return value;
  }

  void add_article(const json& article) {
    std::int64_t paragraph = 0;
    place_ = format("article {}", found_.articles + 1);
    for (const json& one : field(article, "paragraphs", json::value_t::array)) {
      place_ = format("article {}, paragraph {}", found_.articles + 1, ++paragraph);
      const auto passage = std::make_shared<const std::string>(text(one, "context"));
      for (const json& question : field(one, "qas", json::value_t::array)) {
        const std::string of_paragraph = place_;
        add_question(question, passage);
        place_ = of_paragraph;
      }
    }
    ++found_.articles;
  }

  void add_question(const json& object, std::shared_ptr<const std::string> passage) {
    PassageQuestion question;
    question.id = text(object, "id");
    place_ = "question " + question.id;
    question.question = text(object, "question");
    question.passage = std::move(passage);
    question.article = found_.articles;
    const json& answers = field(object, "answers", json::value_t::array);
    for (const json& one : answers) {
      PassageAnswer answer{.text = text(one, "text")};
      answer.start = field(one, "answer_start", json::value_t::number_integer).get<std::int64_t>();
      if (place(answer, *question.passage))
        question.answers.push_back(std::move(answer));
      else
        ++found_.dropped_answers;
    }
    if (!answers.empty() && question.answers.empty())
      ++found_.dropped_questions;
    else
      found_.questions.push_back(std::move(question));
  }

  /// Finds the answer's bytes; false if it is to be dropped.
  bool place(PassageAnswer& answer, const std::string& passage) const {
    const std::size_t begin = answer.start < 0 ? std::string::npos : bytes_of(passage, 0, answer.start);
    if (begin != std::string::npos && !answer.text.empty() &&
        passage.compare(begin, answer.text.size(), answer.text) == 0) {
      answer.begin = static_cast<std::int64_t>(begin);
      answer.end = answer.begin + static_cast<std::int64_t>(answer.text.size());
      return true;
    }
    if (bad_answers_ == BadAnswers::drop) return false;
    std::string found = "the passage has ended";
    if (begin != std::string::npos && begin < passage.size()) {
      const auto characters = std::max<std::int64_t>(1, utf8_length(answer.text));
      found = format("the passage has \"{}\"", passage.substr(begin, bytes_of(passage, begin, characters)));
    }
    throw Error(
        "{}: {}: the answer \"{}\" is not at its offset {}, where {}; mend the file, or set data.bad_answers = "
        "\"drop\" to go on without such answers",
        name_, place_, answer.text, answer.start, found);
  }

  std::string name_;
  BadAnswers bad_answers_;
  std::string place_;  // what is being read, for messages
  SquadQuestions found_;
};

}  // namespace

SquadQuestions parse_squad(std::string_view text, const std::string& name, BadAnswers bad_answers) {
  return SquadParser(name, bad_answers)(text);
}

SquadQuestions read_squad(const std::filesystem::path& path, BadAnswers bad_answers) {
  ByteReader reader(path);
  std::string text;
  for (std::string_view chunk = reader.next(); !chunk.empty(); chunk = reader.next()) text += chunk;
  return parse_squad(text, reader.name(), bad_answers);
}

}  // namespace heed
