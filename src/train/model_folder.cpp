#include "train/model_folder.h"

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "formats/file.h"
#include "train/checkpoint.h"
#include "train/prepare.h"

namespace heed {

namespace {

using nlohmann::json;

json read_description(const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / "heed.json";
  if (!std::filesystem::exists(folder)) throw Error("{}: no such model folder", folder.string());
  if (!std::filesystem::is_directory(folder) || !std::filesystem::exists(file))
    throw Error("{}: not a model folder (it has no heed.json); `heed train RECIPE --out FOLDER` makes one",
                folder.string());
  std::ifstream in(file);
  std::stringstream text;
  text << in.rdbuf();
  json description = json::parse(text.str(), nullptr, false);
  if (description.is_discarded() || !description.is_object() || !description.contains("format_version") ||
      !description["format_version"].is_number_integer())
    throw Error("{}: not a description of a model: the file is altered or truncated", file.string());
  const int version = description["format_version"].get<int>();
  if (version < 1 || version > ModelFolder::format_version)
    throw Error("{}: format version {}, this heed reads up to {}; use a newer heed", file.string(), version,
                ModelFolder::format_version);
  return description;
}

/// A field of heed.json. Throws Error naming the file and field when it is missing or of another type.
template <class T>
T field(const json& description, const std::filesystem::path& folder, const char* name) {
  const auto found = description.find(name);
  try {
    if (found != description.end()) return found->get<T>();
  } catch (const json::exception&) {
  }
  throw Error("{}: \"{}\" is missing or of another type: the file is altered", (folder / "heed.json").string(), name);
}

}  // namespace

Task task_named(const std::string& name) {
  if (name == "language-model") return Task::language_modelling;
  if (name == "translation") return Task::translation;
  if (name == "classification") return Task::classification;
  if (name == "summarisation") return Task::summarisation;
  if (name == "question-answering") return Task::question_answering;
  throw Error(
      "task is \"{}\": translation, summarisation, language-model, classification and question-answering are known",
      name);
}

ModelSizes sizes_of(const TextEncoder& text) {
  ModelSizes sizes;
  switch (text.task) {
    case Task::language_modelling:
      sizes.target = text.source->size();
      break;
    case Task::translation:
    case Task::summarisation:
      sizes.source = text.source->size();
      sizes.target = text.target->size();
      break;
    case Task::question_answering:
      sizes.source = text.source->size();
      sizes.classes = 2;  // where the answer starts and where it ends
      sizes.pairs = true;
      break;
    case Task::classification:
      sizes.source = text.source->size();
      sizes.classes = static_cast<std::int64_t>(text.labels.names().size());
      break;
  }
  return sizes;
}

void write_model_folder(const std::filesystem::path& path, const Recipe& recipe, const TextEncoder& text) {
  std::filesystem::create_directories(path);
  text.source->save(path, "source");
  const bool own_target = makes_text_from_text(text.task) && text.target != text.source;
  if (own_target) text.target->save(path, "target");
  write_file_atomically(path / "recipe.toml", [&](Writer& writer) { writer.write(write_recipe(recipe)); });
  const json description{{"format_version", ModelFolder::format_version},
                         {"heed", HEED_VERSION},
                         {"task", recipe.task},
                         {"labels", text.labels.names()},
                         {"own_target_vocabulary", own_target},
                         {"documents", text.documents},
                         {"lowercase", text.lowercase},
                         {"words_apart", text.words_apart},
                         {"unanswerable", text.unanswerable}};
  write_file_atomically(path / "heed.json", [&](Writer& writer) { writer.write(description.dump(2) + "\n"); });
}

void write_tasks_folder(const std::filesystem::path& path, const Recipe& recipe) {
  write_file_atomically(path / "recipe.toml", [&](Writer& writer) { writer.write(write_recipe(recipe)); });
  json description{{"format_version", ModelFolder::format_version}, {"heed", HEED_VERSION}, {"task", recipe.task}};
  for (const TaskConfig& task : recipe.tasks) description["tasks"].push_back(task.name);
  write_file_atomically(path / "heed.json", [&](Writer& writer) { writer.write(description.dump(2) + "\n"); });
}

std::vector<std::string> tasks_in(const std::filesystem::path& path) {
  const json description = read_description(path);
  if (!description.contains("tasks")) return {};
  return field<std::vector<std::string>>(description, path, "tasks");
}

std::filesystem::path task_folder(const std::filesystem::path& path, const std::string& task) {
  const std::vector<std::string> tasks = tasks_in(path);
  if (tasks.empty() && task.empty()) return path;
  if (std::find(tasks.begin(), tasks.end(), task) != tasks.end()) return path / "tasks" / task;
  std::string all;
  for (const std::string& name : tasks) all += (all.empty() ? "" : ", ") + name;
  if (tasks.empty()) throw Error("{}: is a model of one task, and the task {} was asked for", path.string(), task);
  if (task.empty())
    throw Error("{}: a model of several tasks; name one of {} with --task, or open its folder in tasks", path.string(),
                all);
  throw Error("{}: has no task {}; its tasks are {}", path.string(), task, all);
}

void write_temperature(const std::filesystem::path& path, double temperature) {
  json description = read_description(path);
  description["temperature"] = temperature;
  write_file_atomically(path / "heed.json", [&](Writer& writer) { writer.write(description.dump(2) + "\n"); });
}

ModelFolder load_model_description(const std::filesystem::path& path) {
  const json description = read_description(path);
  task_folder(path, "");  // of one task
  ModelFolder folder;
  folder.path = path;
  folder.recipe = read_recipe(path / "recipe.toml");
  try {
    check(folder.recipe);
  } catch (const Error& error) {
    throw Error("{}: {}", (path / "recipe.toml").string(), error.what());
  }
  folder.text.task = task_named(field<std::string>(description, path, "task"));
  folder.text.source = load_vocabulary(path, "source");
  if (makes_text_from_text(folder.text.task))
    folder.text.target =
        field<bool>(description, path, "own_target_vocabulary") ? load_vocabulary(path, "target") : folder.text.source;
  folder.text.labels = Labels(field<std::vector<std::string>>(description, path, "labels"));
  folder.text.documents = field<bool>(description, path, "documents");
  folder.text.lowercase = field<bool>(description, path, "lowercase");
  // Folders of earlier versions lack these.
  folder.text.cut_to = folder.recipe.data.too_long == "cut" ? longest_sequence(folder.recipe) : 0;
  if (description.contains("words_apart")) folder.text.words_apart = field<bool>(description, path, "words_apart");
  if (description.contains("unanswerable")) folder.text.unanswerable = field<bool>(description, path, "unanswerable");
  if (description.contains("temperature")) folder.temperature = field<double>(description, path, "temperature");
  if (!(folder.temperature > 0))
    throw Error("{}: the temperature is {}; the file is altered", (path / "heed.json").string(), folder.temperature);
  folder.sizes = sizes_of(folder.text);
  folder.model = make_model(folder.recipe.model, folder.sizes);
  return folder;
}

ModelFolder load_model_folder(const std::filesystem::path& path, bool verify) {
  ModelFolder folder = load_model_description(path);
  const std::filesystem::path whole = std::filesystem::absolute(path).lexically_normal();
  const std::filesystem::path above = whole.has_filename() ? whole : whole.parent_path();
  const bool one_of_several = above.parent_path().filename() == "tasks" &&
                              std::filesystem::exists(above.parent_path().parent_path() / "heed.json");
  const std::filesystem::path file = (one_of_several ? above.parent_path().parent_path() : path) / "model.safetensors";
  if (!std::filesystem::exists(file))
    throw Error("{}: has no model.safetensors yet; `heed train --resume {}` goes on with its training", path.string(),
                path.string());
  const SafetensorsReader reader(file);
  if (verify) reader.verify();
  if (one_of_several)
    load_task_weights(reader, *folder.model, above.filename().string());
  else
    load_weights(reader, *folder.model);
  return folder;
}

}  // namespace heed
