#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tasks/evaluate.h"

namespace heed {

/// waiting: begun and interrupted, or promoted; paused: at a rung, for others to be compared with.
enum class TrialState { waiting, running, paused, done, failed };
std::string name_of(TrialState state);

/// One recipe of a search, as far as it has been trained.
struct Trial {
  std::int64_t number = 0;  ///< from 1
  std::string point;        ///< JSON: the keys that vary
  TrialState state = TrialState::waiting;
  int rung = 0;            ///< rungs that it has finished
  int goal = 1;            ///< the rung that it trains to
  std::string owner;       ///< the process that trains it; empty: none
  double heartbeat = 0.0;  ///< when that last gave a sign, seconds since 1970
  double progress = 0.0;   ///< share of the whole training that is done
  std::int64_t steps = 0;
  double seconds = 0.0;  ///< of training
  std::int64_t parameters = 0;
  double latency = 0.0;  ///< milliseconds; 0: not measured
  std::string reason;    ///< why it ended, or the error
  Measures measures;     ///< of validation, by the best checkpoint up to the last finished rung
};

/// The trials of a search in an SQLite file (WAL): any number of processes read and write it at once, and it may be
/// looked into with any SQLite tool meanwhile.
///
/// A trial that is being trained belongs to its owner, which renews its claim. When the owner's process is gone, or has
/// not given a sign for `lease_seconds`, anyone may take it over; the former owner, should it come back, is told so by
/// the next call that names it, and must let go.
///
/// One object a thread. Throws Error, in one sentence, for a file that is damaged or not of a search, and when another
/// process does not let go of it for half a minute.
class Trials {
 public:
  static constexpr double lease_seconds = 120.0;

  /// Opens the file, or makes it. `space`: the fingerprint that its trials belong to; with an empty one the file must
  /// be there, and is opened to be looked into.
  Trials(const std::filesystem::path& file, const std::string& space);
  ~Trials();
  Trials(const Trials&) = delete;
  Trials& operator=(const Trials&) = delete;

  /// What others write waits until this is destroyed; what was written is undone unless commit() was called.
  class Transaction {
   public:
    explicit Transaction(Trials& trials);
    ~Transaction();
    Transaction(const Transaction&) = delete;
    Transaction& operator=(const Transaction&) = delete;
    void commit();

   private:
    Trials& trials_;
    bool open_ = true;
  };

  std::vector<Trial> all();
  /// Points drawn so far: the number of the next draw.
  std::uint64_t draws();
  void set_draws(std::uint64_t draws);
  /// A word about the search for those who look into it; empty if it was never set.
  std::string note(const std::string& key);
  void set_note(const std::string& key, const std::string& value);

  /// A new trial, running towards `goal`; its number.
  std::int64_t add(const std::string& point, int goal, const std::string& owner);
  /// Takes a trial up; whoever calls has made sure in the same transaction that it is free.
  void claim(std::int64_t trial, int goal, const std::string& owner);

  // Of a claimed trial; false when it is the owner's no longer, and nothing was written.
  bool renew(std::int64_t trial, const std::string& owner, double progress, std::int64_t steps, double seconds);
  bool set_size(std::int64_t trial, const std::string& owner, std::int64_t parameters);
  bool set_latency(std::int64_t trial, const std::string& owner, double milliseconds);
  bool add_validation(std::int64_t trial, const std::string& owner, std::int64_t step, const Measures& measures,
                      bool best);
  /// The trial reached `rung`; with `done` it trains no further.
  bool finish_rung(std::int64_t trial, const std::string& owner, int rung, bool done, const std::string& reason);
  bool fail(std::int64_t trial, const std::string& owner, const std::string& reason);
  /// Interrupted: to be taken up by whoever comes.
  bool release(std::int64_t trial, const std::string& owner);

  struct Database;

 private:
  std::unique_ptr<Database> database_;
};

/// Names a worker of this process: process, its start (numbers of processes come again) and the worker.
std::string own_name(int worker);
/// Whether a running trial's owner is gone or silent.
bool is_orphan(const Trial& trial);
/// Seconds since 1970: what processes agree on.
double wall_clock();

}  // namespace heed
