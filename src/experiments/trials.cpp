#include "experiments/trials.h"

#include <heed/error.h>
#include <sqlite3.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <csignal>
#include <fstream>
#include <map>
#include <sstream>
#include <type_traits>

namespace heed {

namespace {

constexpr int application = 0x68656564;  // "heed", in the file's header
constexpr int schema_version = 1;

constexpr const char* schema = R"(
CREATE TABLE notes (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE trials (
  number INTEGER PRIMARY KEY, point TEXT NOT NULL UNIQUE, state TEXT NOT NULL, rung INTEGER NOT NULL DEFAULT 0,
  goal INTEGER NOT NULL, owner TEXT NOT NULL DEFAULT '', heartbeat REAL NOT NULL DEFAULT 0, progress REAL NOT NULL DEFAULT 0,
  steps INTEGER NOT NULL DEFAULT 0, seconds REAL NOT NULL DEFAULT 0, parameters INTEGER NOT NULL DEFAULT 0,
  latency REAL NOT NULL DEFAULT 0, reason TEXT NOT NULL DEFAULT '');
CREATE TABLE validations (
  trial INTEGER NOT NULL, step INTEGER NOT NULL, best INTEGER NOT NULL, name TEXT NOT NULL, value REAL NOT NULL,
  PRIMARY KEY (trial, step, name));
CREATE TABLE rungs (
  trial INTEGER NOT NULL, rung INTEGER NOT NULL, name TEXT NOT NULL, value REAL NOT NULL, PRIMARY KEY (trial, rung, name));
)";

constexpr const char* states[] = {"waiting", "running", "paused", "done", "failed"};

TrialState state_named(const std::string& name, const std::string& file) {
  for (int i = 0; i < 5; ++i)
    if (name == states[i]) return static_cast<TrialState>(i);
  throw Error("{}: a trial is in the state \"{}\", which no search knows: the trials file is altered", file, name);
}

/// When a process started, in clock ticks since the machine did; empty when there is no such process.
std::string start_of(long process) {
  std::ifstream file(format("/proc/{}/stat", process));
  std::string text;
  if (!std::getline(file, text)) return "";
  std::istringstream fields(text.substr(std::min(text.size(), text.rfind(')') + 1)));  // the name may hold anything
  std::string field;
  for (int i = 3; i <= 22; ++i) fields >> field;
  return field;
}

}  // namespace

std::string name_of(TrialState state) { return states[static_cast<int>(state)]; }

double wall_clock() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::string own_name(int worker) { return format("{}:{}:{}", ::getpid(), start_of(::getpid()), worker); }

bool is_orphan(const Trial& trial) {
  if (trial.state != TrialState::running) return false;
  if (wall_clock() - trial.heartbeat > Trials::lease_seconds) return true;
  const std::size_t first = trial.owner.find(':'), second = trial.owner.find(':', first + 1);
  if (first == std::string::npos || second == std::string::npos) return false;
  const std::string started = start_of(std::strtol(trial.owner.c_str(), nullptr, 10));
  return started != trial.owner.substr(first + 1, second - first - 1);
}

struct Trials::Database {
  std::string name;
  sqlite3* handle = nullptr;

  explicit Database(const std::filesystem::path& file) : name(file.string()) {}
  ~Database() { sqlite3_close_v2(handle); }

  [[noreturn]] void refuse(int code) const {
    const std::string reason = handle ? sqlite3_errmsg(handle) : sqlite3_errstr(code);
    if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB)
      throw Error("{}: the trials file is damaged ({}); put back a copy, or start anew with --replace", name, reason);
    if (code == SQLITE_BUSY || code == SQLITE_LOCKED)
      throw Error("{}: another process holds the trials file ({}); end it, or try again", name, reason);
    throw Error("{}: the trials file cannot be used: {}", name, reason);
  }
  void check(int code) const {
    if (code != SQLITE_OK && code != SQLITE_ROW && code != SQLITE_DONE) refuse(code & 0xff);
  }
  void run(const char* text) const { check(sqlite3_exec(handle, text, nullptr, nullptr, nullptr)); }

