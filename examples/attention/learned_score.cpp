// A score of one's own, trained: a number for each head and distance is added to the scores, and gradient descent finds
// those with which one head copies the token before, and another the one five places back.
#include <heed/attention.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

void draw(const heed::Tensor& to, heed::RandomKey key) {
  for (std::int64_t i = 0; i < to.elements(); ++i) to.floats()[i] = heed::normal(key, static_cast<std::uint64_t>(i));
}

int main() {
  constexpr std::int64_t tokens = 64, symbols = 16, heads = 2, width = 8, reach = 12, steps = 100;
  constexpr std::int64_t wanted[heads] = {1, 5};
  heed::ThreadPool pool;
  const heed::Tensor table({heads, reach}), dtable({heads, reach});  // what is learned, and its gradient

  heed::AttentionProblem problem;
  const heed::Parameter by_distance(0);
  problem.spec.mask = heed::causal();
  problem.spec.rule = heed::score("by_distance", [&](auto score, const auto& at) noexcept {
    return score + by_distance(at.head, at.query - at.key);
  });
  std::printf("%s\n", problem.spec.text().c_str());
  problem.heads = heads, problem.head_width = width, problem.value_width = symbols;
  const heed::Tensor query({tokens, heads * width}), key({tokens, width}), value({tokens, symbols});
  problem.query = query.view();
  problem.key_stride = width, problem.value_stride = symbols;
  problem.sequences = {{.query_count = tokens, .key_count = tokens, .spans = {{key.data(), value.data(), tokens}}}};
  problem.parameters = {table};
  const heed::Tensor output({tokens, heads * symbols}), doutput({tokens, heads * symbols}), log_sum({heads, tokens});
  heed::AttentionGradients gradients;
  gradients.parameters = {dtable.floats()};

  double loss = 0.0;
  for (std::int64_t step = 0; step <= steps; ++step) {
    // Queries and keys are noise; a value is 1 at the token's symbol, so an output is a probability for each symbol.
    const heed::RandomKey random = heed::RandomKey{1}.fold(static_cast<std::uint64_t>(step));
    draw(query, random.fold(0));
    draw(key, random.fold(1));
    std::int64_t symbol[tokens];
    value.fill(0.0f);
    for (std::int64_t t = 0; t < tokens; ++t) {
      symbol[t] = heed::uniform_index(random.fold(2), static_cast<std::uint64_t>(t), symbols);
      value.floats()[t * symbols + symbol[t]] = 1.0f;
    }
    heed::attention_forward(problem, output.view(), log_sum.floats(), pool);
    loss = 0.0, doutput.fill(0.0f);
    constexpr float share = 1.0f / (heads * tokens);
    for (std::int64_t head = 0; head < heads; ++head)
      for (std::int64_t t = wanted[head]; t < tokens; ++t) {  // the loss: −log of the right symbol's probability
        const std::int64_t right = (t * heads + head) * symbols + symbol[t - wanted[head]];
        loss -= share * std::log(output.floats()[right]);
        doutput.floats()[right] = -share / output.floats()[right];
      }
    dtable.fill(0.0f);
    heed::attention_backward(problem, output.view(), log_sum.floats(), doutput.view(), gradients, pool);
    for (std::int64_t i = 0; i < table.elements(); ++i) table.floats()[i] -= dtable.floats()[i];
    if (step % 20 == 0) std::printf("step %3d  loss %.3f\n", static_cast<int>(step), loss);
  }
  bool found = loss < 0.1;
  for (std::int64_t head = 0; head < heads; ++head) {
    const float* const row = table.floats() + head * reach;
    const auto distance = std::max_element(row, row + reach) - row;
    std::printf("head %d looks %d back\n", static_cast<int>(head), static_cast<int>(distance));
    found = found && distance == wanted[head];
  }
  return found ? 0 : 1;
}
