#include <cstdio>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/terminal.h"
#include "explain/alignment.h"
#include "explain/word_weights.h"
#include "formats/lines.h"
#include "formats/npy.h"
#include "formats/utf8.h"
#include "tasks/evaluate.h"
#include "train/measure_answers.h"
#include "train/model_folder.h"
#include "train/trainer.h"

namespace heed::cli {

namespace {

struct RunOptions {
  std::string model, text, input, states, passage, task;
  std::vector<std::string> overrides;
  bool verify = false;
  GenerationConfig generation;
};

/// "\n" for a line end and "\\" for a backslash: an answer is one line.
std::string on_one_line(const std::string& text) {
  std::string line;
  for (const char c : text) {
    if (c == '\n')
      line += "\\n";
    else if (c == '\\')
      line += "\\\\";
    else if (c == '\r')
      line += "\\r";
    else
      line += c;
  }
  return line;
}

std::vector<std::string> read_inputs(const RunOptions& options, bool text_given, const DataConfig& data) {
  if (text_given) return {options.text};
  LineOptions how;
  how.bad_bytes = data.bad_bytes == "replace" ? BadBytes::replace : BadBytes::refuse;
  how.longest = data.max_line_bytes;
  LineReader reader(options.input.empty() ? "/dev/stdin" : options.input, how);
  std::vector<std::string> lines;
  std::string_view line;
  while (reader.next(line)) lines.emplace_back(line);
  return lines;
}

const char* name_of(Stop stop) {
  switch (stop) {
    case Stop::end:
      return "end";
    case Stop::length:
      return "length";
    case Stop::context:
      return "context";
    case Stop::text:
      return "stop string";
  }
  return "";
}

void print_json(const nlohmann::ordered_json& answer) {
  std::printf("%s\n", answer.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace).c_str());
}

std::string read_text(const std::string& file) {
  ByteReader reader(file);
  std::string text;
  for (std::string_view chunk = reader.next(); !chunk.empty(); chunk = reader.next()) text += chunk;
  if (!valid_utf8(text)) throw Error("{}: the passage is not UTF-8", file);
  return text;
}

/// Each input is a question about the passage, or without one the question, a tab and its passage.
void print_spans(const ModelFolder& folder, const std::vector<std::string>& inputs, const std::string& passage_file,
                 const GenerationConfig& generation, const Evaluation& with, bool json) {
  const std::string passage = passage_file.empty() ? "" : read_text(passage_file);
  std::vector<PassageQuery> queries;
  for (const std::string& input : inputs) {
    const std::size_t tab = input.find('\t');
    if (passage_file.empty() && tab == std::string::npos)
      throw Error("\"{}\": a question, a tab and a passage were expected; or give --passage FILE", input.substr(0, 60));
    const std::string_view line = input;
    queries.push_back(passage_file.empty() ? PassageQuery{line.substr(0, tab), line.substr(tab + 1)}
                                           : PassageQuery{line, passage});
  }
  const std::vector<SpanAnswer> answers =
      answer_questions(with, queries, span_options(folder.recipe, folder.text, generation));
  for (std::size_t i = 0; i < answers.size(); ++i) {
    const SpanAnswer& answer = answers[i];
    if (!json) {
      std::printf("%s\n", answer.start < 0 ? "(no answer)" : on_one_line(answer.text).c_str());
      continue;
    }
    nlohmann::ordered_json found{{"question", queries[i].question},
                                 {"answer", answer.text},
                                 {"start", nullptr},
                                 {"end", nullptr},
                                 {"probability", answer.probability}};
    if (answer.start >= 0) {
      found["start"] = answer.start;
      found["end"] = answer.end;
    }
    if (folder.text.unanswerable) found["no_answer_preferred_by"] = answer.no_answer;
    print_json(found);
  }
}

void print_classes(const ModelFolder& folder, const std::vector<std::string>& texts, const Evaluation& with,
                   bool json) {
  std::vector<std::vector<std::int32_t>> ids;
  for (const std::string& text : texts) ids.push_back(folder.text.input(text));
  const Tensor probabilities = classify(with, ids);
  const auto weights = json ? pooling_weights(with, ids) : std::vector<std::vector<WordWeight>>{};
  const auto& names = folder.text.labels.names();
  for (std::int64_t i = 0; i < probabilities.rows(); ++i) {
    const float* p = probabilities.floats() + i * probabilities.width();
    const auto best = static_cast<std::size_t>(std::max_element(p, p + probabilities.width()) - p);
    if (json) {
      nlohmann::ordered_json all;
      for (std::size_t c = 0; c < names.size(); ++c) all[names[c]] = p[c];
      nlohmann::ordered_json answer{{"text", texts[static_cast<std::size_t>(i)]},
                                    {"class", names[best]},
                                    {"probability", p[best]},
                                    {"probabilities", all}};
      for (const WordWeight& word : weights[static_cast<std::size_t>(i)])
        answer["words"].push_back({{"word", word.word}, {"weight", word.weight}});
      print_json(answer);
    } else {
      std::printf("%s\t%.4f\n", names[best].c_str(), static_cast<double>(p[best]));
    }
  }
}

void print_generated(const ModelFolder& folder, const std::vector<std::string>& texts,
                     const GenerationConfig& generation, bool text_given, const Evaluation& with, bool json) {
  GenerationCallbacks callbacks;
  // A text given by hand is answered as it comes; a file's answers keep their line each.
  const bool stream = text_given && !json && generation.beams == 1;
  if (stream) {
    callbacks.stream = [](std::size_t, std::string_view piece) {
      std::fwrite(piece.data(), 1, piece.size(), stdout);
      std::fflush(stdout);
    };
  }
  ProgressBar bar;
  if (!text_given)
    callbacks.progress = [&](std::size_t done, std::size_t total) {
      bar.show(static_cast<double>(done) / static_cast<double>(total), format("{} of {}", done, total));
    };
  Session session(with.pool, with.precision);
  const std::vector<Generated> found =
      generate_texts(*folder.model, folder.text, session, texts, generation, std::move(callbacks));
  bar.finish();
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (json) {
      nlohmann::ordered_json answer{{"input", texts[i]},
                                    {"answer", found[i].text},
                                    {"log_probability", found[i].log_probability},
                                    {"tokens", found[i].tokens.size()},
                                    {"stop", name_of(found[i].stop)}};
      if (makes_text_from_text(folder.text.task)) {
        answer["alignment"] = nlohmann::ordered_json::array();
        for (const AlignedWord& one : align_words(with, texts[i], found[i].tokens))
          answer["alignment"].push_back({{"word", one.word}, {"source", one.source}, {"weight", one.weight}});
      }
      print_json(answer);
    } else if (stream)
      std::printf("\n");
    else
      std::printf("%s\n", on_one_line(found[i].text).c_str());
  }
}

