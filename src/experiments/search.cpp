#include "experiments/search.h"

#include <heed/error.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <map>
#include <mutex>
#include <new>
#include <thread>

#include "base/clock.h"
#include "experiments/latency.h"
#include "experiments/machine_lock.h"
#include "experiments/scheduler.h"
#include "experiments/search_summary.h"
#include "formats/json_text.h"
#include "train/train_folder.h"

namespace heed {

namespace {

namespace fs = std::filesystem;

/// Renews the claim on a trial while it lives, from a thread of its own: a validation may take minutes.
class Heartbeat {
 public:
  Heartbeat(const fs::path& file, const std::string& space, std::int64_t trial, const std::string& owner)
      : thread_([this, file, space, trial, owner] { beat(file, space, trial, owner); }) {}
  ~Heartbeat() {
    {
      const std::lock_guard lock(mutex_);
      over_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }
  Heartbeat(const Heartbeat&) = delete;
  Heartbeat& operator=(const Heartbeat&) = delete;

  void tell(const StepReport& report) {
    done_ = report.done;
    steps_ = report.step;
  }
  double done() const { return done_; }
  /// The claim has gone to another process, or cannot be renewed.
  bool lost() const { return lost_; }

 private:
  void beat(const fs::path& file, const std::string& space, std::int64_t trial, const std::string& owner) {
    try {
      Trials trials(file, space);
      std::unique_lock lock(mutex_);
      while (!changed_.wait_for(lock, std::chrono::seconds(2), [&] { return over_; }))
        if (!trials.renew(trial, owner, done_, steps_, 0.0)) {
          lost_ = true;
          return;
        }
    } catch (const Error&) {
      lost_ = true;  // the training's own next call says why
    }
  }

  std::atomic<double> done_ = 0.0;
  std::atomic<std::int64_t> steps_ = 0;
  std::atomic<bool> lost_ = false;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool over_ = false;
  std::thread thread_;
};

/// Vocabularies and stores that trials share, by the settings that they are made from.
class SharedData {
 public:
  explicit SharedData(fs::path folder) : folder_(std::move(folder)) {}
  /// The vocabularies; the store is then at `place`.
  const TextEncoder& of(const Recipe& recipe, fs::path& place) {
    Recipe same = recipe;
    same.model = {};
    same.batch = {};
    same.training = {};
    same.generation = {};
    std::uint64_t hash = static_cast<std::uint64_t>(longest_sequence(recipe));
    for (const char c : write_recipe(same)) hash = mix64(hash ^ static_cast<unsigned char>(c));
    place = folder_ / std::to_string(hash);
    const std::lock_guard lock(mutex_);  // one makes it, the others wait for it
    auto found = made_.find(hash);
    if (found == made_.end()) {
      found = made_.emplace(hash, make_text_encoder(recipe)).first;
      prepare(recipe, found->second, place);
    }
    return found->second;
  }

 private:
  fs::path folder_;
  std::mutex mutex_;
  std::map<std::uint64_t, TextEncoder> made_;
};

class Search {
 public:
  Search(const SearchSpace& space, const SearchRun& run)
      : space_(space),
        run_(run),
        rungs_(space),
        file_(run.folder / "trials.sqlite"),
        fingerprint_(space.fingerprint()),
        data_(run.folder / "data") {}

  SearchResult operator()() {
    fs::create_directories(run_.folder);
    if (space_.search.minutes > 0.0) deadline_ = now() + 60.0 * space_.search.minutes;
    Trials trials(file_, fingerprint_);
    describe(trials);
    const int workers = std::max(1, run_.parallel), all = run_.threads > 0 ? run_.threads : available_processors();
    std::vector<std::thread> threads;
    for (int worker = 1; worker < workers; ++worker)
      threads.emplace_back([&, worker] { work(worker, std::max(1, all / workers)); });
    work(0, std::max(1, all / workers));
    for (std::thread& thread : threads) thread.join();
    if (error_) std::rethrow_exception(error_);
    return {run_.stop && *run_.stop ? "interrupted" : overtime() ? "minutes" : why_, trials.all()};
  }

