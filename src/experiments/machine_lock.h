#pragma once
#include <filesystem>

namespace heed {

/// Lets many train and one measure: who measures has the machine alone, whatever process the trainings of the search
/// are in. File locks, which the system takes back from a process that dies. One object a thread.
class MachineLock {
 public:
  /// The lock files are in `folder`. Throws Error when they cannot be made.
  explicit MachineLock(const std::filesystem::path& folder);
  ~MachineLock();
  MachineLock(const MachineLock&) = delete;
  MachineLock& operator=(const MachineLock&) = delete;

  /// Around a training: waits while somebody measures.
  void enter();
  void leave();
  /// Between steps of a training: lets whoever wants to measure do so, and waits for it.
  void yield();

  /// While this lives, trainings wait between two steps and none begins; waits until they do. The thread's own training
  /// must have left.
  class Alone {
   public:
    explicit Alone(MachineLock& lock);
    ~Alone();
    Alone(const Alone&) = delete;
    Alone& operator=(const Alone&) = delete;

   private:
    MachineLock& lock_;
  };

 private:
  int gate_ = -1, machine_ = -1;
};

}  // namespace heed
