#include "decode/beam_search.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "decode/generate.h"
#include "decode/tiny_models.h"
#include "explain/attention_recorder.h"

namespace heed {
namespace {

constexpr std::int32_t end = 2;

std::vector<GenerationInput> some_inputs(std::size_t count, std::int64_t entries = 17) {
  std::vector<GenerationInput> inputs(count);
  for (std::size_t i = 0; i < count; ++i) {
    inputs[i].source = random_ids(100 + i, 2 + static_cast<std::int64_t>(i * 5 % 11), entries);
    inputs[i].prompt = {1};
  }
  return inputs;
}

/// Every answer of at most `longest` predictions that ends, best first.
std::vector<Generated> enumerate(const Model& model, Session& session, const GenerationInput& input,
                                 std::int64_t entries, std::size_t longest, double penalty) {
  std::vector<Generated> all;
  std::vector<Ids> open = {{}};
  for (std::size_t length = 1; length <= longest; ++length) {
    std::vector<Ids> longer;
    for (const Ids& tokens : open) {
      State state(model.slots());
      const Feed source{&state, input.source};
      session.encode(model, {&source, 1});
      Ids fed = input.prompt, target = tokens;
      fed.insert(fed.end(), tokens.begin(), tokens.end());
      target.push_back(end);
      const Feed feed{&state, fed};
      const std::span<const std::int32_t> targets(target);
      double sum = 0.0;
      const auto given = session.log_probabilities(model, {&feed, 1}, {&targets, 1});
      for (const float value : given[0]) sum += static_cast<double>(value);
      Generated& answer = all.emplace_back();
      answer.tokens = tokens;
      answer.score = sum / std::pow(static_cast<double>(target.size()), penalty);
      for (std::int32_t token = 0; token < entries; ++token)
        if (token != end) {
          longer.push_back(tokens);
          longer.back().push_back(token);
        }
    }
    open = std::move(longer);
  }
  std::stable_sort(all.begin(), all.end(), [](const Generated& a, const Generated& b) { return a.score > b.score; });
  return all;
}

TEST(BeamSearch, WideEnoughItFindsTheBestOfAllAnswers) {
  ThreadPool pool(2);
  constexpr std::int64_t entries = 4;
  for (const double penalty : {0.0, 0.6, 1.0, 2.0})
    for (std::uint64_t seed = 1; seed <= 3; ++seed) {
      const auto model = tiny_model(tiny_config("encoder-decoder"), entries, seed);
      Session session(pool);
      const auto inputs = some_inputs(2, entries);
      GenerationConfig config;
      config.beams = 200;  // more than the 1 + 3 + 9 + 27 answers and the 81 that are open
      config.max_tokens = 4;
      config.length_penalty = penalty;
      for (const std::size_t wanted : {1, 5, 40}) {
        const auto found = beam_search(*model, session, inputs, config, end, wanted);
        for (std::size_t i = 0; i < inputs.size(); ++i) {
          const auto all = enumerate(*model, session, inputs[i], entries, 4, penalty);
          ASSERT_EQ(all.size(), 40u);
          ASSERT_EQ(found[i].size(), wanted);
          for (std::size_t n = 0; n < wanted; ++n) {
            EXPECT_NEAR(found[i][n].score, all[n].score, 1e-4) << penalty << " " << n;
            EXPECT_EQ(found[i][n].stop, Stop::end);
          }
          EXPECT_EQ(found[i][0].tokens, all[0].tokens);
        }
      }
    }
}

TEST(BeamSearch, OneBeamIsGreedy) {
  ThreadPool pool(2);
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    const auto model = tiny_model(tiny_config("encoder-decoder"), 17, seed);
    Session session(pool);
    const auto inputs = some_inputs(12);
    GenerationConfig config;
    config.max_tokens = 15;
    const auto greedy = generate(*model, session, inputs, config, end);
    const auto beam = beam_search(*model, session, inputs, config, end);
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      EXPECT_EQ(beam[i].at(0).tokens, greedy[i].tokens);
      EXPECT_EQ(beam[i].at(0).stop, greedy[i].stop);
      EXPECT_NEAR(beam[i].at(0).log_probability, greedy[i].log_probability, 1e-4);
    }
  }
}

