#include "experiments/latency.h"

#include <heed/error.h>

#include <algorithm>

#include "base/clock.h"
#include "decode/generate.h"

namespace heed {

namespace {

constexpr std::size_t most_examples = 32;
constexpr int rounds = 3;  // that are counted

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

/// Validation examples of all lengths: every so many-th of the batches, which are sorted by length.
StorePart some_examples(const PreparedData& data, std::int64_t window) {
  StorePart part;
  const std::int64_t batches = data.validation->batches_in_epoch(0);
  std::vector<std::int64_t> all;
  for (std::int64_t i = 0; i < batches; ++i)
    for (const std::int64_t example : data.validation->batch(0, i).examples) all.push_back(example);
  if (data.validation_store->stream()) {
    part.first_token = *std::min_element(all.begin(), all.end());
    part.last_token = std::min(*std::max_element(all.begin(), all.end()) + 1,
                               part.first_token + window * static_cast<std::int64_t>(most_examples)) +
                      1;
    return part;
  }
  const std::size_t stride = std::max<std::size_t>(1, all.size() / most_examples);
  for (std::size_t i = 0; i < all.size() && part.examples.size() < most_examples; i += stride)
    part.examples.push_back(all[i]);
  std::sort(part.examples.begin(), part.examples.end());
  return part;
}

void answer_each(const TrainingStart& trained, const Batches& batches, std::vector<double>& times) {
  Session session(trained.pool, trained.precision);
  for (std::int64_t i = 0; i < batches.batches_in_epoch(0); ++i) {
    const GenerationInput input{batches.batch(0, i).source, {Vocabulary::begin()}};
    const double start = now();
    answers(trained.model, session, {&input, 1}, trained.recipe.generation, Vocabulary::end());
    times.push_back(now() - start);
  }
}

void score_each(const TrainingStart& trained, const Batches& batches, std::vector<double>& times) {
  Arena arena;
  double start = now();
  evaluate({trained.model, trained.data.text, arena, trained.pool, trained.precision}, batches,
           [&](std::int64_t, std::int64_t) {
             times.push_back(now() - start);
             start = now();
           });
}

}  // namespace

double measure_latency(const TrainingStart& trained) {
  const PreparedData& data = trained.data;
  if (!data.validation) throw Error("latency is measured on validation data, and the recipe has none");
  const Recipe& recipe = trained.recipe;
  const std::int64_t window = recipe.batch.context > 0 ? recipe.batch.context : recipe.model.context;
  BatchConfig one;
  one.sequences = 1;
  one.order = "sequential";
  const Batches batches(data.validation_store, data.text, some_examples(data, window), one, window, 0);
  std::vector<double> times;
  for (int round = -1; round < rounds; ++round) {
    if (round == 0) times.clear();
    makes_text_from_text(data.text.task) ? answer_each(trained, batches, times) : score_each(trained, batches, times);
  }
  return 1000.0 * median(std::move(times));
}

}  // namespace heed
