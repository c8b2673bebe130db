#include "cli/training.h"

#include "cli/terminal.h"
#include "train/train_folder.h"

namespace heed::cli {

namespace {

std::string in_words(const Measures& measures) {
  std::string text;
  for (const auto& [name, value] : measures) {
    const std::string what = name.substr(name.rfind('.') + 1);  // of "TASK.accuracy"
    const bool share = what == "accuracy" || what.starts_with("macro") || what.starts_with("micro");
    text += (text.empty() ? "" : "  ") + name + " " +
            (share ? fixed(100.0 * value, 2) + " %" : fixed(value, what == "loss" ? 4 : 2));
  }
  return text;
}

}  // namespace

TrainingResult train_recipe(const Recipe& recipe, const std::filesystem::path& folder, const Common& common,
                            bool resume) {
  catch_signals();
  ThreadPool pool(common.threads);
  ProgressBar bar;
  FolderTraining how{.folder = folder, .pool = &pool, .stop = &stop_requested(), .resume = resume};
  how.preparing = [&](const std::string& what, double share) { bar.show(share, "reading " + what); };
  how.starting = [&](const TrainingStart& start) {
    bar.finish();
    const PreparedData& data = start.data;
    say(format("{} parameters, {} training {}, {}{}, {} threads", with_thousands(start.model.parameters()),
               with_thousands(data.train->examples()), data.train_store->stream() ? "windows" : "examples",
               start.precision == Precision::bfloat16 ? "bfloat16" : "float32",
               data.validation ? format(", {} for validation", with_thousands(data.validation->examples())) : "",
               pool.threads()));
  };
  how.observer.step = [&](const StepReport& report) {
    bar.show(report.done,
             format("step {}  epoch {}  loss {}  {} tokens/s  {} left", with_thousands(report.step),
                    fixed(report.epoch, 2), fixed(report.loss, 3),
                    with_thousands(static_cast<std::int64_t>(report.tokens_per_second)), as_time(report.seconds_left)));
  };
  how.observer.validated = [&](std::int64_t step, const Measures& measures, bool best) {
    bar.note(format("step {}  validation {}{}", with_thousands(step), in_words(measures), best ? green("  best") : ""));
  };
  how.observer.note = [&](const std::string& line) { bar.note(line); };
  const TrainingResult result = train_folder(recipe, how);
  bar.finish();
  return result;
}

}  // namespace heed::cli
