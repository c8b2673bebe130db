#include "experiments/search.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <mutex>
#include <set>
#include <thread>

#include "experiments/machine_lock.h"
#include "experiments/scheduler.h"
#include "experiments/search_summary.h"
#include "experiments/small_search.h"
#include "explain/search_html.h"

namespace heed::test {

namespace {

constexpr const char* some_keys =
    "model.layers = [1, 2]\nmodel.pooling = [\"mean\", \"max\", \"attention\"]\ntraining.rate = [0.003, 0.01, 0.03]";

TEST(Search, AGridTrainsEveryRecipeThatHoldsTogether) {
  TestFolder folder;
  const SearchSpace space =
      read_search_space(put_space(folder, "strategy = \"grid\"\nobjectives = [\"loss\", \"parameters\", \"latency\"]",
                                  "model.width = [8, 9, 12]\nmodel.heads = [2, 4]"));
  const SearchResult result = search(space, run_in(folder / "search"));
  EXPECT_EQ(result.reason, "the whole space");
  ASSERT_EQ(result.trials.size(), 4u) << "a width of 9 has neither 2 nor 4 heads";
  for (const Trial& trial : result.trials) {
    EXPECT_EQ(trial.state, TrialState::done) << trial.reason;
    EXPECT_GT(trial.parameters, 0);
    EXPECT_GT(trial.latency, 0.0);
    EXPECT_TRUE(trial.measures.contains("loss"));
    EXPECT_EQ(trial.progress, 1.0);
    const std::filesystem::path trained = trial_folder(folder / "search", trial.number);
    EXPECT_FALSE(std::filesystem::exists(trained / "checkpoint"));
    const auto front = pareto_front(result.trials, space.search);
    EXPECT_EQ(std::filesystem::exists(trained / "model.safetensors"),
              std::find(front.begin(), front.end(), trial.number) != front.end());
  }
  // The same command once more has nothing to do.
  EXPECT_EQ(search(space, run_in(folder / "search")).trials.size(), 4u);
}

TEST(Search, HalvesSuccessivelyAndGoesOnFromCheckpoints) {
  TestFolder folder;
  const SearchSpace space = read_search_space(
      put_space(folder, "objectives = \"loss\"\ntrials = 9\nreduction = 2\nkeep = \"all\"", some_keys));
  const Rungs rungs(space);
  EXPECT_EQ(rungs.count(), 3) << "epochs 1, 2 and 4";
  std::set<std::int64_t> promoted;
  std::mutex mutex;
  SearchRun run = run_in(folder / "search");
  run.parallel = 2;
  run.started = [&](const Trial& trial, const std::string& what) {
    const std::lock_guard lock(mutex);
    if (what == "promoted") promoted.insert(trial.number);
  };
  const SearchResult result = search(space, run);
  ASSERT_EQ(result.trials.size(), 9u);
  std::vector<int> at(4, 0);
  std::int64_t one_epoch = 0;
  for (const Trial& trial : result.trials) {
    ++at[static_cast<std::size_t>(trial.rung)];
    if (trial.rung == 1) one_epoch = trial.steps;
  }
  EXPECT_EQ(at[0], 0);
  EXPECT_GE(at[2] + at[3], 4) << "of 9 trials 4 go on";
  EXPECT_GE(at[3], 2) << "of 4 trials 2 do";
  EXPECT_LE(at[2] + at[3], 7);
  for (const Trial& trial : result.trials) {
    EXPECT_EQ(trial.state, trial.rung == 3 ? TrialState::done : TrialState::paused);
    EXPECT_EQ(promoted.contains(trial.number), trial.rung > 1);
    EXPECT_EQ(trial.steps, one_epoch << (trial.rung - 1));
  }
  // A promoted trial is the same training as one that was never interrupted.
  const Trial& best =
      *std::find_if(result.trials.begin(), result.trials.end(), [](const Trial& trial) { return trial.rung == 3; });
  SearchSpace whole = space;
  whole.search.strategy = "random";
  whole.search.trials = best.number;
  const SearchResult again = search(whole, run_in(folder / "whole"));
  for (const Trial& trial : again.trials)
    if (trial.point == best.point) {
      EXPECT_NEAR(trial.measures.at("loss"), best.measures.at("loss"), 1e-6);
    }
}

TEST(Search, IsStoppedAndGoneOnWith) {
  TestFolder folder;
  const SearchSpace space =
      read_search_space(put_space(folder, "strategy = \"random\"\nobjectives = \"loss\"\ntrials = 3", some_keys));
  std::atomic<bool> stop = false;
  SearchRun run = run_in(folder / "search");
  run.stop = &stop;
  run.progress = [&](std::int64_t trial, double done, const std::string&) { stop = trial == 2 && done > 0.4; };
  SearchResult result = search(space, run);
  EXPECT_EQ(result.reason, "interrupted");
  ASSERT_EQ(result.trials.size(), 2u);
  EXPECT_EQ(result.trials[0].state, TrialState::done);
  EXPECT_EQ(result.trials[1].state, TrialState::waiting);
  stop = false;
  run.progress = {};
  result = search(space, run);
  EXPECT_EQ(result.reason, "trials");
  ASSERT_EQ(result.trials.size(), 3u);
  for (const Trial& trial : result.trials) EXPECT_EQ(trial.state, TrialState::done);
}

TEST(Search, SurvivesKillsAndIsSharedByProcesses) {
  TestFolder folder;
  const SearchSpace space =
      read_search_space(put_space(folder, "objectives = \"loss\"\ntrials = 8\nreduction = 2", some_keys));
  const auto start = [&] {
    const pid_t child = ::fork();
    if (child == 0) {
      try {
        search(space, run_in(folder / "search"));
        ::_exit(0);
      } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        ::_exit(1);
      }
    }
    return child;
  };
  const pid_t killed = start();
  for (int i = 0; i < 20'000 && !std::filesystem::exists(folder / "search" / "trial-0002" / "heed.json"); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  ::kill(killed, SIGKILL);
  ::waitpid(killed, nullptr, 0);
  std::vector<pid_t> children{start(), start()};
  for (const pid_t child : children) {
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }
  const SearchSummary summary = read_search_summary(folder / "search");
  ASSERT_EQ(summary.rows.size(), 8u);
  std::set<std::string> points;
  for (const SummaryRow& row : summary.rows) {
    EXPECT_TRUE(row.trial.state == TrialState::done || row.trial.state == TrialState::paused)
        << name_of(row.trial.state);
    points.insert(row.trial.point);
  }
  EXPECT_EQ(points.size(), 8u);
  EXPECT_GE(summary.count(TrialState::done), 1);
}

TEST(Search, MarksWhatCannotBeTrainedAndGoesOn) {
  TestFolder folder;
  const SearchSpace space =
      read_search_space(put_space(folder, "strategy = \"grid\"\nobjectives = \"loss\"",
                                  "training.rate = [1e30, 0.01]\ntraining.clip = [0]\ntraining.optimizer = [\"sgd\"]"));
  const SearchResult result = search(space, run_in(folder / "search"));
  ASSERT_EQ(result.trials.size(), 2u);
  EXPECT_EQ(result.trials[0].state, TrialState::failed);
  EXPECT_NE(result.trials[0].reason.find("not finite"), std::string::npos) << result.trials[0].reason;
  EXPECT_EQ(result.trials[1].state, TrialState::done);
}

TEST(Search, SaysWhenNoRecipeHoldsTogether) {
  TestFolder folder;
  const SearchSpace space =
      read_search_space(put_space(folder, "strategy = \"grid\"\nobjectives = \"loss\"", "model.heads = [3, 5]"));
  expect_error(
      "no recipe of the space can be trained; of the last: model.width = 8 is not divisible by model.heads = 5",
      [&] { search(space, run_in(folder / "search")); });
}

TEST(MachineLock, WhoMeasuresIsAlone) {
  TestFolder folder;
  std::atomic<bool> over = false, measuring = false;
  std::atomic<int> disturbed = 0, steps = 0;
  std::vector<std::thread> trainings;
  for (int i = 0; i < 3; ++i)
    trainings.emplace_back([&] {
      MachineLock lock(folder.path());
      lock.enter();
      while (!over) {
        ++steps;
        disturbed += measuring;
        lock.yield();
      }
      lock.leave();
    });
  MachineLock lock(folder.path());
  for (int i = 0; i < 5; ++i) {
    const int before = steps;
    while (steps == before) std::this_thread::yield();
    const MachineLock::Alone alone(lock);
    measuring = true;
    const int then = steps;
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
    EXPECT_EQ(steps, then);
    measuring = false;
  }
  over = true;
  for (std::thread& training : trainings) training.join();
  EXPECT_EQ(disturbed, 0);
}

TEST(SearchPage, IsOneFileWithTheFrontMarked) {
  SearchSummary summary{.title = "a <search>",
                        .strategy = "random",
                        .recipes = "12",
                        .objectives = {"accuracy", "parameters"},
                        .keys = {"model.layers", "training.rate"}};
  for (int i = 1; i <= 12; ++i) {
    SummaryRow row{.trial = {},
                   .values = {std::to_string(i % 3), std::to_string(0.001 * i)},
                   .objectives = {0.5 + 0.03 * i, 1000.0 * i},
                   .front = i > 9};
    row.trial.number = i;
    row.trial.state = TrialState::done;
    summary.rows.push_back(row);
  }
  summary.rows.back().objectives.clear();
  const std::string page = search_html(summary);
  EXPECT_EQ(page, search_html(summary));
  EXPECT_NE(page.find("a &lt;search&gt;"), std::string::npos);
  EXPECT_EQ(page.find("http"), std::string::npos) << "nothing is loaded";
  EXPECT_EQ(page.find("<script"), std::string::npos);
  EXPECT_EQ(page.find("nan"), std::string::npos);
  std::size_t marked = 0;
  for (std::size_t at = 0; (at = page.find("point marked", at)) != page.npos; ++at) ++marked;
  EXPECT_EQ(marked, 2u * 3u) << "in three charts";
}

}  // namespace

}  // namespace heed::test
