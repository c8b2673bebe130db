#include "cli/quickstart_folder.h"

#include <heed/error.h>

#include <fstream>
#include <system_error>

#include "formats/file.h"

namespace heed::cli {

namespace {

constexpr const char* first_line = "# Written by `heed quickstart`, which replaces it: copy it before you change it.";

constexpr const char* recipe_text = R"(
# A small Transformer that learns to read and write numbers and dates. To train it again from this file:
#   heed train quickstart.toml --out FOLDER
# All that may stand here: heed train --help-recipe
task = "translation"
description = "quickstart: numbers and dates, words to digits and back"

[data]
train = "corpus/train.tsv"            # two columns, source and target
validation = "corpus/validation.tsv"  # held out: says when the model is at its best
test = "corpus/test.tsv"              # held out: what `heed eval` scores
text_column = "source"
target_column = "target"

[vocabulary]
kind = "subword"  # pieces of words, found by joining what often stands together
algorithm = "bpe"
size = 240

[batch]
tokens = 2500

[model]
kind = "encoder-decoder"
width = 128
heads = 4
layers = 2        # of the encoder, and as many of the decoder
feed_forward = 256
activation = "relu"
embedding_scale = true
tied = "all"
context = 128
dropout = 0.1

[training]
steps = {}
rate = 0.003
schedule = "cosine"
warmup = 100
beta2 = 0.98
label_smoothing = 0.05
validate_every = 500
seed = {}
)";

}  // namespace

bool QuickstartFolder::is_own() const {
  std::ifstream file(recipe());
  std::string line;
  return std::getline(file, line) && line == first_line;
}

void QuickstartFolder::prepare(std::int64_t seed, std::int64_t steps) const {
  std::error_code problem;
  if (std::filesystem::exists(path) && !is_own() &&
      (!std::filesystem::is_directory(path) || !std::filesystem::is_empty(path, problem)))
    throw Error("{}: is there already and was not made by a quickstart; choose another folder with --out",
                path.string());
  for (const std::filesystem::path& part : {corpus(), model(), page()}) {
    std::filesystem::remove_all(part, problem);
    if (problem) throw Error("{}: cannot be replaced: {}", part.string(), problem.message());
  }
  std::filesystem::create_directories(path, problem);
  if (problem) throw Error("{}: cannot be made: {}", path.string(), problem.message());
  // First of all, so that a folder is its own even if what follows is cut short.
  write_file_atomically(
      recipe(), [&](Writer& writer) { writer.write(std::string(first_line) + format(recipe_text, steps, seed)); });
  std::filesystem::create_directories(corpus(), problem);
  if (problem) throw Error("{}: cannot be made: {}", corpus().string(), problem.message());
}

Recipe QuickstartFolder::read_recipe() const {
  Recipe read = heed::read_recipe(recipe());
  resolve_paths(read, std::filesystem::absolute(path));
  check(read);
  return read;
}

std::string in_shell(const std::filesystem::path& path) {
  const std::string text = path.string();
  constexpr const char* plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./+:@%,=-";
  if (!text.empty() && text.find_first_not_of(plain) == std::string::npos) return text;
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? "'\\''" : std::string(1, c);
  return quoted + "'";
}

std::string command_name() {
  std::ifstream arguments("/proc/self/cmdline");
  std::string name;
  return std::getline(arguments, name, '\0') && !name.empty() ? in_shell(name) : "heed";
}

}  // namespace heed::cli
