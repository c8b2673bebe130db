// The simple Transformer of the literature (Vaswani et al. 2017), one configuration: runs it on two sentences of
// different lengths, without padding, and prints the hidden states of each token.
#include <heed/model.h>

#include <cstdio>

int main() {
  heed::ModelConfig config;
  config.kind = "encoder";
  config.width = 512;
  config.heads = 8;
  config.layers = 6;
  config.feed_forward = 2048;
  config.activation = "relu";
  config.norm_place = "post";
  config.position = "sinusoidal";
  config.embedding_scale = true;
  config.dropout = 0.1;

  const auto model = heed::make_model(config, {.source = 10000, .classes = 2});
  model->initialise(heed::RandomKey{1});
  std::printf("%lld parameters\n", static_cast<long long>(model->parameters()));

  // Two sequences packed one behind the other: tokens 0–3 and 4–9.
  const std::vector<std::int32_t> ids{17, 4, 256, 2, 99, 3, 5, 1024, 7, 2};
  const auto sequences = std::make_shared<heed::Sequences>(heed::Sequences{{0, 4, 10}, {}});

  heed::Arena arena;
  heed::ThreadPool pool;
  heed::Pass pass(arena, pool);  // no tape, no dropout: a pass that only computes
  const heed::Var hidden = model->encode(pass, {ids, sequences});

  std::printf("hidden states %s\n", hidden.shape().text().c_str());
  for (std::int64_t token = 0; token < hidden.tokens(); ++token) {
    const float* row = hidden.value().floats() + token * hidden.width();
    std::printf("token %5d: %7.4f %7.4f %7.4f …\n", ids[static_cast<std::size_t>(token)], static_cast<double>(row[0]),
                static_cast<double>(row[1]), static_cast<double>(row[2]));
  }
}
