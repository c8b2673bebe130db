#include <heed/error.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "text/batches.h"

namespace heed {

namespace {

constexpr std::uint64_t split_draws = 0x73706c6974;  // "split": apart from what the batches draw by the same seed

std::vector<std::int64_t> numbers(std::int64_t first, std::int64_t last) {
  std::vector<std::int64_t> all(static_cast<std::size_t>(last - first));
  std::iota(all.begin(), all.end(), first);
  return all;
}

}  // namespace

std::vector<bool> articles_of(DataPart part, std::int64_t articles, const DataConfig& config, std::uint64_t seed) {
  const std::vector<std::int64_t> order = permutation(RandomKey{seed}.fold(split_draws), articles);
  const auto share = [articles](double held_out) {
    return static_cast<std::size_t>(std::floor(static_cast<double>(articles) * (1 - held_out) + 1e-6));
  };
  const std::size_t trained = share(config.validation_split + config.test_split), validated = share(config.test_split);
  const std::size_t begin = part == DataPart::train        ? 0
                            : part == DataPart::validation ? trained
                                                           : validated,
                    end = part == DataPart::train        ? trained
                          : part == DataPart::validation ? validated
                                                         : order.size();
  std::vector<bool> chosen(order.size());
  for (std::size_t i = begin; i < end; ++i) chosen[static_cast<std::size_t>(order[i])] = true;
  return chosen;
}

StorePart part_of(const TokenStore& store, DataPart part, const DataConfig& config, std::uint64_t seed) {
  std::int32_t articles = 0;
  for (std::int64_t i = 0; i < store.size(); ++i) articles = std::max(articles, store.label(i) + 1);
  const std::vector<bool> chosen = articles_of(part, articles, config, seed);
  StorePart found;
  for (std::int64_t i = 0; i < store.size(); ++i)
    if (chosen[static_cast<std::size_t>(store.label(i))]) found.examples.push_back(i);
  return found;
}

StorePart whole(const TokenStore& store) {
  return {.examples = numbers(0, store.size()), .first_token = 0, .last_token = store.tokens()};
}

std::pair<StorePart, StorePart> split_validation(const TokenStore& store, const DataConfig& config,
                                                 std::uint64_t seed) {
  const double share = config.validation_split;
  const std::int64_t every = config.validation_every;
  if (share == 0 && every == 0) return {whole(store), {}};
  if (share != 0 && every != 0) throw Error("data: set validation_split or validation_every, not both");
  if (store.task() == Task::question_answering && every != 0)
    throw Error(
        "data.validation_every counts examples, and question answering holds out whole articles; set "
        "data.validation_split");
  if (store.stream() && every != 0)
    throw Error("data.validation_every counts examples, and a stream of text has none; set data.validation_split");
  const std::int64_t all = store.stream() ? store.tokens() : store.size();
  const auto trained = static_cast<std::int64_t>(std::floor(static_cast<double>(all) * (1 - share) + 1e-6));
  StorePart train, validation;
  if (store.stream()) {
    train.last_token = validation.first_token = trained;
    validation.last_token = all;
  } else if (every != 0) {
    for (std::int64_t i = 0; i < all; ++i) ((i + 1) % every == 0 ? validation : train).examples.push_back(i);
  } else if (store.task() == Task::language_modelling) {
    train.examples = numbers(0, trained);
    validation.examples = numbers(trained, all);
  } else if (store.task() == Task::question_answering) {
    train = part_of(store, DataPart::train, config, seed);
    validation = part_of(store, DataPart::validation, config, seed);
  } else {
    const std::vector<std::int64_t> order = permutation(RandomKey{seed}.fold(split_draws), all);
    train.examples.assign(order.begin(), order.begin() + trained);
    validation.examples.assign(order.begin() + trained, order.end());
    std::sort(train.examples.begin(), train.examples.end());
    std::sort(validation.examples.begin(), validation.examples.end());
  }
  const std::int64_t held_out = store.stream() ? all - trained : static_cast<std::int64_t>(validation.examples.size());
  if (held_out == 0 || held_out == all)
    throw Error("data: {} of {} {} would be held out for validation; change data.{}", held_out, all,
                store.stream() ? "tokens" : "examples", every != 0 ? "validation_every" : "validation_split");
  return {std::move(train), std::move(validation)};
}

}  // namespace heed
