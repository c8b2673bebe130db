#pragma once
#include <heed/detail/field.h>

#include <cstdint>
#include <string>
#include <vector>

namespace heed {

/// The recipe's [training].
struct TrainingConfig {
  std::string optimizer = "adamw";
  double rate = 1e-3;
  std::string schedule = "cosine";
  std::int64_t warmup = 0;
  double final_rate = 0.0;
  double beta1 = 0.9, beta2 = 0.999, adam_epsilon = 1e-8;
  double momentum = 0.0;
  double weight_decay = 0.01;
  double clip = 1.0;
  double label_smoothing = 0.0;
  std::int64_t softmax_samples = 0;
  std::vector<std::string> class_weights;
  std::int64_t steps = 0;
  double epochs = 0.0;
  double minutes = 0.0;
  std::int64_t validate_every = 0;
  std::int64_t validate_examples = 0;
  std::int64_t patience = 0;
  std::string best_by = "loss";
  std::int64_t checkpoint_every = 0;
  double checkpoint_minutes = 5.0;
  std::int64_t average = 0;
  double average_decay = 0.0;
  std::int64_t log_every = 50;
  std::string precision = "auto";
  std::uint64_t seed = 1;
  std::string start_from;
  std::vector<std::string> freeze;

  bool operator==(const TrainingConfig&) const = default;
  static void fields(auto& self, auto&& f) {
    f("optimizer", self.optimizer, "adamw (decoupled decay), adam (decay in the gradient) or sgd",
      one_of({"adamw", "adam", "sgd"}));
    f("rate", self.rate, "peak learning rate", above(0));
    f("schedule", self.schedule, "after the warm-up: cosine, linear, inverse-square-root or constant",
      one_of({"cosine", "linear", "inverse-square-root", "constant"}));
    f("warmup", self.warmup, "steps over which the rate rises linearly from 0", at_least(0));
    f("final_rate", self.final_rate, "cosine, linear: the rate at the end, as a share of rate", between(0, 1));
    f("beta1", self.beta1, "Adam: decay of the mean", at_least_below(0, 1));
    f("beta2", self.beta2, "Adam: decay of the squares", at_least_below(0, 1));
    f("adam_epsilon", self.adam_epsilon, "Adam: epsilon", above(0));
    f("momentum", self.momentum, "SGD: momentum", at_least_below(0, 1));
    f("weight_decay", self.weight_decay, "decay of weights (matrices; not of biases and norms)", at_least(0));
    f("clip", self.clip, "largest norm of the whole gradient; 0: no clipping", at_least(0));
    f("label_smoothing", self.label_smoothing, "share of the target's probability spread over the vocabulary",
      at_least_below(0, 1));
    f("softmax_samples", self.softmax_samples,
      "language models: train against about so many of the vocabulary's entries, drawn anew each batch (sampled "
      "softmax; answers and evaluation know all); 0: against all",
      at_least(0));
    f("class_weights", self.class_weights,
      "classification, for skewed data: \"balanced\" (each class counts alike in the loss), or a list of "
      "\"label=weight\" (others 1); scaled so that the mean over the examples is 1");
    f("steps", self.steps, "stop after this many steps; 0: no limit (one of steps, epochs, minutes must be given)",
      at_least(0));
    f("epochs", self.epochs, "stop after this many passes over the data", at_least(0));
    f("minutes", self.minutes,
      "stop after this many minutes of training, validation not counted; the schedule follows the clock, so runs are "
      "then not repeatable bit for bit",
      at_least(0));
    f("validate_every", self.validate_every, "steps between validations; 0: once an epoch, and at the end",
      at_least(0));
    f("validate_examples", self.validate_examples, "first so many validation examples during training; 0: all",
      at_least(0));
    f("patience", self.patience, "stop after so many validations without a better one; 0: never", at_least(0));
    f("best_by", self.best_by,
      "what the best checkpoint is chosen by: loss, accuracy, macro_f1, bleu (greedy), rouge_l (summarisation, "
      "greedy) or f1 (question answering)",
      one_of({"loss", "accuracy", "macro_f1", "bleu", "rouge_l", "f1"}));
    f("checkpoint_every", self.checkpoint_every, "steps between checkpoints; 0: see checkpoint_minutes", at_least(0));
    f("checkpoint_minutes", self.checkpoint_minutes,
      "minutes between checkpoints; 0: only at validations and at the end", at_least(0));
    f("average", self.average,
      "the final model is the mean of the weights at the last so many validations; 0: no averaging", at_least(0));
    f("average_decay", self.average_decay,
      "validate and save an exponential moving average of the weights with this decay a step; 0: no",
      at_least_below(0, 1));
    f("log_every", self.log_every, "steps between lines of the metrics file", at_least(1));
    f("precision", self.precision, "auto (bfloat16 where the processor multiplies it faster), float32 or bfloat16",
      one_of({"auto", "float32", "bfloat16"}));
    f("seed", self.seed, "everything random follows from it");
    f("start_from", self.start_from, "a model folder whose weights are taken where name and shape agree");
    f("freeze", self.freeze, "weights whose name begins so are not trained");
  }
};

}  // namespace heed
