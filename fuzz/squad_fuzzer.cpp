// SQuAD JSON: answers lie where they say, in characters and in bytes; every question has its passage.
#include "formats/squad.h"
#include "formats/utf8.h"
#include "input.h"

using namespace heed;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text = input_of(data, size);
  for (const BadAnswers bad : {BadAnswers::refuse, BadAnswers::drop})
    allow_errors([&] {
      const SquadQuestions found = parse_squad(text, "x", bad);
      must(!found.questions.empty() && (bad == BadAnswers::drop || found.dropped_answers == 0));
      for (const PassageQuestion& question : found.questions) {
        must(question.passage && question.article >= 0 && question.article < found.articles);
        for (const PassageAnswer& answer : question.answers) {
          must(answer.begin >= 0 && answer.begin < answer.end);
          const auto begin = static_cast<std::size_t>(answer.begin);
          must(question.passage->compare(begin, static_cast<std::size_t>(answer.end) - begin, answer.text) == 0);
          must(utf8_length(question.passage->substr(0, begin)) == answer.start);
        }
      }
    });
  return 0;
}
