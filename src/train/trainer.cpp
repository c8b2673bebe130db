#include "train/trainer.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "base/clock.h"
#include "base/memory.h"
#include "kernels/rows.h"
#include "tasks/loss.h"
#include "train/averaging.h"
#include "train/metrics_file.h"
#include "train/model_folder.h"
#include "train/schedule.h"
#include "train/vector_start.h"

namespace heed {

namespace {

bool starts_with_any(const std::string& name, const std::vector<std::string>& prefixes) {
  return std::any_of(prefixes.begin(), prefixes.end(),
                     [&](const std::string& prefix) { return name.starts_with(prefix); });
}

std::vector<std::pair<std::string, Weight>> trained_weights(Model& model, const Recipe& recipe) {
  const TrainingConfig& config = recipe.training;
  std::vector<std::pair<std::string, Weight>> trained;
  for (auto& [name, weight] : model.weights()) {
    const bool from_vectors = recipe.vocabulary.freeze_vectors && is_input_embedding(name, recipe.model.kind);
    weight.freeze(from_vectors || starts_with_any(name, config.freeze));
    if (!weight.frozen()) trained.emplace_back(name, weight);
  }
  if (trained.empty()) throw Error("training.freeze leaves no weight to train");
  return trained;
}

std::vector<Weight> without_names(const std::vector<std::pair<std::string, Weight>>& named) {
  std::vector<Weight> weights;
  for (const auto& [name, weight] : named) weights.push_back(weight);
  return weights;
}

/// What a resumed training must share with the one that made the checkpoint: all but when it ends and what it reports.
std::string fingerprint_of(const Recipe& recipe, const std::string& data) {
  Recipe same = recipe;
  same.description.clear();
  same.generation = {};
  const auto forget_paths = [](DataConfig& of) {
    of.train = of.train_target = of.validation = of.validation_target = of.test = of.test_target = {};
  };
  forget_paths(same.data);
  for (TaskConfig& task : same.tasks) forget_paths(task.data);
  TrainingConfig& training = same.training;
  training.steps = training.patience = training.checkpoint_every = 0;
  training.epochs = training.minutes = training.checkpoint_minutes = 0.0;
  training.start_from.clear();
  same.vocabulary.vectors.clear();
  const std::string text = write_recipe(same) + data;
  std::uint64_t hash = 0;
  for (const char c : text) hash = mix64(hash ^ static_cast<unsigned char>(c));
  return std::to_string(hash);
}

class Run {
 public:
  explicit Run(const TrainingRun& run)
      : run_(run),
        config_(run.recipe->training),
        mixture_(run.tasks, RandomKey{config_.seed}.fold(3).seed),
        precision_(precision_of(config_)),
        optimizer_(config_, trained_weights(*run.model, *run.recipe)),
        gradients_(without_names(optimizer_.trained())),
        averages_(*run.model, config_),
        carried_(*run.model, run.tasks.front().batches->streams()),
        key_(RandomKey{config_.seed}.fold(1)),
        fingerprint_(fingerprint_of(*run.recipe, run.data_fingerprint)),
        checkpoint_(checkpoint_file(run.folder)) {}

  TrainingResult operator()();

 private:
  struct StepLoss {
    double sum = 0.0;
    std::int64_t count = 0;
    double weight = 1.0;  // of the task
  };
  StepLoss forward_and_backward();
  Loss loss_of(Pass& pass, const TrainedTask& task, const PackedBatch& batch) const;
  void update(const StepLoss& loss);
  double done() const;
  std::string why_ended() const;
  void validate_and_keep();
  void log();
  void save();
  struct Trouble {
    const TrainedTask& task;
    const PackedBatch& batch;
    RandomKey key;
  };
  [[noreturn]] void explain_not_finite(const std::string& what, const Trouble* trouble);

