#include <heed/optimizer.h>
#include <heed/random.h>

#include <fstream>
#include <numeric>

#include "cli/bench.h"
#include "formats/npy.h"
#include "tasks/loss.h"
#include "train/checkpoint.h"

namespace heed::cli {

namespace {

struct TrainingCase {
  const char* name;
  ModelConfig model;
  std::int64_t entries, sequences, length;
  int repeats;
  std::vector<std::int64_t> lengths = {};  ///< of sequences that are not equally long
  std::int64_t classes = 0;                ///< a classifier's

  std::int64_t length_of(std::int64_t sequence) const {
    return lengths.empty() ? length : lengths[static_cast<std::size_t>(sequence)];
  }
  std::int64_t tokens() const {
    return lengths.empty() ? sequences * length : std::accumulate(lengths.begin(), lengths.end(), std::int64_t{0});
  }
};

ModelConfig gpt2(std::int64_t width, std::int64_t heads, std::int64_t layers, std::int64_t context) {
  ModelConfig config;
  config.kind = "decoder";
  config.width = width;
  config.heads = heads;
  config.layers = layers;
  config.context = context;
  config.activation = "gelu_tanh";
  config.position = "learned";
  config.dropout = 0.0;
  return config;
}

/// Vaswani et al. 2017, "base", as PyTorch's nn.Transformer has it: a norm after the last layer, no positions.
ModelConfig transformer_base() {
  ModelConfig config;
  config.kind = "encoder-decoder";
  config.width = 512;
  config.heads = 8;
  config.layers = 6;
  config.feed_forward = 2048;
  config.activation = "relu";
  config.norm_place = "post-final";
  config.position = "none";
  config.tied = "all";
  config.dropout = config.activation_dropout = 0.1;
  config.embedding_dropout = 0.0;
  return config;
}

/// As PyTorch's nn.LSTM: two biases a gate.
ModelConfig lstm(const char* kind, std::int64_t embedding_width) {
  ModelConfig config;
  config.kind = kind;
  config.network = "lstm";
  config.width = 128;
  config.embedding_width = embedding_width;
  config.layers = 2;
  config.gate_biases = 2;
  config.tied = "none";
  config.dropout = 0.0;
  config.pooling = "attention";
  config.pooling_score = "dot";
  return config;
}

/// Drawn once from 5 to 59 tokens: the same as other programs are measured with.
const std::vector<std::int64_t> classifier_lengths = {59, 34, 28, 30, 13, 19, 42, 38, 22, 13, 36, 31, 51, 54, 13, 11,
                                                      21, 48, 59, 48, 51, 19, 46, 19, 39, 6,  14, 59, 14, 25, 16, 42,
                                                      13, 30, 25, 5,  52, 24, 6,  8,  13, 48, 36, 34, 36, 12, 48, 20,
                                                      57, 26, 30, 34, 13, 26, 56, 25, 8,  21, 26, 57, 54, 26, 8,  19};

const std::vector<TrainingCase>& all_cases() {
  static const std::vector<TrainingCase> cases = {
      {"gpt2_124m_batch_4x256", gpt2(768, 12, 12, 1024), 50257, 4, 256, 5},
      {"transformer_base_batch_32x64", transformer_base(), 32000, 32, 64, 5},
      {"tiny_decoder_4_layers_width_128_batch_12x64", gpt2(128, 4, 4, 64), 65, 12, 64, 60},
      {"lstm_10000x64_128x2_batch_32x100", lstm("decoder", 64), 10000, 32, 100, 15},
      {"bilstm_attention_classifier_batch_64_packed", lstm("encoder", 128), 10000, 64, 59, 30, classifier_lengths, 6},
  };
  return cases;
}

const TrainingCase& training_case(const std::string& name) {
  for (const TrainingCase& each : all_cases())
    if (each.name == name) return each;
  throw Error("bench: {} is not a training case", name);
}

Task task_of(const TrainingCase& each) {
  return each.classes > 0               ? Task::classification
         : each.model.kind == "decoder" ? Task::language_modelling
                                        : Task::translation;
}

/// The tokens are input and target at once: what is learned does not matter here.
PackedBatch batch_of(const TrainingCase& each, const std::vector<std::int32_t>& tokens) {
  PackedBatch batch;
  std::vector<std::int64_t> offsets{0};
  for (std::int64_t i = 0; i < each.sequences; ++i) {
    offsets.push_back(offsets.back() + each.length_of(i));
    batch.examples.push_back(i);
  }
  batch.target_tokens = each.tokens();
  if (task_of(each) != Task::language_modelling) {
    batch.source = tokens;
    batch.source_offsets = offsets;
  }
  if (task_of(each) == Task::classification) {
    for (std::int64_t i = 0; i < each.sequences; ++i)
      batch.labels.push_back(static_cast<std::int32_t>(i % each.classes));
  } else {
    batch.target_input = batch.target_output = tokens;
    batch.target_offsets = offsets;
  }
  return batch;
}

std::vector<std::int32_t> random_tokens(const TrainingCase& each) {
  std::vector<std::int32_t> tokens(static_cast<std::size_t>(each.tokens()));
  for (std::size_t i = 0; i < tokens.size(); ++i)
    tokens[i] = static_cast<std::int32_t>(uniform_index(RandomKey{3}, i, each.entries));
  return tokens;
}

std::vector<std::int32_t> tokens_from(const std::filesystem::path& file, const TrainingCase& each) {
  const Tensor read = read_npy(file);
  if (read.shape() != Shape{each.sequences, each.length})
    throw Error("{}: the tokens are {}, {} needs [{}, {}]", file.string(), read.shape(), each.name, each.sequences,
                each.length);
  std::vector<std::int32_t> tokens(static_cast<std::size_t>(read.elements()));
  for (std::size_t i = 0; i < tokens.size(); ++i)
    tokens[i] = read.dtype() == DType::int64 ? static_cast<std::int32_t>(read.as<std::int64_t>()[i])
                                             : read.as<std::int32_t>()[i];
  return tokens;
}

/// AdamW as PyTorch's defaults are, at a rate of 1e-4.
TrainingConfig optimiser_config() {
  TrainingConfig config;
  config.optimizer = "adamw";
  config.rate = 1e-4;
  return config;
}

/// What a trainer owns, and its step: forward, backward and update.
class Training {
 public:
  Training(const TrainingCase& each, DType dtype, ThreadPool& pool)
      : task_(task_of(each)),
        precision_(dtype == DType::bfloat16 ? Precision::bfloat16 : Precision::float32),
        pool_(pool),
        model_(make_model(each.model, {.source = each.entries, .target = each.entries, .classes = each.classes})),
        optimizer_(optimiser_config(), model_->weights()),
        gradients_(weights_of(*model_)) {}