 private:
  /// For those who look into the file.
  void describe(Trials& trials) const {
    std::string objectives;
    for (const std::string& one : space_.search.objectives)
      objectives += (objectives.empty() ? "" : ", ") + json_quote(one);
    trials.set_note("title", space_.description.empty() ? space_.base.description : space_.description);
    trials.set_note("strategy", space_.search.strategy);
    trials.set_note("objectives", "[" + objectives + "]");
    trials.set_note("rungs", std::to_string(rungs_.count()));
    trials.set_note("recipes", space_.count() > 0 ? objective_text("parameters", static_cast<double>(space_.count()))
                                                  : "endlessly many");
  }

  bool overtime() const { return deadline_ > 0.0 && now() >= deadline_; }
  bool stopped() const { return error_seen_ || (run_.stop && *run_.stop) || overtime(); }

  void work(int worker, int threads) {
    try {
      ThreadPool pool(threads);
      Trials trials(file_, fingerprint_);
      MachineLock lock(run_.folder);
      while (!stopped()) {
        const std::string owner = own_name(worker);
        const Job job = next_job(trials, space_, rungs_, owner);
        if (job.kind == Job::Kind::train) {
          train_trial(job, owner, trials, lock, pool);
        } else if (job.kind == Job::Kind::over) {
          const std::lock_guard guard(mutex_);
          why_ = job.why;
          break;
        } else {
          std::this_thread::sleep_for(std::chrono::milliseconds(200));
        }
      }
    } catch (...) {
      const std::lock_guard guard(mutex_);
      if (!error_) error_ = std::current_exception();
      error_seen_ = true;
    }
  }

  void train_trial(const Job& job, const std::string& owner, Trials& trials, MachineLock& lock, ThreadPool& pool) {
    const fs::path folder = trial_folder(run_.folder, job.trial);
    const bool begun = fs::exists(folder / "heed.json");
    if (run_.started) run_.started(trial(trials, job.trial), !begun ? "new" : job.goal > 1 ? "promoted" : "goes on");
    std::string failure;
    TrainingResult result;
    double done = 0.0;
    {
      Heartbeat heartbeat(file_, fingerprint_, job.trial, owner);
      lock.enter();
      try {
        result = train_to_rung(job, owner, trials, lock, pool, folder, heartbeat);
      } catch (const Error& error) {
        failure = error.what();
      } catch (const std::bad_alloc&) {
        failure = "out of memory";
      } catch (...) {
        lock.leave();
        throw;
      }
      lock.leave();
      done = heartbeat.done();
    }
    if (!failure.empty()) {
      trials.fail(job.trial, owner, failure);
      refuse_if_all_fail(trials);
    } else if (result.reason == "interrupted") {
      trials.release(job.trial, owner);
      return;
    } else {
      trials.renew(job.trial, owner, result.reason == "paused" ? done : 1.0, result.progress.step,
                   result.progress.seconds);
      const bool paused = result.reason == "paused";
      trials.finish_rung(job.trial, owner, paused ? job.goal : rungs_.count(), !paused, result.reason);
    }
    tidy(trials);
    if (run_.finished) run_.finished(trial(trials, job.trial));
  }

