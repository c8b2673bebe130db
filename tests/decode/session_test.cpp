#include "decode/session.h"

#include <cmath>

#include "decode/tiny_models.h"

namespace heed {
namespace {

struct Case {
  std::string name;
  ModelConfig config;
};

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const char* kind : {"decoder", "encoder-decoder"})
    for (const char* position : {"sinusoidal", "learned", "rotary", "alibi", "t5", "none"})
      all.push_back({std::string(kind) + " " + position, tiny_config(kind, position)});
  all.push_back({"window", tiny_config("decoder", "rotary")});
  all.back().config.window = 5;
  all.push_back({"grouped heads", tiny_config("decoder", "rotary")});
  all.back().config.key_value_heads = 2;
  all.push_back({"one key-value head, post-norm", tiny_config("encoder-decoder", "alibi")});
  all.back().config.key_value_heads = 1;
  all.back().config.norm_place = "post";
  all.push_back({"gated, rms, no bias", tiny_config("decoder", "learned")});
  all.back().config.gated = true;
  all.back().config.norm = "rms";
  all.back().config.bias = false;
  for (const char* network : {"lstm", "gru", "rnn"}) {
    all.push_back({network, tiny_config("decoder")});
    all.back().config.network = network;
  }
  all.push_back({"lstm with attention over its states", tiny_config("decoder")});
  all.back().config.network = "lstm";
  all.back().config.state_attention = "scaled_dot";
  for (const char* place : {"top", "lowest"})
    for (const bool feeding : {false, true}) {
      ModelConfig config = tiny_config("encoder-decoder");
      config.network = feeding ? "gru" : "lstm";
      config.residual = true;
      config.decoder_attention = place;
      config.attention_score = feeding ? "additive" : "scaled_dot";
      config.input_feeding = feeding;
      all.push_back({format("recurrent encoder-decoder, {} attends, fed {}", place, feeding), config});
    }
  return all;
}

Ids source_for(const ModelConfig& config) { return config.kind == "decoder" ? Ids() : random_ids(5, 9); }

State start(const Model& model, Session& session, const Ids& source) {
  State state(model.slots());
  if (!source.empty()) {
    const Feed feed{&state, source};
    session.encode(model, {&feed, 1});
  }
  return state;
}

Tensor step(Session& session, const Model& model, State& state, std::span<const std::int32_t> tokens) {
  const Feed feed{&state, tokens};
  return session.step(model, {&feed, 1});
}

TEST(Session, DecodingTokenByTokenEqualsTheWholeForward) {
  ThreadPool pool(2);
  for (const Case& c : cases()) {
    const auto model = tiny_model(c.config);
    const Ids ids = random_ids(7, 40), source = source_for(c.config);
    const auto whole = whole_forward(*model, pool, ids, source);
    Session session(pool);
    State state = start(*model, session, source);
    for (std::size_t t = 0; t < ids.size(); ++t) {
      const Tensor logits = step(session, *model, state, std::span(ids).subspan(t, 1));
      ASSERT_EQ(logits.shape(), (Shape{1, 17}));
      expect_near(row_of(logits, 0), whole[t], c.name + ", token " + std::to_string(t));
    }
    EXPECT_EQ(state.length, 40);
  }
}

TEST(Session, APromptInChunksEqualsThePromptWhole) {
  ThreadPool pool(2);
  for (const Case& c : cases()) {
    const auto model = tiny_model(c.config);
    const Ids ids = random_ids(8, 37), source = source_for(c.config);
    const auto whole = whole_forward(*model, pool, ids, source);
    Session session(pool);
    State state = start(*model, session, source);
    std::size_t at = 0;
    for (const std::size_t chunk : {16, 1, 13, 7}) {
      const Tensor logits = step(session, *model, state, std::span(ids).subspan(at, chunk));
      at += chunk;
      expect_near(row_of(logits, 0), whole[at - 1], c.name + ", up to " + std::to_string(at));
    }
  }
}

TEST(Session, PromptsAndRunningGenerationsMayBeJoined) {
  ThreadPool pool(2);
  for (const char* kind : {"decoder", "encoder-decoder"}) {
    const auto model = tiny_model(tiny_config(kind, "rotary"));
    const Ids a = random_ids(1, 20), b = random_ids(2, 11), source_a = source_for(tiny_config(kind)),
              source_b = source_a.empty() ? Ids() : random_ids(3, 4);
    const auto whole_a = whole_forward(*model, pool, a, source_a), whole_b = whole_forward(*model, pool, b, source_b);
    Session session(pool);
    State first = start(*model, session, source_a), second = start(*model, session, source_b);
    step(session, *model, first, std::span(a).first(19));
    const std::vector<Feed> feeds = {{&second, b}, {&first, std::span(a).subspan(19)}};
    const Tensor logits = session.step(*model, feeds);
    expect_near(row_of(logits, 0), whole_b.back(), kind);
    expect_near(row_of(logits, 1), whole_a.back(), kind);
  }
}

