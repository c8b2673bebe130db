#include "decode/beam_search.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "decode/forbidden.h"
#include "decode/scan.h"
#include "decode/source_attention.h"
#include "kernels/rows.h"

namespace heed {

namespace {

/// A token of a hypothesis and the one before it: hypotheses share their beginnings.
struct Node {
  std::int32_t parent;  ///< −1: the prompt comes before it
  std::int32_t token;
};

struct Hypothesis {
  State state;
  std::int32_t node = -1;  ///< its last token; −1: the prompt alone
  double log_probability = 0.0;
  std::vector<float> coverage = {};  ///< attention that each source token has had, where it is asked for
};

/// A continuation of a live hypothesis by one token.
struct Candidate {
  double log_probability;
  std::int32_t hypothesis, token;
};

bool better(const Generated& a, const Generated& b) { return a.score > b.score; }

/// The search for one input.
struct Search {
  std::size_t input = 0;
  GenerationLimit limit;
  std::int64_t predictions = 0;
  std::vector<Node> nodes;
  std::vector<Hypothesis> live, next;
  std::vector<Candidate> candidates;  ///< best first
  std::vector<std::int32_t> uses;     ///< of each live hypothesis by the candidates
  std::vector<Generated> ended, cut;
};

/// The likeliest `width` continuations. Hypotheses and tokens are met in order and only a better one displaces, so ties
/// keep that order.
void select(Search& search, const float* log_probabilities, std::int64_t entries, std::size_t width) {
  std::vector<Candidate>& best = search.candidates;
  best.clear();
  for (std::size_t h = 0; h < search.live.size(); ++h) {
    const double base = search.live[h].log_probability;
    const auto cutoff = [&] {
      if (best.size() < width) return -std::numeric_limits<float>::infinity();
      // One step lower, for the rounding; what passes is compared in double.
      return std::nextafter(static_cast<float>(best.back().log_probability - base),
                            -std::numeric_limits<float>::infinity());
    };
    const std::span<const float> row(log_probabilities + static_cast<std::int64_t>(h) * entries,
                                     static_cast<std::size_t>(entries));
    for_each_above(row, cutoff(), [&](std::size_t token, float value) {
      const double total = base + static_cast<double>(value);
      if (best.size() == width) {
        if (!(total > best.back().log_probability)) return cutoff();
        best.pop_back();
      }
      const auto place = std::upper_bound(best.begin(), best.end(), total, [](double sum, const Candidate& candidate) {
        return sum > candidate.log_probability;
      });
      best.insert(place, {total, static_cast<std::int32_t>(h), static_cast<std::int32_t>(token)});
      return cutoff();
    });
  }
  if (best.empty())
    throw Error(
        "beam search: no continuation of input {} has a finite probability: the model's weights or input are broken",
        search.input);
}

class BeamSearch {
 public:
  BeamSearch(const Model& model, Session& session, std::span<const GenerationInput> inputs,
             const GenerationConfig& config, std::int32_t end, std::size_t wanted)
      : model_(model),
        session_(session),
        inputs_(inputs),
        config_(config),
        end_(end),
        wanted_(wanted),
        waiting_(inputs, model, config),
        answers_(inputs.size()) {}

  std::vector<std::vector<Generated>> run(const std::function<void(std::size_t, std::size_t)>& progress) {
    for (std::size_t done = 0; !waiting_.empty() || !searches_.empty();) {
      admit();
      step();
      for (Search& search : searches_)
        if (search.live.empty()) {
          report(search);
          if (progress) progress(++done, inputs_.size());
        }
      std::erase_if(searches_, [](const Search& search) { return search.live.empty(); });
    }
    return std::move(answers_);
  }

 private:
  void admit();
  void step();
  void advance(Search& search, float* log_probabilities, std::int64_t entries);
  void forbid(const Search& search, float* log_probabilities, std::int64_t entries) const;
  std::vector<std::int32_t> tokens_of(const Search& search, std::int32_t node) const;
  void settle(Search& search);
  void report(Search& search);
  Generated answer(const Search& search, const Hypothesis& hypothesis, double log_probability, Stop stop) const;
  double length_divisor(std::int64_t predictions) const {
    return std::pow(static_cast<double>(predictions), config_.length_penalty);
  }

