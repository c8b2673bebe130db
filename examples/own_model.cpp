// A model of one's own from heed's layers, trained by a loop of one's own: it learns to say the same sequence
// backwards. The gradient of everything comes from the tape; the same operator() would generate, with a Session's
// states in the Pass.
#include <heed/nn.h>
#include <heed/optimizer.h>

#include <cstdio>

struct Block {
  heed::Norm norm1, norm2;
  heed::SelfAttention attention;
  heed::Mlp mlp;
  explicit Block(std::int64_t width)
      : norm1(heed::NormKind::rms, width, false, 1e-6f),
        norm2(heed::NormKind::rms, width, false, 1e-6f),
        attention({.width = width,
                   .heads = 4,
                   .key_value_heads = 2,
                   .head_width = static_cast<int>(width / 4),
                   .bias = false,
                   .spec = {},
                   .rotated = static_cast<int>(width / 4),
                   .name = "block"}),
        mlp(width, 4 * width, heed::ActivationKind::silu, true, false, 0.0f) {}
  heed::Var operator()(heed::Var x) const {
    x = x + attention(norm1(x));
    return x + mlp(norm2(x));
  }
  static void visit(auto& self, auto&& f) {
    f("norm1", self.norm1), f("attention", self.attention), f("norm2", self.norm2), f("mlp", self.mlp);
  }
};

struct Reverser {
  heed::Embedding embedding{64, 64, 0.1f};
  std::vector<Block> blocks{Block(64), Block(64)};
  heed::Linear output{64, 64, false};
  static void visit(auto& self, auto&& f) {
    f("embedding", self.embedding), f("blocks", self.blocks), f("output", self.output);
  }
};

int main() {
  Reverser model;
  std::vector<std::pair<std::string, heed::Weight>> weights;
  heed::visit_weights(model, [&](const std::string& name, heed::Weight& weight) {
    weight.initialise(heed::RandomKey{1}.fold(weights.size()));
    weights.emplace_back(name, weight);
  });
  heed::TrainingConfig config;
  config.rate = 0.003;
  heed::Optimizer optimizer(config, weights);
  std::vector<heed::Weight> trained;
  for (const auto& [name, weight] : weights) trained.push_back(weight);
  heed::WeightGradients gradients(trained);
  heed::Arena arena;
  heed::ThreadPool pool;

  for (int step = 1; step <= 300; ++step) {
    // 32 sequences of 4 to 12 random symbols, packed; the target of a place is the symbol at the mirrored place.
    const heed::RandomKey key = heed::RandomKey{7}.fold(static_cast<std::uint64_t>(step));
    std::vector<std::int32_t> ids, targets;
    auto sequences = std::make_shared<heed::Sequences>();
    for (std::uint64_t i = 0; i < 32; ++i) {
      const std::int64_t length = 4 + heed::uniform_index(key, i, 9), begin = sequences->tokens();
      for (std::int64_t t = 0; t < length; ++t)
        ids.push_back(static_cast<std::int32_t>(heed::uniform_index(key.fold(i), static_cast<std::uint64_t>(t), 64)));
      for (std::int64_t t = length; t-- > 0;) targets.push_back(ids[static_cast<std::size_t>(begin + t)]);
      sequences->offsets.push_back(begin + length);
    }
    heed::PassOptions options;
    options.training = true;
    options.gradients = &gradients;
    gradients.clear();
    heed::Pass pass(arena, pool, options);
    heed::Var x = model.embedding(pass, ids, sequences);
    for (const Block& block : model.blocks) x = block(x);
    const heed::Loss loss = heed::cross_entropy(x, pass.use(model.output.weight), {}, targets);
    pass.backward(loss);
    gradients.finish();
    optimizer.step(gradients, config.rate, 1.0 / static_cast<double>(loss.count), pool);
    if (step % 50 == 0)
      std::printf("step %3d  loss %.3f  right %.1f %%\n", step, loss.total / static_cast<double>(loss.count),
                  100.0 * static_cast<double>(loss.correct) / static_cast<double>(loss.count));
  }
}