  Model& model() { return *model_; }
  /// The mean loss before the update.
  double step(const PackedBatch& batch) {
    gradients_.clear();
    Loss loss;
    {
      Pass pass(arena_, pool_,
                {.training = true,
                 .precision = precision_,
                 .key = RandomKey{5}.fold(steps_++),
                 .gradients = &gradients_,
                 .states = {},
                 .watch = {}});
      loss = batch_loss(task_, *model_, pass, batch, 0.0f);
      pass.backward(loss);
    }
    gradients_.finish();
    const double count = static_cast<double>(loss.count);
    optimizer_.step(gradients_, optimiser_config().rate, 1.0 / count, pool_);
    return loss.total / count;
  }

 private:
  static std::vector<Weight> weights_of(Model& model) {
    std::vector<Weight> weights;
    for (const auto& [name, weight] : model.weights()) weights.push_back(weight);
    return weights;
  }

  Task task_;
  Precision precision_;
  ThreadPool& pool_;
  Arena arena_;
  std::unique_ptr<Model> model_;
  Optimizer optimizer_;
  WeightGradients gradients_;
  std::uint64_t steps_ = 0;
};

/// Operations of all matrix products of a step: a linear layer has three products, attention two and, in the backward,
/// five; a causal mask leaves half of these.
double operations_of(Model& model, const TrainingCase& each) {
  double operations = 0.0;
  for (const LayerRow& row : layer_table(model, each.model, each.length)) {
    const bool causal = row.name.starts_with("decoder") && row.name.ends_with(".attention");
    const double passes = row.kind != "attention" ? 3.0 : causal ? 0.5 * 3.5 : 3.5;
    operations += passes * 2.0 * static_cast<double>(row.multiply_adds);
  }
  return operations * static_cast<double>(each.tokens());
}

/// Most memory that this process has held. Not getrusage: its figure begins with that of the process which started this
/// one.
double peak_gigabytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmHWM:")) return std::stod(line.substr(6)) * 1024e-9;
  return 0.0;
}

}  // namespace

std::vector<std::string> training_case_names() {
  std::vector<std::string> names;
  for (const TrainingCase& each : all_cases()) names.emplace_back(each.name);
  return names;
}

BenchResult measure_training(const std::string& name, DType dtype, Bench& bench) {
  const TrainingCase& each = training_case(name);
  Training training(each, dtype, bench.pool());
  training.model().initialise(RandomKey{1});
  const PackedBatch batch = batch_of(each, random_tokens(each));
  // The rates are measured with little memory, so the peak is the training's.
  BenchResult result = bench.measure(
      {dtype, operations_of(training.model(), each), 0.0}, [&] { training.step(batch); }, each.repeats, 0.0);
  const double tokens = static_cast<double>(batch.target_tokens);
  result.figures = {{"tokens_per_second", tokens / result.timing.ms * 1e3}, {"peak_gb", peak_gigabytes()}};
  return result;
}

std::vector<double> training_losses(const std::string& name, DType dtype, const std::filesystem::path& weights,
                                    const std::filesystem::path& tokens, int steps, ThreadPool& pool) {
  TrainingCase each = training_case(name);
  each.model.dropout = each.model.activation_dropout = 0.0;
  Training training(each, dtype, pool);
  if (weights.empty())
    training.model().initialise(RandomKey{1});
  else
    load_weights(SafetensorsReader(weights), training.model());
  const PackedBatch batch = batch_of(each, tokens.empty() ? random_tokens(each) : tokens_from(tokens, each));
  std::vector<double> losses;
  for (int i = 0; i < steps; ++i) losses.push_back(training.step(batch));
  return losses;
}

}  // namespace heed::cli