  /// One statement with its values; `row` is called with each row of the answer.
  template <class Row, class... Values>
  void query(const char* text, Row&& row, const Values&... values) const {
    sqlite3_stmt* statement = nullptr;
    check(sqlite3_prepare_v2(handle, text, -1, &statement, nullptr));
    const std::unique_ptr<sqlite3_stmt, int (*)(sqlite3_stmt*)> owned(statement, sqlite3_finalize);
    int place = 0;
    (bind(statement, ++place, values), ...);
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) row(statement);
    check(code);
  }
  template <class... Values>
  bool change(const char* text, const Values&... values) const {
    query(
        text, [](sqlite3_stmt*) {}, values...);
    return sqlite3_changes(handle) > 0;
  }
  template <class T>
  void bind(sqlite3_stmt* statement, int place, const T& value) const {
    if constexpr (std::is_floating_point_v<T>)
      check(sqlite3_bind_double(statement, place, value));
    else if constexpr (std::is_integral_v<T>)
      check(sqlite3_bind_int64(statement, place, static_cast<sqlite3_int64>(value)));
    else
      check(sqlite3_bind_text(statement, place, std::string_view(value).data(),
                              static_cast<int>(std::string_view(value).size()), SQLITE_TRANSIENT));
  }
  static std::string text(sqlite3_stmt* row, int column) {
    const unsigned char* found = sqlite3_column_text(row, column);
    return found ? reinterpret_cast<const char*>(found) : "";
  }
  std::int64_t number(const char* pragma) const {
    std::int64_t value = 0;
    query(pragma, [&](sqlite3_stmt* row) { value = sqlite3_column_int64(row, 0); });
    return value;
  }
};

