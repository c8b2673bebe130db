#include <heed/nn.h>
#include <heed/optimizer.h>

#include "cli/bench.h"

namespace heed::cli {

namespace {

// GPT-2 124M with 4 sequences of 256 tokens.
constexpr std::int64_t sequence_count = 4, length = 256, rows = sequence_count * length;
constexpr std::int64_t width = 768, inner = 4 * width, entries = 50257, layers = 12;
constexpr int heads = 12;

/// Everything that one operator's forward and backward need, made once.
class Stage {
 public:
  Stage(DType dtype, ThreadPool& pool, std::int64_t count = sequence_count, std::int64_t tokens = length)
      : pool_(pool), precision_(dtype == DType::bfloat16 ? Precision::bfloat16 : Precision::float32) {
    auto packed = std::make_shared<Sequences>();
    for (std::int64_t i = 1; i <= count; ++i) packed->offsets.push_back(i * tokens);
    sequences_ = packed;
  }

  /// A new weight among those that get gradients; all of them must be made before the first run.
  Weight weight(Shape shape, float spread = 0.02f) {
    Weight made(shape, {Initial::Kind::normal, spread});
    made.initialise(RandomKey{weights_.size()});
    weights_.push_back(made);
    return made;
  }
  const SequencesPointer& sequences() const { return sequences_; }

  /// Forward from x (null: from nothing) and backward from dy (null: from the loss, which `forward` differentiates).
  void run(const Tensor& x, const Tensor& dy, const std::function<Var(Pass&, const Var&)>& forward) {
    if (!gradients_) gradients_ = std::make_unique<WeightGradients>(weights_);
    if (!accumulate) gradients_->clear();
    Pass pass(arena_, pool_,
              {.training = true,
               .precision = precision_,
               .key = RandomKey{1},
               .gradients = gradients_.get(),
               .states = {},
               .watch = {}});
    const Var input = x ? pass.input(x, sequences_, true) : Var();
    const Var y = forward(pass, input);
    if (dy) pass.backward(y, dy);
  }
  bool accumulate = false;  ///< gradients of weights add to what is there, as those of a tied table do

