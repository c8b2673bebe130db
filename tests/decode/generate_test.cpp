#include "decode/generate.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "decode/tiny_models.h"

namespace heed {
namespace {

constexpr std::int32_t end_id = 2;

/// Token i is the letter 'a' + i.
std::string letters(std::span<const std::int32_t> ids) {
  std::string text;
  for (const std::int32_t id : ids) text += static_cast<char>('a' + id);
  return text;
}

std::vector<GenerationInput> some_inputs(bool with_source, std::size_t count) {
  std::vector<GenerationInput> inputs(count);
  for (std::size_t i = 0; i < count; ++i) {
    if (with_source) inputs[i].source = random_ids(100 + i, 2 + static_cast<std::int64_t>(i * 5 % 11));
    inputs[i].prompt = with_source ? Ids{1} : random_ids(200 + i, 1 + static_cast<std::int64_t>(i * 7 % 13));
  }
  return inputs;
}

TEST(Generate, GreedyTakesTheLikeliestTokenOfTheWholeForward) {
  ThreadPool pool(2);
  for (const bool with_source : {false, true}) {
    const auto model = tiny_model(tiny_config(with_source ? "encoder-decoder" : "decoder"));
    Session session(pool);
    const auto inputs = some_inputs(with_source, 3);
    GenerationConfig config;
    config.max_tokens = 12;
    const auto answers = generate(*model, session, inputs, config, end_id);
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      Ids ids = inputs[i].prompt;
      double log_probability = 0.0;
      for (std::size_t t = 0;; ++t) {
        const auto logits = whole_forward(*model, pool, ids, inputs[i].source).back();
        const auto best = static_cast<std::int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
        double sum = 0.0;
        for (const float logit : logits) sum += std::exp(static_cast<double>(logit));
        log_probability += logits[static_cast<std::size_t>(best)] - std::log(sum);
        if (best == end_id) {
          EXPECT_EQ(answers[i].stop, Stop::end);
          EXPECT_EQ(answers[i].tokens.size(), t);
          break;
        }
        ASSERT_LT(t, answers[i].tokens.size());
        EXPECT_EQ(answers[i].tokens[t], best);
        ids.push_back(best);
        if (t + 1 == 12) {
          EXPECT_EQ(answers[i].stop, Stop::length);
          break;
        }
      }
      EXPECT_NEAR(answers[i].log_probability, log_probability, 1e-4);
    }
  }
}

TEST(Generate, WhatElseRunsDoesNotChangeAnAnswer) {
  ThreadPool pool(2);
  for (const bool with_source : {false, true})
    for (const bool sample : {false, true}) {
      const auto model = tiny_model(tiny_config(with_source ? "encoder-decoder" : "decoder", "rotary"));
      Session session(pool);
      const auto inputs = some_inputs(with_source, 20);
      GenerationConfig config;
      config.max_tokens = 20;
      config.sample = sample;
      config.top_k = 8;
      const auto together = generate(*model, session, inputs, config, end_id);
      config.batch_tokens = 1;  // one after the other
      const auto alone = generate(*model, session, inputs, config, end_id);
      config.batch_tokens = 60;  // joining as others leave
      const auto few = generate(*model, session, inputs, config, end_id);
      for (std::size_t i = 0; i < inputs.size(); ++i)
        for (const auto* other : {&alone[i], &few[i]}) {
          EXPECT_EQ(together[i].tokens, other->tokens) << i;
          EXPECT_EQ(together[i].stop, other->stop) << i;
          EXPECT_NEAR(together[i].log_probability, other->log_probability, 1e-4) << i;
        }
    }
}

TEST(Generate, TheSeedDecidesTheDraws) {
  ThreadPool pool(2);
  const auto model = tiny_model(tiny_config("decoder"));
  Session session(pool);
  const auto inputs = some_inputs(false, 4);
  GenerationConfig config;
  config.sample = true;
  config.max_tokens = 10;
  const auto first = generate(*model, session, inputs, config, end_id),
             again = generate(*model, session, inputs, config, end_id);
  config.seed = 2;
  const auto other = generate(*model, session, inputs, config, end_id);
  int differing = 0;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    EXPECT_EQ(first[i].tokens, again[i].tokens);
    differing += first[i].tokens != other[i].tokens;
  }
  EXPECT_GT(differing, 0);
}

TEST(Generate, EndsWithTheContext) {
  ThreadPool pool(1);
  for (const char* position : {"learned", "sinusoidal"}) {
    const auto model = tiny_model(tiny_config("decoder", position));
    Session session(pool);
    GenerationConfig config;
    const std::vector<GenerationInput> inputs = {{{}, random_ids(1, 60)}, {{}, random_ids(2, 64)}};
    const auto answers = generate(*model, session, inputs, config, -1);
    EXPECT_EQ(answers[0].stop, Stop::context);
    EXPECT_EQ(answers[0].tokens.size(), 5u);  // the last one is predicted from a full context
    EXPECT_EQ(answers[1].tokens.size(), 1u);
  }
}