Trials::Trials(const std::filesystem::path& file, const std::string& space)
    : database_(std::make_unique<Database>(file)) {
  if (space.empty() && !std::filesystem::exists(file))
    throw Error("{}: there are no trials; `heed search SPACE.toml` makes some", file.string());
  const int code =
      sqlite3_open_v2(file.c_str(), &database_->handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, nullptr);
  database_->check(code);
  sqlite3_busy_timeout(database_->handle, 30'000);
  database_->run("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;");
  Transaction transaction(*this);
  const std::int64_t tables = database_->number("SELECT count(*) FROM sqlite_master");
  if (tables == 0) {
    if (space.empty()) throw Error("{}: an empty file, not the trials of a search", file.string());
    database_->run(schema);
    database_->run(
        format("PRAGMA application_id = {}; PRAGMA user_version = {};", application, schema_version).c_str());
    set_note("space", space);
    set_note("draws", "0");
    transaction.commit();
    return;
  }
  if (database_->number("PRAGMA application_id") != application)
    throw Error("{}: an SQLite file, but not the trials of a search", file.string());
  if (const std::int64_t version = database_->number("PRAGMA user_version"); version != schema_version)
    throw Error("{}: trials of version {}, this heed knows version {}", file.string(), version, schema_version);
  std::string health;
  database_->query("PRAGMA quick_check(1)", [&](sqlite3_stmt* row) { health = Database::text(row, 0); });
  if (health != "ok")
    throw Error("{}: the trials file is damaged ({}); put back a copy, or start anew with --replace", file.string(),
                health);
  if (!space.empty() && note("space") != space)
    throw Error(
        "{}: has the trials of another space or base recipe; search with the same, or give --replace or another --out",
        file.string());
}

Trials::~Trials() = default;

Trials::Transaction::Transaction(Trials& trials) : trials_(trials) { trials.database_->run("BEGIN IMMEDIATE"); }
Trials::Transaction::~Transaction() {
  if (open_) sqlite3_exec(trials_.database_->handle, "ROLLBACK", nullptr, nullptr, nullptr);
}
void Trials::Transaction::commit() {
  trials_.database_->run("COMMIT");
  open_ = false;
}

std::vector<Trial> Trials::all() {
  std::vector<Trial> trials;
  std::map<std::int64_t, std::size_t> places;
  database_->query(
      "SELECT number, point, state, rung, goal, owner, heartbeat, progress, steps, seconds, parameters, latency, "
      "reason FROM trials ORDER BY number",
      [&](sqlite3_stmt* row) {
        Trial trial;
        trial.number = sqlite3_column_int64(row, 0);
        trial.point = Database::text(row, 1);
        trial.state = state_named(Database::text(row, 2), database_->name);
        trial.rung = sqlite3_column_int(row, 3);
        trial.goal = sqlite3_column_int(row, 4);
        trial.owner = Database::text(row, 5);
        trial.heartbeat = sqlite3_column_double(row, 6);
        trial.progress = sqlite3_column_double(row, 7);
        trial.steps = sqlite3_column_int64(row, 8);
        trial.seconds = sqlite3_column_double(row, 9);
        trial.parameters = sqlite3_column_int64(row, 10);
        trial.latency = sqlite3_column_double(row, 11);
        trial.reason = Database::text(row, 12);
        places[trial.number] = trials.size();
        trials.push_back(std::move(trial));
      });
  database_->query(
      "SELECT rungs.trial, name, value FROM rungs JOIN trials ON trials.number = rungs.trial AND trials.rung = "
      "rungs.rung",
      [&](sqlite3_stmt* row) {
        const auto found = places.find(sqlite3_column_int64(row, 0));
        if (found != places.end())
          trials[found->second].measures[Database::text(row, 1)] = sqlite3_column_double(row, 2);
      });
  return trials;
}

std::string Trials::note(const std::string& key) {
  std::string value;
  database_->query(
      "SELECT value FROM notes WHERE key = ?", [&](sqlite3_stmt* row) { value = Database::text(row, 0); }, key);
  return value;
}
void Trials::set_note(const std::string& key, const std::string& value) {
  database_->change("INSERT OR REPLACE INTO notes VALUES (?, ?)", key, value);
}
std::uint64_t Trials::draws() { return std::strtoull(note("draws").c_str(), nullptr, 10); }
void Trials::set_draws(std::uint64_t draws) { set_note("draws", std::to_string(draws)); }

std::int64_t Trials::add(const std::string& point, int goal, const std::string& owner) {
  database_->change("INSERT INTO trials (point, state, goal, owner, heartbeat) VALUES (?, 'running', ?, ?, ?)", point,
                    goal, owner, wall_clock());
  return sqlite3_last_insert_rowid(database_->handle);
}
void Trials::claim(std::int64_t trial, int goal, const std::string& owner) {
  database_->change("UPDATE trials SET state = 'running', goal = ?, owner = ?, heartbeat = ? WHERE number = ?", goal,
                    owner, wall_clock(), trial);
}
bool Trials::renew(std::int64_t trial, const std::string& owner, double progress, std::int64_t steps, double seconds) {
  return database_->change(
      "UPDATE trials SET heartbeat = ?, progress = max(progress, ?), steps = max(steps, ?), seconds = max(seconds, ?) "
      "WHERE number = ? AND owner = ?",
      wall_clock(), progress, steps, seconds, trial, owner);
}
bool Trials::set_size(std::int64_t trial, const std::string& owner, std::int64_t parameters) {
  return database_->change("UPDATE trials SET parameters = ? WHERE number = ? AND owner = ?", parameters, trial, owner);
}
bool Trials::set_latency(std::int64_t trial, const std::string& owner, double milliseconds) {
  return database_->change("UPDATE trials SET latency = ? WHERE number = ? AND owner = ?", milliseconds, trial, owner);
}
bool Trials::add_validation(std::int64_t trial, const std::string& owner, std::int64_t step, const Measures& measures,
                            bool best) {
  Transaction transaction(*this);
  if (!database_->change("UPDATE trials SET heartbeat = ? WHERE number = ? AND owner = ?", wall_clock(), trial, owner))
    return false;
  for (const auto& [name, value] : measures)
    if (!std::isnan(value))
      database_->change("INSERT OR REPLACE INTO validations VALUES (?, ?, ?, ?, ?)", trial, step, best, name, value);
  transaction.commit();
  return true;
}
bool Trials::finish_rung(std::int64_t trial, const std::string& owner, int rung, bool done, const std::string& reason) {
  Transaction transaction(*this);
  if (!database_->change("UPDATE trials SET state = ?, rung = ?, owner = '', reason = ? WHERE number = ? AND owner = ?",
                         name_of(done ? TrialState::done : TrialState::paused), rung, reason, trial, owner))
    return false;
  database_->change(
      "INSERT OR REPLACE INTO rungs SELECT trial, ?, name, value FROM validations WHERE trial = ? AND step = "
      "(SELECT max(step) FROM validations WHERE trial = ? AND best)",
      rung, trial, trial);
  transaction.commit();
  return true;
}
bool Trials::fail(std::int64_t trial, const std::string& owner, const std::string& reason) {
  return database_->change("UPDATE trials SET state = 'failed', owner = '', reason = ? WHERE number = ? AND owner = ?",
                           reason, trial, owner);
}
bool Trials::release(std::int64_t trial, const std::string& owner) {
  return database_->change("UPDATE trials SET state = 'waiting', owner = '' WHERE number = ? AND owner = ?", trial,
                           owner);
}

}  // namespace heed
