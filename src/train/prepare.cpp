#include "train/prepare.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "train/model_folder.h"

namespace heed {

namespace {

BuildProgress report(const PrepareProgress& progress, const std::string& what) {
  if (!progress) return {};
  return [progress, what](std::int64_t read, std::int64_t total) {
    progress(what, total > 0 ? static_cast<double>(read) / static_cast<double>(total) : 0.0);
  };
}

ExampleReader training_reader(const Recipe& recipe, Task task) {
  return ExampleReader(recipe.data, task, data_files(recipe.data, DataPart::train, ""));
}

std::int64_t window_of(const Recipe& recipe) {
  return recipe.batch.context > 0 ? recipe.batch.context : recipe.model.context;
}

/// Enough predictions a batch for products to be fast, little enough for memory.
constexpr std::int64_t validation_tokens = 4096;

/// All examples by length; where a recurrent network reads a stream of text, the text in order in a few parallel
/// streams, along which states are carried: few enough that the streams' starts hardly count.
std::unique_ptr<Batches> evaluation_batches(const Recipe& recipe, const TextEncoder& text,
                                            std::shared_ptr<const TokenStore> store, StorePart part) {
  const std::int64_t window = window_of(recipe);
  const bool carried = store->stream() && carries_states(recipe.model);
  constexpr std::int64_t most_streams = 16, tokens_of_a_stream = 1024;
  BatchConfig config = validation_batches(std::max(validation_tokens, window));
  if (carried) {
    config.tokens = 0;
    config.order = "stream";
    config.sequences =
        std::clamp((part.last_token - part.first_token) / tokens_of_a_stream, std::int64_t{1}, most_streams);
  }
  return std::make_unique<Batches>(std::move(store), text, std::move(part), config,
                                   carried ? validation_tokens / most_streams : window, 0);
}

/// What each class counts, so that the mean over the training examples is 1.
std::vector<float> class_weights_of(const TrainingConfig& config, const Labels& labels, const TokenStore& store,
                                    const StorePart& part) {
  if (config.class_weights.empty()) return {};
  std::vector<double> counts(labels.names().size()), weights(labels.names().size(), 1.0);
  for (const std::int64_t example : part.examples) ++counts[static_cast<std::size_t>(store.label(example))];
  if (config.class_weights == std::vector<std::string>{"balanced"}) {
    for (std::size_t c = 0; c < weights.size(); ++c) weights[c] = 1.0 / std::max(counts[c], 1.0);
  } else {
    for (const std::string& entry : config.class_weights) {
      const std::size_t equals = entry.rfind('=');
      const std::string number = equals == std::string::npos ? "" : entry.substr(equals + 1);
      char* end = nullptr;
      const double weight = std::strtod(number.c_str(), &end);
      if (number.empty() || *end != '\0' || !(weight > 0) || !std::isfinite(weight))
        throw Error("training.class_weights: \"{}\": \"balanced\", or a label, = and a weight above 0 were expected",
                    entry);
      weights[static_cast<std::size_t>(labels.at(entry.substr(0, equals), "training.class_weights"))] = weight;
    }
  }
  double sum = 0.0, examples = 0.0;
  for (std::size_t c = 0; c < weights.size(); ++c) {
    sum += counts[c] * weights[c];
    examples += counts[c];
  }
  std::vector<float> scaled;
  for (const double weight : weights) scaled.push_back(static_cast<float>(weight * examples / sum));
  return scaled;
}

/// All of the recipe's text encoder but its vocabularies.
TextEncoder without_vocabulary(const Recipe& recipe) {
  TextEncoder text;
  text.task = task_named(recipe.task);
  text.documents = text.task == Task::language_modelling && recipe.data.documents == "lines";
  text.lowercase = recipe.data.lowercase;
  text.cut_to = recipe.data.too_long == "cut" ? longest_sequence(recipe) : 0;
  text.words_apart = recipe.data.words == "apart";
  if (text.task == Task::classification) {
    ExampleReader reader = training_reader(recipe, text.task);
    text.labels = collect_labels(reader);
  }
  if (text.task == Task::question_answering) {
    ExampleReader reader = training_reader(recipe, text.task);
    for (TextExample example; !text.unanswerable && reader.next(example);) text.unanswerable = example.answers.empty();
  }
  return text;
}

/// The texts of one side of the recipe's training files, from which train_vocabulary makes a vocabulary.
class VocabularyTexts {
 public:
  VocabularyTexts(const Recipe& recipe, Task task, Side side, const PrepareProgress& progress)
      : reader_(training_reader(recipe, task)), next_(texts_of(reader_, task, side)), progress_(progress) {}
  VocabularyTexts(const VocabularyTexts&) = delete;
  VocabularyTexts& operator=(const VocabularyTexts&) = delete;

  bool operator()(std::string_view& line) {
    if (progress_)
      progress_("vocabulary", reader_.bytes_total() > 0 ? static_cast<double>(reader_.bytes_read()) /
                                                              static_cast<double>(reader_.bytes_total())
                                                        : 0.0);
    return next_(line);
  }