TEST(Session, RollingBackGivesTheLogitsOfNeverHavingGoneOn) {
  ThreadPool pool(2);
  for (const Case& c : cases()) {
    const auto model = tiny_model(c.config);
    const Ids ids = random_ids(9, 30), wrong = random_ids(10, 12), source = source_for(c.config);
    const auto whole = whole_forward(*model, pool, ids, source);
    Session session(pool);
    State state = start(*model, session, source);
    step(session, *model, state, std::span(ids).first(18));
    step(session, *model, state, wrong);
    state.roll_back(18);
    const Tensor logits = step(session, *model, state, std::span(ids).subspan(18, 12));
    expect_near(row_of(logits, 0), whole.back(), c.name);
  }
}

TEST(Session, ForkedStatesGoTheirOwnWays) {
  ThreadPool pool(2);
  const auto model = tiny_model(tiny_config("encoder-decoder", "rotary"));
  const Ids beginning = random_ids(1, 18), source = random_ids(2, 6);
  Session session(pool);
  State state = start(*model, session, source);
  step(session, *model, state, beginning);
  std::vector<State> forks(3, state);
  std::vector<Ids> ways;
  for (std::uint64_t i = 0; i < 3; ++i) ways.push_back(random_ids(20 + i, 20));
  for (std::size_t t = 0; t < 20; ++t) {
    std::vector<Feed> feeds;
    for (std::size_t i = 0; i < 3; ++i) feeds.push_back({&forks[i], std::span(ways[i]).subspan(t, 1)});
    const Tensor logits = session.step(*model, feeds);
    if (t < 19) continue;
    for (std::size_t i = 0; i < 3; ++i) {
      Ids whole = beginning;
      whole.insert(whole.end(), ways[i].begin(), ways[i].end());
      expect_near(row_of(logits, static_cast<std::int64_t>(i)), whole_forward(*model, pool, whole, source).back(),
                  "fork");
    }
  }
}

TEST(Session, AFailedCallLeavesStatesUsable) {
  ThreadPool pool(2);
  const auto model = tiny_model(tiny_config("encoder-decoder"));
  const Ids ids = random_ids(4, 20), source = random_ids(5, 7);
  const auto whole = whole_forward(*model, pool, ids, source);
  Session session(pool);
  State state = start(*model, session, source), other = start(*model, session, source);
  step(session, *model, state, std::span(ids).first(10));
  const Ids outside = {3, 17};
  const std::vector<Feed> feeds = {{&state, std::span(ids).subspan(10, 5)}, {&other, outside}};
  EXPECT_THROW(session.step(*model, feeds), Error);
  EXPECT_THROW(session.log_probabilities(*model, feeds, {}), Error);
  EXPECT_EQ(state.length, 10);
  EXPECT_EQ(other.length, 0);
  State fork = state;
  for (State* each : {&state, &fork})
    expect_near(row_of(step(session, *model, *each, std::span(ids).subspan(10)), 0), whole.back(), "after the failure");
}

TEST(Session, AFailureInTheMiddleOfThePassLeavesStatesUsable) {
  // Learned positions end before the model's last layers are reached, but a state may already have rows: here the
  // second layer lacks its values, when the first has appended.
  ThreadPool pool(2);
  const auto model = tiny_model(tiny_config("decoder", "rotary")),
             broken = make_model(tiny_config("decoder", "rotary"), {.source = 17, .target = 17});
  const auto weights = model->weights();
  auto broken_weights = broken->weights();
  for (std::size_t i = 0; i < weights.size(); ++i)
    if (weights[i].first.find("layers.1.mlp") == std::string::npos)
      broken_weights[i].second.set(weights[i].second.value());
  const Ids ids = random_ids(4, 20);
  const auto whole = whole_forward(*model, pool, ids);
  Session session(pool);
  State state(model->slots());
  step(session, *model, state, std::span(ids).first(10));
  EXPECT_THROW(step(session, *broken, state, random_ids(8, 9)), Error);
  EXPECT_GT(state.slots[0].cache.length(), 10);
  expect_near(row_of(step(session, *model, state, std::span(ids).subspan(10)), 0), whole.back(), "after the failure");
}