void write_states(const TextEncoder& text, const std::vector<std::string>& inputs, const std::string& file,
                  const Evaluation& with) {
  std::vector<std::vector<std::int32_t>> ids;
  for (const std::string& input : inputs) ids.push_back(text.input(input));
  const Tensor states = hidden_states(with, ids);
  write_npy(file, states);
  say(format("{} hidden states of width {} written to {}", states.rows(), states.width(), file));
}

/// `from` with the fields of `given_values` whose options were given; the options are in the order of the fields.
GenerationConfig with_given(GenerationConfig from, const GenerationConfig& given_values,
                            const std::vector<CLI::Option*>& given) {
  std::size_t index = 0;
  GenerationConfig::fields(from, [&](const char*, auto& member, auto&&...) {
    const std::size_t wanted = index++;
    if (given[wanted]->count() == 0) return;
    std::size_t at = 0;
    GenerationConfig::fields(given_values, [&](const char*, const auto& value, auto&&...) {
      if constexpr (std::is_same_v<std::remove_cvref_t<decltype(value)>, std::remove_cvref_t<decltype(member)>>)
        if (at == wanted) member = value;
      ++at;
    });
  });
  return from;
}

}  // namespace

void add_run(CLI::App& app, Common& common, int& exit_code) {
  auto options = std::make_shared<RunOptions>();
  CLI::App* verb = app.add_subcommand(
      "run", "Run a model: translate, summarise, go on with a text, classify, or answer questions; one answer a line");
  verb->add_option("MODEL", options->model, "a model folder")->required();
  CLI::Option* text =
      verb->add_option("TEXT", options->text, "one input; without it and --input, each line of stdin is one");
  verb->add_option("--task", options->task, "of a model of several tasks: the one to answer");
  verb->add_option("--input", options->input, "a file, plain or gzip: each line is an input")->excludes(text);
  verb->add_option("--passage", options->passage,
                   "question answering: a text file that the questions are about; without it an input is a question, a "
                   "tab and a passage");
  GenerationConfig& g = options->generation;
  // What is not given stays as the model's recipe has it.
  auto given = std::make_shared<std::vector<CLI::Option*>>();
  GenerationConfig::fields(g, [&](const char* key, auto& member, const char* meaning, auto&&...) {
    std::string name = "--" + std::string(key);
    std::replace(name.begin(), name.end(), '_', '-');
    if constexpr (std::is_same_v<std::remove_reference_t<decltype(member)>, bool>)
      given->push_back(verb->add_flag(name, member, meaning));
    else
      given->push_back(verb->add_option(name, member, meaning));
  });
  verb->add_option("--states", options->states,
                   "write the hidden states of all inputs to this .npy file instead of answering");
  verb->add_flag("--verify", options->verify, "check every tensor's checksum first");
  verb->add_option("--threads", common.threads, "threads; by default the processors this process may use")
      ->check(CLI::NonNegativeNumber);
  verb->add_flag("--json", common.json, "one JSON object a line");
  verb->callback([options, text, given, &common, &exit_code] {
    const ModelFolder folder = load_model_folder(task_folder(options->model, options->task), options->verify);
    const GenerationConfig generation = with_given(folder.recipe.generation, options->generation, *given);
    Recipe checked = folder.recipe;
    checked.generation = generation;
    check(checked);
    const bool text_given = text->count() > 0;
    const std::vector<std::string> inputs = read_inputs(*options, text_given, folder.recipe.data);
    if (inputs.empty()) throw Error("nothing to run: the input has no line");
    ThreadPool pool(common.threads);
    Arena arena;
    const Evaluation with{*folder.model,     folder.text, arena, pool, precision_of(folder.recipe.training),
                          folder.temperature};
    if (!options->passage.empty() && folder.text.task != Task::question_answering)
      throw Error("--passage is for question answering, and this model is for {}", text_of(folder.text.task));
    if (!options->states.empty())
      write_states(folder.text, inputs, options->states, with);
    else if (folder.text.task == Task::classification)
      print_classes(folder, inputs, with, common.json);
    else if (folder.text.task == Task::question_answering)
      print_spans(folder, inputs, options->passage, generation, with, common.json);
    else
      print_generated(folder, inputs, generation, text_given, with, common.json);
    exit_code = 0;
  });
}

}  // namespace heed::cli