 private:
  ExampleReader reader_;
  NextText next_;
  const PrepareProgress& progress_;
};

}  // namespace

std::vector<TextEncoder> make_text_encoders(const Recipe& recipe, const PrepareProgress& progress) {
  std::vector<TextEncoder> texts;
  for (const TaskConfig& task : recipe.tasks) texts.push_back(without_vocabulary(recipe_of(recipe, task)));
  std::shared_ptr<const Vocabulary> vocabulary;
  if (!recipe.vocabulary.from.empty()) {
    vocabulary = load_model_description(recipe.vocabulary.from).text.source;
  } else {
    std::size_t number = 0;
    std::unique_ptr<VocabularyTexts> of_task;
    vocabulary = train_vocabulary(recipe.vocabulary, [&](std::string_view& line) {
      for (;; of_task.reset(), ++number) {
        if (number == texts.size()) return false;
        if (!of_task)
          of_task = std::make_unique<VocabularyTexts>(recipe_of(recipe, recipe.tasks[number]), texts[number].task,
                                                      Side::source, progress);
        if ((*of_task)(line)) return true;
      }
    });
  }
  for (TextEncoder& text : texts) text.source = vocabulary;
  return texts;
}

TextEncoder make_text_encoder(const Recipe& recipe, const PrepareProgress& progress) {
  TextEncoder text = without_vocabulary(recipe);
  if (!recipe.vocabulary.from.empty()) {
    ModelFolder other = load_model_description(recipe.vocabulary.from);
    text.source = other.text.source;
    text.target = !makes_text_from_text(text.task) ? nullptr
                  : other.text.target              ? other.text.target
                                                   : other.text.source;
    return text;
  }
  auto train = [&](Side side) {
    VocabularyTexts texts(recipe, text.task, side, progress);
    return train_vocabulary(recipe.vocabulary, [&](std::string_view& line) { return texts(line); });
  };
  const bool two_sides = makes_text_from_text(text.task);
  text.source = train(two_sides && recipe.vocabulary.shared ? Side::both : Side::source);
  if (two_sides) text.target = recipe.vocabulary.shared ? text.source : train(Side::target);
  return text;
}

std::int64_t longest_sequence(const Recipe& recipe) {
  return recipe.data.max_length > 0 ? std::min(recipe.data.max_length, recipe.model.context) : recipe.model.context;
}

PreparedData prepare(const Recipe& recipe, TextEncoder text, const std::filesystem::path& folder,
                     const PrepareProgress& progress) {
  PreparedData data;
  data.text = std::move(text);
  std::filesystem::create_directories(folder / "data");
  const std::int64_t longest = longest_sequence(recipe);
  const DataFiles train_files = data_files(recipe.data, DataPart::train, ""),
                  validation_files = data_files(recipe.data, DataPart::validation, "");
  data.train_store =
      std::make_shared<TokenStore>(open_token_store(folder / "data" / "train.tokens", data.text, recipe.data,
                                                    train_files, longest, report(progress, "training data")));
  StorePart train_part = whole(*data.train_store), validation_part;
  data.validation_store = data.train_store;
  bool validated = true;
  if (!validation_files.source.empty()) {
    data.validation_store =
        std::make_shared<TokenStore>(open_token_store(folder / "data" / "validation.tokens", data.text, recipe.data,
                                                      validation_files, longest, report(progress, "validation data")));
    validation_part = whole(*data.validation_store);
  } else if (recipe.data.validation_split > 0.0 || recipe.data.validation_every > 0) {
    std::tie(train_part, validation_part) = split_validation(*data.train_store, recipe.data, recipe.training.seed);
  } else {
    validated = false;
  }
  const std::int64_t some = recipe.training.validate_examples;
  if (validated && some > 0 && static_cast<std::int64_t>(validation_part.examples.size()) > some)
    validation_part.examples.resize(static_cast<std::size_t>(some));
  data.fingerprint =
      format("{} {} {} {}", data.text.source->fingerprint(), data.text.target ? data.text.target->fingerprint() : 0,
             data.train_store->tokens(), data.train_store->size());
  data.class_weights = class_weights_of(recipe.training, data.text.labels, *data.train_store, train_part);
  data.train =
      std::make_unique<Batches>(data.train_store, data.text, std::move(train_part), recipe.batch, window_of(recipe),
                                RandomKey{recipe.training.seed}.fold(2).seed, recipe.vocabulary.sampling, longest);
  if (validated)
    data.validation = evaluation_batches(recipe, data.text, data.validation_store, std::move(validation_part));
  return data;
}

std::unique_ptr<Batches> evaluation_batches(const Recipe& recipe, const TextEncoder& text, const DataFiles& files,
                                            const std::filesystem::path& store, bool kept_apart) {
  auto opened =
      std::make_shared<TokenStore>(open_token_store(store, text, recipe.data, files, longest_sequence(recipe)));
  StorePart part = kept_apart ? part_of(*opened, DataPart::test, recipe.data, recipe.training.seed) : whole(*opened);
  return evaluation_batches(recipe, text, std::move(opened), std::move(part));
}

}  // namespace heed
