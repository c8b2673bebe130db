// Attention over five tokens, small enough to follow by hand (docs/attention.md does): the weights of one query, then
// the weights of all five tokens under a mask.
#include <heed/attention.h>

#include <cmath>
#include <cstdio>

/// One head over keys that are also the values; the queries come last.
heed::AttentionProblem problem_of(const heed::Tensor& queries, const heed::Tensor& keys, heed::AttentionSpec spec) {
  heed::AttentionProblem problem;
  problem.spec = std::move(spec);
  problem.head_width = problem.value_width = 3;
  problem.query = queries.view();
  problem.key_stride = problem.value_stride = 3;
  heed::AttentionSequence sequence;
  sequence.query_count = queries.rows();
  sequence.query_position = keys.rows() - queries.rows();
  sequence.key_count = keys.rows();
  sequence.spans = {{keys.data(), keys.data(), keys.rows()}};
  problem.sequences = {sequence};
  return problem;
}

void print(const char* name, const heed::Tensor& matrix) {
  std::printf("%s\n", name);
  for (std::int64_t row = 0; row < matrix.rows(); ++row)
    for (std::int64_t i = 0; i < matrix.width(); ++i)
      std::printf("%8.4f%s", matrix.floats()[row * matrix.width() + i], i + 1 == matrix.width() ? "\n" : "");
}

int main() {
  heed::ThreadPool pool;
  const heed::Tensor tokens = heed::Tensor::from({1, 0, 0, 0, 1, 0, 0, 0, 1, 1, 1, 0, 0, 1, 1}).reshaped({5, 3});
  const heed::Tensor query = heed::Tensor::from({1, 0, -1}).reshaped({1, 3});

  const heed::AttentionProblem one = problem_of(query, tokens, {.score = heed::Score::dot});
  heed::Tensor output({1, 3});
  heed::attention_forward(one, output.view(), nullptr, pool);
  std::printf("%s\n", one.spec.text().c_str());
  print("weights", heed::attention_weights(one, 0, 0));
  print("output", output);

  const heed::AttentionSpec masked{.mask = heed::causal() & heed::window(3)};
  std::printf("\n%s\n", masked.text().c_str());
  print("weights: a row for each query", heed::attention_weights(problem_of(tokens, tokens, masked), 0, 0));
  const heed::Tensor all = tokens.reshaped({1, 1, 5, 3});  // [batch, heads, tokens, width]: the short way
  print("output", heed::attend(all, all, all, masked, pool));

  const float expected[] = {0.7580f, 0.5697f, 0.1026f};
  for (int i = 0; i < 3; ++i)
    if (!(std::abs(output.floats()[i] - expected[i]) < 1e-4f)) return 1;
}