  const TrainingRun& run_;
  const TrainingConfig& config_;
  TaskMixture mixture_;
  Precision precision_;
  Arena arena_;
  Optimizer optimizer_;
  WeightGradients gradients_;
  Averages averages_;
  CarriedStates carried_;
  RandomKey key_;
  std::string fingerprint_;
  std::filesystem::path checkpoint_;
  Progress progress_;
  std::unique_ptr<MetricsFile> metrics_;
  double rate_ = 0.0, gradient_norm_ = 0.0;
  double logged_seconds_ = 0.0;
  std::int64_t logged_tokens_ = 0;
  double saved_at_ = 0.0;
};

/// How much of the training is over, by whatever ends it first.
double Run::done() const {
  double share = 0.0;
  if (config_.steps > 0)
    share = std::max(share, static_cast<double>(progress_.step) / static_cast<double>(config_.steps));
  if (config_.epochs > 0.0) {
    const double batches = static_cast<double>(std::max<std::int64_t>(1, mixture_.batches_in_epoch(progress_.epoch)));
    share = std::max(share, (static_cast<double>(progress_.epoch) + static_cast<double>(progress_.batch) / batches) /
                                config_.epochs);
  }
  if (config_.minutes > 0.0) share = std::max(share, progress_.seconds / (60.0 * config_.minutes));
  return std::min(share, 1.0);
}

std::string Run::why_ended() const {
  if (run_.stop && run_.stop->load()) return "interrupted";
  if (config_.steps > 0 && progress_.step >= config_.steps) return "steps";
  if (config_.epochs > 0.0 && done() >= 1.0 && (config_.minutes <= 0.0 || progress_.seconds < 60.0 * config_.minutes))
    return "epochs";
  if (config_.minutes > 0.0 && progress_.seconds >= 60.0 * config_.minutes) return "minutes";
  if (config_.patience > 0 && progress_.without_better >= config_.patience) return "patience";
  return "";
}

Loss Run::loss_of(Pass& pass, const TrainedTask& task, const PackedBatch& batch) const {
  return batch_loss(task.task, *task.model, pass, batch, static_cast<float>(config_.label_smoothing),
                    task.class_weights, config_.softmax_samples);
}

Run::StepLoss Run::forward_and_backward() {
  StepLoss total;
  gradients_.clear();
  const RandomKey step_key = key_.fold(static_cast<std::uint64_t>(progress_.step));
  for (std::int64_t part = 0; part < run_.recipe->batch.accumulate; ++part) {
    if (progress_.batch >= mixture_.batches_in_epoch(progress_.epoch)) {
      ++progress_.epoch;
      progress_.batch = 0;
    }
    if (progress_.batch == 0) carried_.restart();
    const auto [task, index] = mixture_.pick(progress_.epoch, progress_.batch);
    const PackedBatch batch = task->batches->batch(progress_.epoch, index);
    const RandomKey key = step_key.fold(static_cast<std::uint64_t>(part));
    Pass pass(arena_, *run_.pool,
              {.training = true,
               .precision = precision_,
               .key = key,
               .gradients = &gradients_,
               .states = carried_.of_pass(),
               .watch = {}});
    const Loss loss = loss_of(pass, *task, batch);
    const Trouble trouble{*task, batch, key};
    if (!std::isfinite(loss.total)) explain_not_finite("the loss", &trouble);
    pass.backward(loss);
    carried_.advance(batch.target_offsets);
    ++progress_.batch;
    total.sum += loss.total;
    total.count += loss.count;
    total.weight = task->weight;  // with several tasks a step has one batch
  }
  gradients_.finish();
  return total;
}

void Run::update(const StepLoss& loss) {
  const double count = static_cast<double>(std::max<std::int64_t>(loss.count, 1));
  const double scale = loss.weight / count;
  gradient_norm_ = std::sqrt(kernels::sum_of_squares(gradients_.buffer().view(), *run_.pool)) * scale;
  if (!std::isfinite(gradient_norm_)) explain_not_finite("the gradient", nullptr);
  const double clip = config_.clip > 0.0 && gradient_norm_ > config_.clip ? config_.clip / gradient_norm_ : 1.0;
  rate_ = learning_rate(config_, progress_.step, done());
  optimizer_.step(gradients_, rate_, clip * scale, *run_.pool);
  averages_.update(*run_.model, progress_.step, *run_.pool);
  ++progress_.step;
  progress_.tokens += loss.count;
  progress_.loss_sum += loss.sum;
  progress_.loss_count += loss.count;
}

/// Names the first weight, layer or gradient that is not finite. `trouble`: the batch whose loss was not, which is run
/// again with the same key to look at every value; null when all losses were finite.
void Run::explain_not_finite(const std::string& what, const Trouble* trouble) {
  std::unordered_map<const Weight::Record*, std::string> names;
  std::string where;
  for (auto& [name, weight] : run_.model->weights()) {
    names.emplace(weight.identity(), name);
    if (where.empty() && !kernels::all_finite(weight.value().view(), *run_.pool)) where = "the weight " + name;
  }
  if (where.empty() && trouble) {
    Pass pass(arena_, *run_.pool,
              {.training = true,
               .precision = precision_,
               .key = trouble->key,
               .gradients = nullptr,
               .states = carried_.of_pass(),
               .watch = [&](const Tensor& y, const Weight::Record* last) {
                 if (where.empty() && !kernels::all_finite(y.view(), *run_.pool)) where = "the layer of " + names[last];
               }});
    loss_of(pass, trouble->task, trouble->batch);
  }
  for (auto it = optimizer_.trained().rbegin(); where.empty() && it != optimizer_.trained().rend(); ++it)
    if (!kernels::all_finite(gradients_.of(it->second).view(), *run_.pool)) where = "the gradient of " + it->first;
  if (where.empty()) where = "the loss alone";
  throw Error(
      "{} is not finite at step {}; first in {}. The last good checkpoint is {}. A lower training.rate, a longer "
      "training.warmup or training.clip = 1 usually helps",
      what, progress_.step + 1, where, std::filesystem::exists(checkpoint_) ? checkpoint_.string() : "none yet");
}

void Run::log() {
  const double seconds = std::max(progress_.seconds - logged_seconds_, 1e-9);
  const double loss = progress_.loss_count > 0 ? progress_.loss_sum / static_cast<double>(progress_.loss_count) : 0.0;
  metrics_->write({{"step", progress_.step},
                   {"epoch", progress_.epoch},
                   {"loss", loss},
                   {"rate", rate_},
                   {"gradient_norm", gradient_norm_},
                   {"tokens", progress_.tokens},
                   {"tokens_per_second", std::round(static_cast<double>(progress_.tokens - logged_tokens_) / seconds)},
                   {"seconds", progress_.seconds}});
  logged_seconds_ = progress_.seconds;
  logged_tokens_ = progress_.tokens;
  progress_.loss_sum = 0.0;
  progress_.loss_count = 0;
}

void Run::validate_and_keep() {
  if (progress_.validated_step == progress_.step) return;
  progress_.validated_step = progress_.step;
  const std::filesystem::path file = run_.folder / "model.safetensors";
  averages_.keep(*run_.model, run_.folder / "checkpoint", progress_.step);
  const Averages::Shown shown(averages_,
                              *run_.model);  // validated and saved: the averaged weights, where there are any
  if (!run_.validate) {
    write_safetensors(file, named_weights(*run_.model));
    return;
  }
  const Measures measures = run_.validate(arena_, precision_);
  const auto found = measures.find(config_.best_by);
  if (found == measures.end())
    throw Error("training.best_by is \"{}\", which this task's validation does not measure", config_.best_by);
  ++progress_.validations;
  const double value = found->second;
  const bool best =
      progress_.best_step == 0 || (config_.best_by == "loss" ? value < progress_.best : value > progress_.best);
  if (best) {
    progress_.best = value;
    progress_.best_step = progress_.step;
    progress_.without_better = 0;
    write_safetensors(file, named_weights(*run_.model));
  } else {
    ++progress_.without_better;
  }
  nlohmann::ordered_json line{{"step", progress_.step}};
  for (const auto& [name, measure] : measures) line["validation_" + name] = measure;
  line["best"] = best;
  metrics_->write(line);
  if (run_.observer.validated) run_.observer.validated(progress_.step, measures, best);
}

void Run::save() {
  progress_.metrics_bytes = metrics_->bytes();
  save_checkpoint(checkpoint_, *run_.model, optimizer_, averages_.tensors(), carried_, progress_, fingerprint_);
  saved_at_ = now();
}

TrainingResult Run::operator()() {
  std::filesystem::create_directories(checkpoint_.parent_path());
  if (run_.resume && std::filesystem::exists(checkpoint_)) {
    progress_ = load_checkpoint(checkpoint_, *run_.model, optimizer_, averages_.tensors(), carried_, fingerprint_);
    if (run_.observer.note) run_.observer.note(format("resuming after step {}", progress_.step));
  }
  metrics_ = std::make_unique<MetricsFile>(run_.folder / "metrics.jsonl", progress_.metrics_bytes);
  averages_.forget_after(run_.folder / "checkpoint", progress_.step);
  logged_seconds_ = progress_.seconds;
  logged_tokens_ = progress_.tokens;
  saved_at_ = now();

  std::string reason = why_ended();
  if (reason.empty()) progress_.finished = false;  // a training that had ended, and now may go on for longer
  while (reason.empty()) {
    const double start = now();
    const std::int64_t epoch = progress_.epoch;
    const bool was_over = progress_.batch >= mixture_.batches_in_epoch(epoch);
    const StepLoss loss = forward_and_backward();
    update(loss);
    const double seconds = now() - start;
    progress_.seconds += seconds;
    bool pause = false;
    if (run_.observer.step || run_.pause) {
      const double share = done();
      const StepReport report{.step = progress_.step,
                              .done = share,
                              .epoch = static_cast<double>(progress_.epoch) +
                                       static_cast<double>(progress_.batch) /
                                           static_cast<double>(mixture_.batches_in_epoch(progress_.epoch)),
                              .loss = loss.sum / static_cast<double>(std::max<std::int64_t>(1, loss.count)),
                              .rate = rate_,
                              .tokens_per_second = static_cast<double>(loss.count) / seconds,
                              .seconds_left = share > 0.0 ? progress_.seconds * (1.0 - share) / share : 0.0};
      if (run_.observer.step) run_.observer.step(report);
      pause = run_.pause && run_.pause(report);
    }
    if (config_.log_every > 0 && progress_.step % config_.log_every == 0) log();
    // At its last batch, or within a step of several batches that began in it.
    const bool epoch_over =
        progress_.batch >= mixture_.batches_in_epoch(progress_.epoch) || (progress_.epoch != epoch && !was_over);
    const bool validate = config_.validate_every > 0 ? progress_.step % config_.validate_every == 0 : epoch_over;
    if (validate || pause) validate_and_keep();
    reason = why_ended();
    if (reason.empty() && pause) reason = "paused";
    const bool by_steps = config_.checkpoint_every > 0 && progress_.step % config_.checkpoint_every == 0;
    const bool by_clock = config_.checkpoint_every == 0 && config_.checkpoint_minutes > 0.0 &&
                          now() - saved_at_ > 60.0 * config_.checkpoint_minutes;
    if (reason.empty() && (by_steps || by_clock || validate)) save();
  }
  if (reason != "interrupted" && reason != "paused" && !progress_.finished) {
    validate_and_keep();
    if (averages_.average_kept(*run_.model, run_.folder / "checkpoint")) {
      const Averages::Kept kept(averages_, *run_.model);
      const Measures measures = run_.validate ? run_.validate(arena_, precision_) : Measures{};
      const auto found = measures.find(config_.best_by);
      const bool best = found == measures.end() ||
                        (config_.best_by == "loss" ? found->second < progress_.best : found->second > progress_.best);
      if (best) write_safetensors(run_.folder / "model.safetensors", named_weights(*run_.model));
      if (run_.observer.note)
        run_.observer.note(format("the mean of the last {} validations' weights is {}", config_.average,
                                  best ? "better: kept" : "not better"));
      if (run_.observer.validated && !measures.empty()) run_.observer.validated(progress_.step, measures, best);
    }
    progress_.finished = true;
  }
  save();
  return {progress_, reason};
}

}  // namespace

Precision precision_of(const TrainingConfig& config) {
  if (config.precision == "float32") return Precision::float32;
  if (config.precision == "bfloat16") return Precision::bfloat16;
  return best_precision();
}

std::int64_t estimated_memory(Model& model, const Recipe& recipe, std::int64_t batch_tokens) {
  const std::int64_t parameters = model.parameters();
  const std::int64_t copies = recipe.training.optimizer == "sgd" ? 3 : 4;  // weight, gradient, moments
  const ModelConfig& m = recipe.model;
  const std::int64_t inner = m.feed_forward > 0 ? m.feed_forward : 4 * m.width;
  // What a layer keeps for its backward, in elements a token: norms and sums, queries, keys, values, the inner network.
  const std::int64_t kept = 10 * m.width + 2 * inner * (m.gated ? 2 : 1);
  const std::int64_t layers = m.layers + (m.kind == "encoder-decoder" ? m.layers_of_decoder() : 0);
  return 4 * (parameters * copies + batch_tokens * kept * layers) + (std::int64_t{1} << 28);
}

TrainingResult train(const TrainingRun& run) { return Run(run)(); }

}  // namespace heed