  TrainingResult train_to_rung(const Job& job, const std::string& owner, Trials& trials, MachineLock& lock,
                               ThreadPool& pool, const fs::path& folder, Heartbeat& heartbeat) {
    const Recipe recipe = space_.recipe(space_.parse(job.point));
    FolderTraining how{.folder = folder, .pool = &pool, .resume = has_checkpoint(folder)};
    how.text = &data_.of(recipe, how.data_folder);
    std::atomic<bool> stop = false;
    how.stop = &stop;
    std::int64_t validated = -1;
    how.starting = [&](const TrainingStart& start) { trials.set_size(job.trial, owner, start.model.parameters()); };
    how.observer.step = [&](const StepReport& report) {
      heartbeat.tell(report);
      lock.yield();
      stop = stopped() || heartbeat.lost();
      if (run_.progress) run_.progress(job.trial, report.done, format("step {}", report.step));
    };
    how.observer.validated = [&](std::int64_t step, const Measures& measures, bool best) {
      if (step == validated && !best) return;  // the mean of the last weights, no better than the last ones
      validated = step;
      check_measures(measures);
      trials.add_validation(job.trial, owner, step, measures, best);
    };
    how.pause = [&](const StepReport& report) { return rungs_.reached(job.goal, report); };
    how.ended = [&](const TrainingStart& start) {
      if (!wants("latency") || trial(trials, job.trial).latency > 0.0) return;
      lock.leave();
      double milliseconds = 0.0;
      {
        const MachineLock::Alone alone(lock);
        milliseconds = measure_latency(start);
      }
      lock.enter();
      trials.set_latency(job.trial, owner, milliseconds);
    };
    return train_folder(recipe, how);
  }

  bool wants(const std::string& objective) const {
    return std::find(space_.search.objectives.begin(), space_.search.objectives.end(), objective) !=
           space_.search.objectives.end();
  }

  void check_measures(const Measures& measures) const {
    for (const std::string& objective : space_.search.objectives)
      if (objective != "parameters" && objective != "latency" && !measures.contains(objective))
        throw Error("search.objectives: this recipe's validation does not measure \"{}\"", objective);
  }

  static Trial trial(Trials& trials, std::int64_t number) {
    for (Trial& one : trials.all())
      if (one.number == number) return std::move(one);
    throw Error("trial {} has vanished from the trials file", number);
  }

  /// A mistake that all recipes share would else be made for as long as the search may take.
  static void refuse_if_all_fail(Trials& trials) {
    constexpr std::size_t enough = 5;
    const std::vector<Trial> all = trials.all();
    if (all.size() < enough) return;
    for (const Trial& one : all)
      if (one.state != TrialState::failed) return;
    throw Error("the first {} trials failed; trial 1: {}", all.size(), all.front().reason);
  }

  /// Takes away what nobody will ask for: checkpoints of trials that are over or far behind, models off the front.
  void tidy(Trials& trials) {
    if (space_.search.keep == "all") return;
    Trials::Transaction transaction(trials);  // nobody takes a trial up meanwhile
    const std::vector<Trial> all = trials.all();
    const std::vector<std::int64_t> front = pareto_front(all, space_.search),
                                    behind = unlikely_to_go_on(all, space_.search);
    const auto has = [](const std::vector<std::int64_t>& numbers, std::int64_t number) {
      return std::find(numbers.begin(), numbers.end(), number) != numbers.end();
    };
    for (const Trial& one : all) {
      const bool over = one.state == TrialState::done || one.state == TrialState::failed;
      if (!over && !has(behind, one.number)) continue;
      const fs::path folder = trial_folder(run_.folder, one.number);
      std::error_code ignored;
      fs::remove_all(folder / "checkpoint", ignored);
      if (!has(front, one.number)) fs::remove(folder / "model.safetensors", ignored);
    }
  }

  const SearchSpace& space_;
  const SearchRun& run_;
  Rungs rungs_;
  fs::path file_;
  std::string fingerprint_;
  SharedData data_;
  double deadline_ = 0.0;
  std::mutex mutex_;
  std::exception_ptr error_;
  std::atomic<bool> error_seen_ = false;
  std::string why_ = "trials";
};

}  // namespace

fs::path trial_folder(const fs::path& folder, std::int64_t trial) {
  std::string number = std::to_string(trial);
  return folder / ("trial-" + std::string(number.size() < 4 ? 4 - number.size() : 0, '0') + number);
}

SearchResult search(const SearchSpace& space, const SearchRun& run) { return Search(space, run)(); }

}  // namespace heed