TEST(BeamSearch, WhatElseRunsDoesNotChangeAnAnswer) {
  ThreadPool pool(2);
  const auto model = tiny_model(tiny_config("encoder-decoder", "rotary"));
  Session session(pool);
  const auto inputs = some_inputs(20);
  GenerationConfig config;
  config.beams = 4;
  config.max_tokens = 20;
  const auto together = beam_search(*model, session, inputs, config, end, 4);
  for (const std::int64_t batch_tokens : {1, 30}) {
    config.batch_tokens = batch_tokens;
    const auto other = beam_search(*model, session, inputs, config, end, 4);
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      ASSERT_EQ(other[i].size(), together[i].size());
      for (std::size_t n = 0; n < other[i].size(); ++n) {
        EXPECT_EQ(other[i][n].tokens, together[i][n].tokens);
        EXPECT_NEAR(other[i][n].score, together[i][n].score, 1e-4);
      }
    }
  }
}

TEST(BeamSearch, StoppingEarlyDoesNotChangeTheBest) {
  // The best of all that are wanted is found without the bound: it never stops before all beams have ended.
  ThreadPool pool(2);
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    const auto model = tiny_model(tiny_config("encoder-decoder"), 6, seed);
    Session session(pool);
    const auto inputs = some_inputs(8, 6);
    for (const double penalty : {0.0, 1.0, 3.0}) {
      GenerationConfig config;
      config.beams = 5;
      config.max_tokens = 20;
      config.length_penalty = penalty;
      const auto best = beam_search(*model, session, inputs, config, end, 1);
      const auto all = beam_search(*model, session, inputs, config, end, 100);
      for (std::size_t i = 0; i < inputs.size(); ++i) {
        EXPECT_EQ(best[i].size(), 1u);
        EXPECT_EQ(best[i][0].tokens, all[i][0].tokens);
        EXPECT_NEAR(best[i][0].score, all[i][0].score, 1e-4);
        for (std::size_t n = 1; n < all[i].size(); ++n)
          EXPECT_TRUE(all[i][n].score <= all[i][n - 1].score || all[i][n].stop > all[i][n - 1].stop);
      }
    }
  }
}

TEST(BeamSearch, GoesOnFromALanguageModelsPrompt) {
  ThreadPool pool(2);
  const auto model = tiny_model(tiny_config("decoder"));
  Session session(pool);
  const std::vector<GenerationInput> inputs = {{{}, random_ids(1, 9)}, {{}, {1}}, {{}, random_ids(2, 61)}};
  GenerationConfig config;
  config.beams = 3;
  config.max_tokens = 8;
  const auto found = beam_search(*model, session, inputs, config, -1, 3);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    ASSERT_EQ(found[i].size(), 3u);
    for (const Generated& each : found[i]) {
      EXPECT_EQ(each.tokens.size(), i == 2 ? 4u : 8u);
      EXPECT_EQ(each.stop, i == 2 ? Stop::context : Stop::length);
      // The probability is that of the tokens.
      Ids fed = inputs[i].prompt;
      fed.insert(fed.end(), each.tokens.begin(), each.tokens.end() - 1);
      State state(model->slots());
      const Feed feed{&state, fed};
      const std::span<const std::int32_t> targets(each.tokens);
      double sum = 0.0;
      const auto given = session.log_probabilities(*model, {&feed, 1}, {&targets, 1});
      for (const float value : given[0]) sum += static_cast<double>(value);
      EXPECT_NEAR(each.log_probability, sum, 1e-4);
    }
  }
}

