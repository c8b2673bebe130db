#include <heed/error.h>

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "train/recipe.h"
#include "train/recipe_keys.h"

namespace heed {
namespace {

bool makes_text_from_text(const std::string& task) { return task == "translation" || task == "summarisation"; }

void check_values(const Recipe& recipe) {
  if (recipe.task.empty())
    throw Error(
        "task: not given; write task = \"translation\", \"summarisation\", \"language-model\", \"classification\", "
        "\"question-answering\" or \"multi-task\"");
  visit_keys(recipe, [](const std::string& section, const std::string& key, const auto& member, std::string_view,
                        const Allowed& allowed) {
    if (const auto wrong = problem(member, allowed)) throw Error("{}: {}", joined(section, key), *wrong);
  });
}

void check_heads(const ModelConfig& model) {
  if (model.head_width == 0 && model.width % model.heads != 0)
    throw Error("model.width = {} is not divisible by model.heads = {}; change one, or give model.head_width",
                model.width, model.heads);
  if (model.key_value_heads > 0 && model.heads % model.key_value_heads != 0)
    throw Error("model.heads = {} is not divisible by model.key_value_heads = {}; change one (0: as heads)",
                model.heads, model.key_value_heads);
  const std::int64_t head_width = model.width_of_head();
  if (model.position == "rotary" && head_width % 2 != 0)
    throw Error("model.position = \"rotary\" turns pairs, but a head is {} wide; choose an even model.head_width",
                head_width);
}

void check_model(const Recipe& recipe) {
  const ModelConfig& model = recipe.model;
  const std::string kind = makes_text_from_text(recipe.task) ? "encoder-decoder"
                           : recipe.task == "language-model" ? "decoder"
                                                             : "encoder";
  if (model.kind != kind)
    throw Error("model.kind: task = \"{}\" needs \"{}\", found \"{}\"", recipe.task, kind, model.kind);

  // Products of three extents then fit in 64 bits, so that sizes can be computed before memory is asked for.
  const std::int64_t largest = std::int64_t{1} << 20;
  const std::pair<const char*, std::int64_t> extents[] = {{"model.width", model.width},
                                                          {"model.embedding_width", model.embedding_width},
                                                          {"model.heads", model.heads},
                                                          {"model.head_width", model.head_width},
                                                          {"model.layers", model.layers},
                                                          {"model.decoder_layers", model.decoder_layers},
                                                          {"model.feed_forward", model.feed_forward},
                                                          {"model.filters", model.filters},
                                                          {"model.context", model.context},
                                                          {"vocabulary.size", recipe.vocabulary.size}};
  for (const auto& [name, extent] : extents)
    if (extent > largest) throw Error("{}: expected at most {}, found {}", name, largest, extent);

  if (model.network == "transformer") check_heads(model);
  if (model.segments && (recipe.task != "question-answering" || model.network != "transformer"))
    throw Error(
        "model.segments tells a question from its passage: it is for task = \"question-answering\" with network = "
        "\"transformer\", found \"{}\" and \"{}\"",
        recipe.task, model.network);
  if (model.tied == "all" && makes_text_from_text(recipe.task) && !recipe.vocabulary.shared)
    throw Error("model.tied = \"all\" needs one vocabulary; set vocabulary.shared = true, or model.tied = \"output\"");
}

void check_pair(const char* name, const std::vector<std::string>& source, const std::vector<std::string>& target,
                const std::string& task) {
  if (target.empty()) return;
  if (!makes_text_from_text(task) && task != "classification")
    throw Error(
        "data.{}_target is for tasks \"translation\", \"summarisation\" and \"classification\" (its labels), and the "
        "task is \"{}\"; leave it out",
        name, task);
  if (source.size() != target.size())
    throw Error("data.{} has {} files and data.{}_target has {}; each source file needs its target file", name,
                source.size(), name, target.size());
}

void check_data(const Recipe& recipe) {
  const DataConfig& data = recipe.data;
  if (data.train.empty()) throw Error("data.train: not given; name at least one training file");
  check_pair("train", data.train, data.train_target, recipe.task);
  check_pair("validation", data.validation, data.validation_target, recipe.task);
  check_pair("test", data.test, data.test_target, recipe.task);
  const bool one_text_a_line = data.format == "lines";
  if (makes_text_from_text(recipe.task) && data.train_target.empty() &&
      (one_text_a_line || data.format == "label-lines"))
    throw Error("data.format = \"{}\" has no target side; give data.train_target, or a tsv, csv or jsonl file",
                data.format);
  if (recipe.task == "classification" && one_text_a_line && data.train_target.empty())
    throw Error("data.format = \"lines\" has no labels; use label-lines, tsv, csv or jsonl, or give data.train_target");
  const bool asks = recipe.task == "question-answering";
  const bool squad = data.format == "squad";
  if (asks ? !squad && data.format != "auto" : squad && recipe.task != "language-model")
    throw Error(
        "data.format = \"{}\" does not go with task = \"{}\"; \"squad\" is for \"question-answering\", which reads "
        "nothing else, and \"language-model\"",
        data.format, recipe.task);
  if (asks && recipe.vocabulary.sampling > 0)
    throw Error("vocabulary.sampling moves the places of answers; set it to 0 for question answering");
  if (data.words == "apart" && recipe.task != "classification" && recipe.task != "language-model")
    throw Error(
        "data.words = \"apart\" is for classification and language models, and the task is \"{}\"; leave it out",
        recipe.task);
  if (recipe.task != "classification" && data.format == "label-lines")
    throw Error("data.format = \"label-lines\" is for task = \"classification\", and the task is \"{}\"", recipe.task);

  const int ways = !data.validation.empty() + (data.validation_split > 0) + (data.validation_every > 0);
  if (ways > 1)
    throw Error("give one of data.validation, data.validation_split and data.validation_every, found {}", ways);
  if (data.test_split > 0 && (!asks || data.validation_split == 0 || !data.test.empty()))
    throw Error(
        "data.test_split keeps articles apart for testing: it is for task = \"question-answering\" with "
        "data.validation_split and without data.test");
  if (data.validation_split + data.test_split >= 1)
    throw Error("data.validation_split = {} and data.test_split = {} leave nothing to train on", data.validation_split,
                data.test_split);
  if (data.validation_every == 1)
    throw Error("data.validation_every = 1 holds out every example; choose 2 or more, or 0 for none");
  if (ways == 0 && recipe.training.patience > 0)
    throw Error("training.patience = {} needs validations; give data.validation or data.validation_split",
                recipe.training.patience);
  if (data.max_length > recipe.model.context)
    throw Error("data.max_length = {} is longer than model.context = {}; raise the context, or leave max_length at 0",
                data.max_length, recipe.model.context);
  if (recipe.vocabulary.kind != "subword" && recipe.vocabulary.sampling > 0)
    throw Error("vocabulary.sampling is for kind = \"subword\", and the kind is \"{}\"; set it to 0",
                recipe.vocabulary.kind);
}

void check_stream(const Recipe& recipe) {
  if (recipe.data.documents != "stream")
    throw Error("batch.order = \"stream\" reads one text, and data.documents = \"{}\" has many; set it to \"stream\"",
                recipe.data.documents);
  if (recipe.model.network == "transformer")
    throw Error(
        "batch.order = \"stream\" carries the states of recurrent networks, and model.network is \"transformer\"; use "
        "shuffle or random");
  if (!carries_states(recipe.model))
    throw Error(
        "batch.order = \"stream\" carries states from batch to batch, which model.state_attention = \"{}\" does not "
        "allow; set it to \"none\", or use shuffle",
        recipe.model.state_attention);
  if (recipe.batch.tokens > 0)
    throw Error("batch.order = \"stream\" has batch.sequences streams; leave batch.tokens = {} at 0",
                recipe.batch.tokens);
}

void check_batches(const Recipe& recipe) {
  const BatchConfig& batch = recipe.batch;
  if (batch.context_jitter > 0 && batch.order != "stream")
    throw Error("batch.context_jitter is for order = \"stream\", and the order is \"{}\"; set it to 0", batch.order);
  if (recipe.task != "language-model") {
    if (batch.order == "random" || batch.order == "stream")
      throw Error("batch.order = \"{}\" is for language modelling; use shuffle or sequential", batch.order);
    if (recipe.data.too_long == "split")
      throw Error("data.too_long = \"split\" is for language modelling; use refuse, cut or skip");
    return;
  }
  if (batch.order == "stream") check_stream(recipe);
  if (batch.context > recipe.model.context)
    throw Error("batch.context = {} is longer than model.context = {}; raise the model's, or leave batch.context at 0",
                batch.context, recipe.model.context);
  const std::int64_t context = batch.context > 0 ? batch.context : recipe.model.context;
  if (batch.tokens > 0 && batch.tokens < context)
    throw Error("batch.tokens = {} does not hold one sequence of {} tokens; raise it, or lower batch.context",
                batch.tokens, context);
}

void check_training(const Recipe& recipe) {
  const TrainingConfig& training = recipe.training;
  if (training.steps == 0 && training.epochs == 0 && training.minutes == 0)
    throw Error("training has no end; give training.steps, training.epochs or training.minutes");
  const std::string best_by = training.best_by;
  const std::string needed = best_by == "bleu"                            ? "translation"
                             : best_by == "rouge_l"                       ? "summarisation"
                             : best_by == "f1"                            ? "question-answering"
                             : best_by == "loss" || best_by == "accuracy" ? recipe.task
                                                                          : "classification";
  if (needed != recipe.task)
    throw Error("training.best_by = \"{}\" is for task = \"{}\", and the task is \"{}\"; use loss", best_by, needed,
                recipe.task);
  if (training.softmax_samples > 0 && recipe.task != "language-model")
    throw Error("training.softmax_samples is for task = \"language-model\", and the task is \"{}\"; set it to 0",
                recipe.task);
  if (training.softmax_samples > 0 && training.label_smoothing > 0)
    throw Error(
        "training.label_smoothing = {} is spread over the whole vocabulary, of which training.softmax_samples = {} "
        "draws a part; set one of them to 0",
        training.label_smoothing, training.softmax_samples);
  if (!training.class_weights.empty() && recipe.task != "classification")
    throw Error("training.class_weights is for task = \"classification\", and the task is \"{}\"; leave it out",
                recipe.task);
  if (recipe.vocabulary.freeze_vectors && recipe.vocabulary.vectors.empty())
    throw Error("vocabulary.freeze_vectors = true needs vocabulary.vectors; name a file of word vectors");
  if (recipe.generation.sample && recipe.generation.beams > 1)
    throw Error("generation.beams = {} searches and generation.sample = true draws; choose one",
                recipe.generation.beams);
}

/// Several tasks over one encoder: each must be right by itself.
void check_tasks(const Recipe& recipe) {
  if (recipe.tasks.size() < 2)
    throw Error("task = \"multi-task\" needs two or more sections [tasks.NAME], found {}", recipe.tasks.size());
  if (recipe.batch.accumulate > 1)
    throw Error("batch.accumulate = {}: with several tasks each step has one batch of one of them; set it to 1",
                recipe.batch.accumulate);
  for (const TaskConfig& task : recipe.tasks) {
    const bool plain = std::all_of(task.name.begin(), task.name.end(),
                                   [](unsigned char c) { return std::isalnum(c) || c == '-' || c == '_'; });
    if (!plain || task.name.empty())
      throw Error("[tasks.\"{}\"]: a task's name has letters, digits, - and _ alone", task.name);
    if (!(task.weight > 0)) throw Error("tasks.{}.weight: expected a number above 0, found {}", task.name, task.weight);
    try {
      check(recipe_of(recipe, task));
    } catch (const Error& error) {
      throw Error("[tasks.{}]: {}", task.name, error.what());
    }
  }
}

}  // namespace

void check(const Recipe& recipe) {
  check_values(recipe);
  if (recipe.task == "multi-task") return check_tasks(recipe);
  if (!recipe.tasks.empty())
    throw Error("[tasks.{}] is for task = \"multi-task\", and the task is \"{}\"", recipe.tasks.front().name,
                recipe.task);
  check_model(recipe);
  check_data(recipe);
  check_batches(recipe);
  check_training(recipe);
}

}  // namespace heed
