#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/terminal.h"
#include "formats/safetensors.h"
#include "train/model_folder.h"

namespace heed::cli {

namespace {

struct Subject {
  Recipe recipe;
  ModelSizes sizes;
  std::unique_ptr<Model> model;
  double bytes = 0.0;
};

/// A recipe has no vocabulary yet: its largest size stands for it.
Subject open_subject(const std::string& path, const std::vector<std::string>& overrides, bool verify,
                     std::int64_t classes) {
  Subject subject;
  if (std::filesystem::is_directory(path)) {
    ModelFolder folder = verify ? load_model_folder(path, true) : load_model_description(path);
    const auto file = std::filesystem::path(path) / "model.safetensors";
    if (std::filesystem::exists(file)) subject.bytes = static_cast<double>(std::filesystem::file_size(file));
    subject.recipe = folder.recipe;
    subject.sizes = folder.sizes;
    subject.model = std::move(folder.model);
    return subject;
  }
  subject.recipe = read_recipe(path, overrides);
  check(subject.recipe);
  const std::int64_t entries = subject.recipe.vocabulary.size;
  const bool pairs = subject.recipe.task == "question-answering";
  subject.sizes = {.source = entries, .target = entries, .classes = pairs ? 2 : classes, .pairs = pairs};
  subject.model = make_model(subject.recipe.model, subject.sizes);
  return subject;
}

}  // namespace

void add_info(CLI::App& app, Common& common, int& exit_code) {
  struct InfoOptions {
    std::string subject;
    std::vector<std::string> overrides;
    std::int64_t length = 128, classes = 2;
    bool verify = false;
  };
  auto options = std::make_shared<InfoOptions>();
  CLI::App* verb =
      app.add_subcommand("info", "Print a model's or recipe's layers: shapes, parameters, bytes and multiply-adds");
  verb->add_option("MODEL|RECIPE", options->subject, "a model folder or a recipe")->required();
  verb->add_option("--set", options->overrides, "override a recipe's key, as --set model.width=512");
  verb->add_option("--length", options->length, "tokens of context that attention's multiply-adds are counted for")
      ->capture_default_str();
  verb->add_option("--classes", options->classes, "classes of a recipe that has no data yet")->capture_default_str();
  verb->add_flag("--verify", options->verify, "compute the checksum of every tensor");
  verb->add_flag("--json", common.json, "one JSON object a line: a layer each, then the total");
  verb->callback([options, &common, &exit_code] {
    Subject subject = open_subject(options->subject, options->overrides, options->verify, options->classes);
    const auto rows = layer_table(*subject.model, subject.recipe.model, options->length);
    std::int64_t multiply_adds = 0;
    for (const LayerRow& row : rows) multiply_adds += row.multiply_adds;
    const std::int64_t parameters = subject.model->parameters();
    if (common.json) {
      for (const LayerRow& row : rows)
        std::printf("%s\n", nlohmann::ordered_json{{"layer", row.name},
                                                   {"kind", row.kind},
                                                   {"shape", row.shape},
                                                   {"parameters", row.parameters},
                                                   {"bytes", 4 * row.parameters},
                                                   {"multiply_adds_per_token", row.multiply_adds}}
                                .dump()
                                .c_str());
      std::printf("%s\n", nlohmann::ordered_json{{"layer", "total"},
                                                 {"parameters", parameters},
                                                 {"bytes", 4 * parameters},
                                                 {"multiply_adds_per_token", multiply_adds}}
                              .dump()
                              .c_str());
    } else {
      std::size_t name_width = 5, kind_width = 4, shape_width = 5;
      for (const LayerRow& row : rows) {
        name_width = std::max(name_width, row.name.size());
        kind_width = std::max(kind_width, row.kind.size());
        shape_width = std::max(shape_width, row.shape.size());
      }
      auto line = [&](const std::string& name, const std::string& kind, const std::string& shape,
                      const std::string& count, const std::string& bytes, const std::string& work) {
        std::printf("%-*s  %-*s  %-*s  %14s  %9s  %15s\n", static_cast<int>(name_width), name.c_str(),
                    static_cast<int>(kind_width), kind.c_str(), static_cast<int>(shape_width), shape.c_str(),
                    count.c_str(), bytes.c_str(), work.c_str());
      };
      line("layer", "kind", "shape", "parameters", "bytes", "mul-adds/token");
      for (const LayerRow& row : rows)
        line(row.name, row.kind, row.shape, row.parameters ? with_thousands(row.parameters) : "",
             row.parameters ? as_bytes(4.0 * static_cast<double>(row.parameters)) : "",
             row.multiply_adds ? with_thousands(row.multiply_adds) : "");
      line("total", subject.recipe.model.kind, "", with_thousands(parameters),
           as_bytes(4.0 * static_cast<double>(parameters)), with_thousands(multiply_adds));
      if (options->verify) std::printf("every checksum is right\n");
    }
    exit_code = 0;
  });
}

}  // namespace heed::cli