TEST(BeamSearch, TiesGoToTheBetterHypothesisAndTheSmallerId) {
  // All logits are equal: a model whose last projection is zero.
  ThreadPool pool(2);
  const auto model = tiny_model(tiny_config("decoder"));
  for (auto& [name, weight] : model->weights())
    if (name.starts_with("output")) weight.change().fill(0.0f);
  Session session(pool);
  const std::vector<GenerationInput> inputs = {{{}, {1}}};
  GenerationConfig config;
  config.beams = 4;
  config.max_tokens = 2;
  const auto found = beam_search(*model, session, inputs, config, -1, 4);
  for (std::int32_t n = 0; n < 4; ++n) EXPECT_EQ(found[0][static_cast<std::size_t>(n)].tokens, (Ids{0, n}));
}

/// β·Σ ln min(1, what the answer has looked at a source token): equation 14 of Wu et al. 2016.
double coverage_score(const Model& model, ThreadPool& pool, const GenerationInput& input, const Ids& tokens,
                      double beta) {
  Ids read = input.prompt;
  read.insert(read.end(), tokens.begin(), tokens.end());
  AttentionRecorder recorder("*cross");
  PassOptions options;
  options.probe = &recorder;
  Arena arena;
  Pass pass(arena, pool, options);
  const Var memory = model.encode(pass, {input.source, one_sequence(input.source)});
  model.decode(pass, {read, one_sequence(read)}, memory);
  const Tensor& weights = recorder.layers().back().sequences.front();  // [heads, tokens, source]
  const auto heads = static_cast<double>(weights.shape()[0]);
  std::vector<double> seen(input.source.size());
  for (std::int64_t i = 0; i < weights.elements(); ++i)
    seen[static_cast<std::size_t>(i % weights.width())] += static_cast<double>(weights.floats()[i]) / heads;
  double score = 0.0;
  for (const double one : seen) score += beta * std::log(std::min(one, 1.0));
  return score;
}

TEST(BeamSearch, ACoveragePenaltyCountsWhatWasLookedAt) {
  ThreadPool pool(2);
  for (const char* network : {"transformer", "lstm"}) {
    ModelConfig shape = tiny_config("encoder-decoder");
    shape.network = network;
    const auto model = tiny_model(shape, 5);
    Session session(pool);
    const auto inputs = some_inputs(2, 5);
    GenerationConfig config;
    config.beams = 40;
    config.max_tokens = 4;
    config.length_penalty = 0.0;
    config.coverage_penalty = 0.7;
    const auto found = beam_search(*model, session, inputs, config, end, 10);
    for (std::size_t i = 0; i < inputs.size(); ++i)
      for (const Generated& answer : found[i])
        if (answer.stop == Stop::end) {
          EXPECT_NEAR(answer.score - answer.log_probability,
                      coverage_score(*model, pool, inputs[i], answer.tokens, 0.7), 1e-4)
              << network;
        }
  }
}

TEST(BeamSearch, LengthAndRepetitionAreHeldInEverySearch) {
  ThreadPool pool(2);
  const auto model = tiny_model(tiny_config("encoder-decoder"), 5);
  Session session(pool);
  const auto inputs = some_inputs(6, 5);
  for (const std::int64_t beams : {1, 4}) {
    GenerationConfig config;
    config.beams = beams;
    config.min_tokens = 6;
    config.max_tokens = 12;
    config.no_repeat = 2;
    for (const Generated& answer : answers(*model, session, inputs, config, end)) {
      EXPECT_GE(answer.tokens.size(), 6u);
      std::set<std::pair<std::int32_t, std::int32_t>> pairs;
      for (std::size_t i = 1; i < answer.tokens.size(); ++i)
        EXPECT_TRUE(pairs.emplace(answer.tokens[i - 1], answer.tokens[i]).second) << beams;
    }
  }
}

TEST(BeamSearch, RefusesWhatItDoesNotDo) {
  ThreadPool pool(1);
  const auto model = tiny_model(tiny_config("decoder"));
  Session session(pool);
  const std::vector<GenerationInput> inputs = {{{}, {1}}};
  GenerationConfig config;
  config.beams = 2;
  config.sample = true;
  EXPECT_THROW(answers(*model, session, inputs, config, end), Error);
  config.sample = false;
  config.repetition_penalty = 1.5;
  EXPECT_THROW(answers(*model, session, inputs, config, end), Error);
}

}  // namespace
}  // namespace heed