 private:
  ThreadPool& pool_;
  Precision precision_;
  Arena arena_;
  SequencesPointer sequences_;
  std::vector<Weight> weights_;
  std::unique_ptr<WeightGradients> gradients_;
};

std::vector<std::int32_t> some_ids() {
  std::vector<std::int32_t> ids(static_cast<std::size_t>(rows));
  for (std::size_t i = 0; i < ids.size(); ++i)
    ids[i] = static_cast<std::int32_t>(uniform_index(RandomKey{9}, i, entries));
  return ids;
}

BenchResult with_rates(BenchResult result, const Work& work, std::int64_t times) {
  if (work.operations > 0.0) result.figures.emplace_back("gflops", work.operations / result.timing.ms * 1e-6);
  if (work.bytes > 0.0) result.figures.emplace_back("gigabytes_per_second", work.bytes / result.timing.ms * 1e-6);
  result.figures.emplace_back("times_a_step", static_cast<double>(times));
  char note[64];
  std::snprintf(note, sizeof note, "x %2d = %.1f ms a step", static_cast<int>(times),
                result.timing.ms * static_cast<double>(times));
  result.note = note;
  return result;
}

BenchCase linear_case(const char* name, DType dtype, std::int64_t in, std::int64_t out, bool with_residual) {
  return {"operators", name, dtype, 0, [=](Bench& bench) {
            Stage stage(dtype, bench.pool());
            const Weight weight = stage.weight({out, in}), bias = stage.weight({out});
            const Tensor x = random_tensor({rows, in}, dtype, 1), dy = random_tensor({rows, out}, DType::float32, 2);
            const Tensor residual = random_tensor({rows, out}, DType::float32, 3);
            const Work work{dtype, 3.0 * 2.0 * static_cast<double>(rows * in * out), 0.0};
            const BenchResult result = bench.measure(work, [&] {
              stage.run(x, dy, [&](Pass& pass, const Var& input) {
                if (with_residual)
                  return linear_add(input, pass.use(weight), pass.use(bias),
                                    pass.input(residual, stage.sequences(), true));
                return linear(input, pass.use(weight), pass.use(bias), pass.product_dtype());
              });
            });
            return with_rates(result, work, layers);
          }};
}

BenchCase attention_case(DType dtype) {
  return {"operators", "gpt2_attention", dtype, 0, [=](Bench& bench) {
            Stage stage(dtype, bench.pool());
            const Tensor x = random_tensor({rows, 3 * width}, dtype, 1),
                         dy = random_tensor({rows, width}, DType::float32, 2);
            AttentionOptions options;
            options.spec.mask = causal();
            options.heads = options.key_value_heads = heads;
            options.head_width = width / heads;
            // Two products, with gradients five more, of which the mask leaves half.
            const Work work{dtype, 7.0 * 2.0 * 0.5 * static_cast<double>(rows * (length + 1) * width), 0.0};
            const BenchResult result = bench.measure(work, [&] {
              stage.run(x, dy, [&](Pass&, const Var& input) { return self_attention(input, options); });
            });
            return with_rates(result, work, layers);
          }};
}

BenchCase norm_case(DType dtype) {
  return {"operators", "gpt2_layer_norm", dtype, 0, [=](Bench& bench) {
            Stage stage(dtype, bench.pool());
            const Weight gain = stage.weight({width}), bias = stage.weight({width});
            const Tensor x = random_tensor({rows, width}, DType::float32, 1),
                         dy = random_tensor({rows, width}, DType::float32, 2);
            // Reads x, writes y; reads x and dy, writes dx.
            const Work work{dtype, 0.0, static_cast<double>(rows * width * (4 * 4 + size_of(dtype)))};
            const BenchResult result = bench.measure(work, [&] {
              stage.run(x, dy, [&](Pass& pass, const Var& input) {
                return layer_norm(input, pass.use(gain), pass.use(bias), 1e-5f, pass.product_dtype());
              });
            });
            return with_rates(result, work, 2 * layers + 1);
          }};
}

BenchCase activation_case(DType dtype) {
  return {
      "operators", "gpt2_gelu", dtype, 0, [=](Bench& bench) {
        Stage stage(dtype, bench.pool());
        const Tensor x = random_tensor({rows, inner}, dtype, 1), dy = random_tensor({rows, inner}, DType::float32, 2);
        // Reads x, writes y; reads x and dy, writes dx.
        const Work work{dtype, 0.0, static_cast<double>(rows * inner * (3 * size_of(dtype) + 2 * 4))};
        const BenchResult result = bench.measure(work, [&] {
          stage.run(x, dy, [&](Pass&, const Var& input) { return activate(input, ActivationKind::gelu_tanh); });
        });
        return with_rates(result, work, layers);
      }};
}

BenchCase embedding_case(DType dtype) {
  return {"operators", "gpt2_embedding", dtype, 0, [=](Bench& bench) {
            Stage stage(dtype, bench.pool());
            const Weight table = stage.weight({entries, width}), positions = stage.weight({length, width});
            const std::vector<std::int32_t> ids = some_ids();
            const Tensor dy = random_tensor({rows, width}, DType::float32, 2);
            stage.accumulate = true;
            // Reads both tables' rows, writes y; reads dy, reads and writes both gradients' rows.
            const Work work{dtype, 0.0, static_cast<double>(rows * width * 4 * 8)};
            const BenchResult result = bench.measure(work, [&] {
              stage.run(Tensor(), dy, [&](Pass& pass, const Var&) {
                return add_learned_positions(embedding(pass, ids, stage.sequences(), pass.use(table)),
                                             pass.use(positions));
              });
            });
            return with_rates(result, work, 1);
          }};
}

BenchCase cross_entropy_case(DType dtype) {
  return {"operators", "gpt2_cross_entropy", dtype, 0, [=](Bench& bench) {
            Stage stage(dtype, bench.pool());
            const Weight table = stage.weight({entries, width});
            const std::vector<std::int32_t> ids = some_ids();
            const Tensor hidden = random_tensor({rows, width}, DType::float32, 1);
            const Work work{dtype, 3.0 * 2.0 * static_cast<double>(rows * width * entries), 0.0};
            const BenchResult result = bench.measure(
                work,
                [&] {
                  stage.run(hidden, Tensor(), [&](Pass& pass, const Var& input) {
                    const Loss loss = cross_entropy(input, pass.use(table), Var(), ids);
                    pass.backward(loss);
                    return loss.sum;
                  });
                },
                5);
            return with_rates(result, work, 1);
          }};
}

/// A layer of the word language model in examples/recipes: bench/peers/onednn_recurrent.cpp has the same.
BenchCase lstm_case(DType dtype) {
  return {"operators", "lstm_layer", dtype, 0, [=](Bench& bench) {
            constexpr std::int64_t count = 32, tokens = 100, hidden = 128;
            Stage stage(dtype, bench.pool(), count, tokens);
            const Weight input = stage.weight({4 * hidden, hidden}), bias = stage.weight({4 * hidden}),
                         state = stage.weight({4 * hidden, hidden});
            const Tensor x = random_tensor({count * tokens, hidden}, DType::float32, 1),
                         dy = random_tensor({count * tokens, hidden}, DType::float32, 2);
            const Work work{dtype, 3.0 * 2.0 * 2.0 * static_cast<double>(count * tokens * 4 * hidden * hidden), 0.0};
            const BenchResult result = bench.measure(work, [&] {
              stage.run(x, dy, [&](Pass& pass, const Var& of_layer) {
                const Var gates = linear(of_layer, pass.use(input), pass.use(bias));
                return recurrent(gates, pass.use(state), Var(), Var(), RecurrentCell::lstm).output;
              });
            });
            return with_rates(result, work, 1);
          }};
}

BenchCase optimiser_case(DType dtype) {
  return {"operators", "gpt2_adamw", dtype, 0, [=](Bench& bench) {
            // As many weights as the model has, in matrices of a layer's size.
            std::vector<std::pair<std::string, Weight>> named;
            std::vector<Weight> weights;
            std::int64_t count = 0;
            while (count < 124'000'000) {
              Weight weight({inner, width}, {Initial::Kind::ones, 0.0f});
              weight.initialise(RandomKey{});
              count += weight.elements();
              named.emplace_back(std::to_string(named.size()), weight);
              weights.push_back(weight);
            }
            WeightGradients gradients(weights);
            gradients.finish();
            Optimizer optimizer(TrainingConfig{}, named);
            // Reads weight, gradient and moments, writes all but the gradient.
            const Work work{dtype, 0.0, static_cast<double>(7 * 4 * count)};
            const BenchResult result = bench.measure(
                work, [&] { optimizer.step(gradients, 1e-4, 1.0, bench.pool()); }, 5);
            return with_rates(result, work, 1);
          }};
}

}  // namespace

std::vector<BenchCase> operator_cases() {
  std::vector<BenchCase> cases;
  for (const DType dtype : {DType::float32, DType::bfloat16}) {
    cases.push_back(embedding_case(dtype));
    cases.push_back(norm_case(dtype));
    cases.push_back(linear_case("gpt2_qkv", dtype, width, 3 * width, false));
    cases.push_back(attention_case(dtype));
    cases.push_back(linear_case("gpt2_out", dtype, width, width, true));
    cases.push_back(linear_case("gpt2_up", dtype, width, inner, false));
    cases.push_back(activation_case(dtype));
    cases.push_back(linear_case("gpt2_down", dtype, inner, width, true));
    cases.push_back(cross_entropy_case(dtype));
    cases.push_back(optimiser_case(dtype));
    cases.push_back(lstm_case(dtype));
  }
  return cases;
}

}  // namespace heed::cli
