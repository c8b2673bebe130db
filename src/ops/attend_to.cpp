#include <algorithm>

#include "ops/attention_problem.h"
#include "ops/checks.h"

namespace heed {

Var attend_to(const Var& query, const Var& key, const Var& value, const Var& learned, const AttentionSpec& spec,
              const std::string& name) {
  const Sequences &queries = query.sequences(), &keys = key.sequences();
  const std::int64_t width = query.width();
  if (key.width() != width)
    throw Error("attend_to: query is {}, key is {}; both must be equally wide", query.shape(), key.shape());
  if (value.tokens() != key.tokens())
    throw Error("attend_to: key is {}, value is {}; there must be a value for each key", key.shape(), value.shape());
  if (queries.count() != keys.count())
    throw Error("attend_to: {} sequences of queries, {} of keys", queries.count(), keys.count());
  const bool bilinear = spec.score == Score::bilinear, additive = spec.score == Score::additive;
  if ((bilinear || additive) && (!learned || learned.shape() != Shape{bilinear ? width : 1, width}))
    throw Error("attend_to: {} scores need a {} of [{}, {}]", name_of(spec.score), bilinear ? "matrix" : "direction",
                bilinear ? width : 1, width);

  Pass& pass = query.pass();
  AttentionProblem problem = problem_of(pass, spec);
  problem.head_width = static_cast<int>(width);
  problem.value_width = static_cast<int>(value.width());
  problem.query = query.value().view();
  if (additive) problem.direction = learned.value().floats();
  if (bilinear) problem.bilinear = learned.value().floats();
  span_packed(problem, key.value().view(), value.value().view(), queries, keys);

  const bool recording = pass.recording({&query, &key, &value, &learned});
  const Tensor output = pass.tensor({query.tokens(), value.width()});
  const Tensor log_sum_exp = recording ? pass.tensor({1, query.tokens()}) : Tensor();
  if (pass.probe()) pass.probe()->attention(name, problem, pass.pool());
  attention_forward(problem, output.view(), recording ? log_sum_exp.floats() : nullptr, pass.pool());
  return pass.record(
      output, {&query, &key, &value, &learned},
      [query, key, value, learned, bilinear, problem, output, log_sum_exp, &pass](const Tensor& dy, Gradients& d) {
        // A value that is a key, too, adds its gradient afterwards: both would be written to one place.
        const bool shared = key.value().data() == value.value().data();
        const auto dquery = d.to(query), dkey = d.to(key), dvalue = shared ? GradientTarget{} : d.to(value);
        const Tensor own = shared && dkey ? pass.tensor(value.shape()) : Tensor();
        const auto dlearned = learned ? d.to(learned) : GradientTarget{};
        AttentionGradients to;
        to.query = dquery.view;
        to.accumulate_query = dquery.accumulate;
        to.key = dkey.view;
        to.accumulate_key = dkey.accumulate;
        to.value = own ? own.view() : dvalue.view;
        to.accumulate_value = dvalue.accumulate;
        if (dlearned) {
          if (!dlearned.accumulate) std::fill_n(dlearned.floats(), learned.value().elements(), 0.0f);
          (bilinear ? to.bilinear : to.direction) = dlearned.floats();
        }
        attention_backward(problem, output.view(), log_sum_exp.floats(), dy.view(), to, pass.pool());
        if (own) kernels::add_scaled(own.view(), 1.0f, dkey.view, 1.0f, pass.pool());
      });
}

}  // namespace heed