  const Model& model_;
  Session& session_;
  std::span<const GenerationInput> inputs_;
  const GenerationConfig& config_;
  std::int32_t end_;
  std::size_t wanted_;
  WaitingInputs waiting_;
  std::vector<std::vector<Generated>> answers_;
  std::vector<Search> searches_;
  std::vector<Feed> feeds_;
  std::vector<std::int64_t> first_rows_;
  SourceAttention attention_;
};

void BeamSearch::admit() {
  const std::size_t before = searches_.size();
  for (const std::size_t input : waiting_.admit()) {
    Search& search = searches_.emplace_back();
    search.input = input;
    search.limit = waiting_.limit(input);
    search.live.push_back({State(model_.slots())});
  }
  feeds_.clear();
  for (std::size_t i = before; i < searches_.size(); ++i) {
    const std::vector<std::int32_t>& source = inputs_[searches_[i].input].source;
    if (!source.empty()) feeds_.push_back({&searches_[i].live.front().state, source});
  }
  session_.encode(model_, feeds_);
}

void BeamSearch::step() {
  feeds_.clear();
  first_rows_.clear();
  for (Search& search : searches_) {
    first_rows_.push_back(static_cast<std::int64_t>(feeds_.size()));
    for (Hypothesis& hypothesis : search.live) {
      const std::span<const std::int32_t> prompt = inputs_[search.input].prompt;
      const bool fresh = hypothesis.node < 0;
      feeds_.push_back({&hypothesis.state,
                        fresh ? prompt : std::span(&search.nodes[static_cast<std::size_t>(hypothesis.node)].token, 1)});
    }
  }
  const bool covers = config_.coverage_penalty > 0.0;
  const Tensor rows = session_.step(model_, feeds_, covers ? &attention_ : nullptr);
  for (std::size_t i = 0; covers && i < searches_.size(); ++i)
    for (std::size_t h = 0; h < searches_[i].live.size(); ++h) {
      const std::vector<float>& seen = attention_.weights(static_cast<std::size_t>(first_rows_[i]) + h);
      std::vector<float>& coverage = searches_[i].live[h].coverage;
      coverage.resize(seen.size());
      for (std::size_t j = 0; j < seen.size(); ++j) coverage[j] += seen[j];
    }
  kernels::softmax_rows(rows.view(), true, session_.pool());
  session_.pool().parallel_for(static_cast<std::int64_t>(searches_.size()), [&](std::int64_t i) {
    const auto at = static_cast<std::size_t>(i);
    advance(searches_[at], rows.floats() + first_rows_[at] * rows.width(), rows.width());
  });
}

/// From the probabilities of what may follow to the next live hypotheses.
void BeamSearch::advance(Search& search, float* log_probabilities, std::int64_t entries) {
  forbid(search, log_probabilities, entries);
  select(search, log_probabilities, entries, static_cast<std::size_t>(config_.beams) - search.ended.size());
  ++search.predictions;
  search.uses.assign(search.live.size(), 0);
  for (const Candidate& candidate : search.candidates)
    if (candidate.token != end_) ++search.uses[static_cast<std::size_t>(candidate.hypothesis)];
  search.next.clear();
  for (const Candidate& candidate : search.candidates) {
    const auto at = static_cast<std::size_t>(candidate.hypothesis);
    Hypothesis& parent = search.live[at];
    if (candidate.token == end_) {
      search.ended.push_back(answer(search, parent, candidate.log_probability, Stop::end));
      continue;
    }
    // Forked for all but the last child, which takes the parent's state over.
    search.next.push_back({--search.uses[at] > 0 ? parent.state : std::move(parent.state),
                           static_cast<std::int32_t>(search.nodes.size()), candidate.log_probability, parent.coverage});
    search.nodes.push_back({parent.node, candidate.token});
  }
  std::swap(search.live, search.next);
  search.next.clear();
  settle(search);
}

/// Ends the search when the limit is reached or nothing live can come among the wanted.
void BeamSearch::settle(Search& search) {
  if (search.predictions >= search.limit.predictions) {
    for (const Hypothesis& hypothesis : search.live)
      search.cut.push_back(answer(search, hypothesis, hypothesis.log_probability, search.limit.reason));
    search.live.clear();
  }
  if (search.live.empty() || search.ended.size() < wanted_) return;
  std::stable_sort(search.ended.begin(), search.ended.end(), better);
  // Live hypotheses lie best first.
  const double reachable = search.live.front().log_probability / length_divisor(search.limit.predictions);
  if (search.ended[wanted_ - 1].score >= reachable) search.live.clear();
}

void BeamSearch::report(Search& search) {
  std::stable_sort(search.ended.begin(), search.ended.end(), better);
  std::stable_sort(search.cut.begin(), search.cut.end(), better);
  std::vector<Generated>& answers = answers_[search.input];
  answers = std::move(search.ended);
  answers.insert(answers.end(), std::make_move_iterator(search.cut.begin()), std::make_move_iterator(search.cut.end()));
  if (answers.size() > wanted_) answers.resize(wanted_);
  waiting_.finished(search.input);
}

void BeamSearch::forbid(const Search& search, float* log_probabilities, std::int64_t entries) const {
  if (config_.min_tokens == 0 && config_.no_repeat == 0) return;
  for (std::size_t h = 0; h < search.live.size(); ++h)
    for (const std::int32_t token : forbidden(tokens_of(search, search.live[h].node), config_, end_))
      log_probabilities[static_cast<std::int64_t>(h) * entries + token] = -std::numeric_limits<float>::infinity();
}

std::vector<std::int32_t> BeamSearch::tokens_of(const Search& search, std::int32_t node) const {
  std::vector<std::int32_t> tokens;
  for (; node >= 0; node = search.nodes[static_cast<std::size_t>(node)].parent)
    tokens.push_back(search.nodes[static_cast<std::size_t>(node)].token);
  std::reverse(tokens.begin(), tokens.end());
  return tokens;
}

Generated BeamSearch::answer(const Search& search, const Hypothesis& hypothesis, double log_probability,
                             Stop stop) const {
  Generated result;
  result.tokens = tokens_of(search, hypothesis.node);
  result.log_probability = log_probability;
  result.score = log_probability / length_divisor(search.predictions);
  for (const float seen : hypothesis.coverage)  // a token that was never seen counts as one seen by 1e-6
    result.score += config_.coverage_penalty * std::log(std::clamp(static_cast<double>(seen), 1e-6, 1.0));
  result.stop = stop;
  return result;
}

}  // namespace

std::vector<std::vector<Generated>> beam_search(
    const Model& model, Session& session, std::span<const GenerationInput> inputs, const GenerationConfig& config,
    std::int32_t end, std::size_t wanted, const std::function<void(std::size_t done, std::size_t total)>& progress) {
  if (config.beams < 1) throw Error("beam search: {} beams; expected 1 or more", config.beams);
  if (config.sample || config.repetition_penalty != 1.0)
    throw Error(
        "beam search takes neither sampling nor a repetition penalty; set generation.beams = 1, or sample = false "
        "and repetition_penalty = 1");
  return BeamSearch(model, session, inputs, config, end, std::max<std::size_t>(wanted, 1)).run(progress);
}

}  // namespace heed