TEST(Generate, LimitsTheLengthByTheSource) {
  ThreadPool pool(1);
  const auto model = tiny_model(tiny_config("encoder-decoder"));
  Session session(pool);
  GenerationConfig config;
  config.max_length_ratio = 1.5;
  const std::vector<GenerationInput> inputs = {{random_ids(1, 3), {1}}};
  const auto answers = generate(*model, session, inputs, config, -1);
  EXPECT_EQ(answers[0].tokens.size(), 14u);
  EXPECT_EQ(answers[0].stop, Stop::length);
}

TEST(Generate, StopsAtAStopStringAndStreamsNothingOfIt) {
  ThreadPool pool(2);
  const auto model = tiny_model(tiny_config("decoder"));
  Session session(pool);
  const auto inputs = some_inputs(false, 6);
  GenerationConfig config;
  config.max_tokens = 16;
  config.sample = true;
  GenerationCallbacks callbacks;
  callbacks.decode = letters;
  const auto free = generate(*model, session, inputs, config, -1, callbacks);
  // A stop string from the middle of the first answer.
  config.stop = {free[0].text.substr(6, 3), "never in it"};
  std::map<std::size_t, std::string> streamed;
  std::size_t finished = 0;
  callbacks.stream = [&](std::size_t input, std::string_view piece) { streamed[input] += piece; };
  callbacks.progress = [&](std::size_t done, std::size_t total) {
    EXPECT_EQ(done, ++finished);
    EXPECT_EQ(total, inputs.size());
  };
  const auto stopped = generate(*model, session, inputs, config, -1, callbacks);
  EXPECT_EQ(finished, inputs.size());
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const std::size_t place = free[i].text.find(config.stop[0]);
    EXPECT_EQ(stopped[i].text, free[i].text.substr(0, place)) << i;
    EXPECT_EQ(stopped[i].stop, place == std::string::npos ? Stop::length : Stop::text) << i;
    EXPECT_EQ(streamed[i], stopped[i].text) << i;
    EXPECT_EQ(stopped[i].tokens.size(), place == std::string::npos ? 16 : place + 3) << i;
  }
  EXPECT_EQ(stopped[0].stop, Stop::text);
  EXPECT_THROW(generate(*model, session, inputs, config, -1), Error);
}

TEST(Generate, APenaltyKeepsTokensFromComingBack) {
  ThreadPool pool(1);
  const auto model = tiny_model(tiny_config("decoder"));
  Session session(pool);
  GenerationConfig config;
  config.max_tokens = 10;
  config.repetition_penalty = 1e6;
  const std::vector<GenerationInput> inputs = {{{}, {1, 4}}};
  Ids ids = generate(*model, session, inputs, config, -1)[0].tokens;
  ids.insert(ids.end(), {1, 4});
  std::sort(ids.begin(), ids.end());
  EXPECT_EQ(std::unique(ids.begin(), ids.end()), ids.end());
}

TEST(Generate, NamesTheInputThatDoesNotFit) {
  ThreadPool pool(1);
  const auto model = tiny_model(tiny_config("decoder"));
  Session session(pool);
  const auto message = [&](const Ids& prompt) {
    const std::vector<GenerationInput> inputs = {{{}, {1}}, {{}, prompt}};
    try {
      generate(*model, session, inputs, {}, end_id);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_NE(message({}).find("input 1 has an empty prompt"), std::string::npos);
  EXPECT_NE(message(random_ids(1, 65)).find("prompt of input 1 has 65 tokens, but the model's context is 64"),
            std::string::npos);
}

TEST(Generate, NothingInGivesNothingOut) {
  ThreadPool pool(1);
  const auto model = tiny_model(tiny_config("decoder"));
  Session session(pool);
  EXPECT_TRUE(generate(*model, session, {}, {}, end_id).empty());
  GenerationConfig beams;
  beams.beams = 3;
  EXPECT_TRUE(answers(*model, session, {}, beams, end_id).empty());
}

TEST(Answers, WithBeamsAreCutAtStopStrings) {
  ThreadPool pool(2);
  const auto model = tiny_model(tiny_config("encoder-decoder"));
  Session session(pool);
  const auto inputs = some_inputs(true, 5);
  GenerationConfig config;
  config.beams = 3;
  config.max_tokens = 12;
  GenerationCallbacks callbacks;
  callbacks.decode = letters;
  const auto whole = answers(*model, session, inputs, config, -1, callbacks);
  EXPECT_EQ(whole[0].text, letters(whole[0].tokens));
  config.stop = {whole[0].text.substr(4, 2)};
  const auto cut = answers(*model, session, inputs, config, -1, callbacks);
  EXPECT_EQ(cut[0].text, whole[0].text.substr(0, whole[0].text.find(config.stop[0])));
  EXPECT_EQ(cut[0].stop, Stop::text);
}

}  // namespace
}  // namespace heed