TEST(Session, LogProbabilitiesOfGivenTokensEqualThoseOfTheLogits) {
  ThreadPool pool(2);
  const auto model = tiny_model(tiny_config("encoder-decoder", "alibi"));
  const Ids a = random_ids(1, 12), b = random_ids(2, 5), source = random_ids(3, 8);
  Session session(pool);
  State first = start(*model, session, source), second = start(*model, session, source);
  step(session, *model, first, std::span(a).first(4));
  const std::vector<Feed> feeds = {{&first, std::span(a).subspan(4, 7)}, {&second, std::span(b).first(4)}};
  const std::vector<std::span<const std::int32_t>> targets = {std::span(a).subspan(9), std::span(b).subspan(1)};
  const auto given = session.log_probabilities(*model, feeds, targets);
  ASSERT_EQ(given[0].size(), 3u);
  ASSERT_EQ(given[1].size(), 4u);
  EXPECT_EQ(first.length, 11);
  const auto expected = [&](const Ids& ids, std::size_t place) {
    const auto logits = whole_forward(*model, pool, ids, source)[place - 1];
    double sum = 0.0;
    for (const float logit : logits) sum += std::exp(static_cast<double>(logit));
    return logits[static_cast<std::size_t>(ids[place])] - std::log(sum);
  };
  for (std::size_t i = 0; i < 3; ++i) EXPECT_NEAR(given[0][i], expected(a, 9 + i), 1e-4);
  for (std::size_t i = 0; i < 4; ++i) EXPECT_NEAR(given[1][i], expected(b, 1 + i), 1e-4);
}

TEST(Session, AfterTheFirstStepsASessionTakesNoMoreMemory) {
  ThreadPool pool(1);
  const auto model = tiny_model(tiny_config("decoder"));
  Session session(pool);
  State state(model->slots());
  step(session, *model, state, random_ids(1, 30));
  const std::int64_t peak = session.arena().peak();
  for (int i = 0; i < 20; ++i) step(session, *model, state, random_ids(2, 1));
  EXPECT_EQ(session.arena().peak(), peak);
  EXPECT_EQ(session.arena().used(), 0);
}

TEST(Session, CopiedWordsAreAsLikelyAsInTheLossOfTheWhole) {
  ThreadPool pool(2);
  for (const char* network : {"transformer", "gru"}) {
    ModelConfig config = tiny_config("encoder-decoder");
    config.network = network;
    config.copy = true;
    const auto model = tiny_model(config);
    const Ids ids = random_ids(7, 12), source = source_for(config);
    Session session(pool);
    State state = start(*model, session, source);
    for (std::size_t t = 0; t + 1 < ids.size(); ++t) {
      const Tensor found = step(session, *model, state, std::span(ids).subspan(t, 1));
      float sum = 0.0f;
      for (std::int64_t j = 0; j < found.width(); ++j) sum += std::exp(found.floats()[j]);
      EXPECT_NEAR(sum, 1.0f, 1e-5f);
      Arena arena;
      Pass pass(arena, pool);
      Ids targets(ids.size(), -1);
      targets[t] = ids[t + 1];
      const TokenRows read{source, one_sequence(source)};
      const Var memory = model->encode(pass, read);
      const Loss whole = model->loss(model->decode(pass, {ids, one_sequence(ids)}, memory),
                                     {.ids = targets, .row_weights = {}, .source = read, .memory = memory});
      EXPECT_NEAR(found.floats()[ids[t + 1]], -whole.negative_log_likelihood, 1e-4) << network << ", token " << t;
    }
  }
}

TEST(Session, NamesWhatDoesNotFit) {
  ThreadPool pool(1);
  const auto model = tiny_model(tiny_config("decoder"));
  Session session(pool);
  const auto message = [&](State state, const Ids& ids) {
    try {
      step(session, *model, state, ids);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_NE(message(State(model->slots()), random_ids(1, 65)).find("reaches 65 tokens, but the model's context is 64"),
            std::string::npos);
  EXPECT_NE(message(State(model->slots()), {}).find("no tokens"), std::string::npos);
  EXPECT_NE(message(State(7), {1}).find("a state of 7 slots; the model needs 2"), std::string::npos);
  EXPECT_NE(message(State(model->slots()), {1, 99}).find("99"), std::string::npos);
}

}  // namespace
}  // namespace heed
