#include "experiments/trials.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "formats/test_files.h"

namespace heed::test {

namespace {

TEST(Trials, KeepWhatWasMeasured) {
  TestFolder folder;
  {
    Trials trials(folder / "trials.sqlite", "a space");
    const std::string me = own_name(0);
    EXPECT_EQ(trials.add("{\"model.layers\": 1}", 1, me), 1);
    EXPECT_EQ(trials.add("{\"model.layers\": 2}", 1, me), 2);
    EXPECT_TRUE(trials.set_size(1, me, 1234));
    EXPECT_TRUE(trials.add_validation(1, me, 10, {{"loss", 0.5}, {"accuracy", 0.8}}, true));
    EXPECT_TRUE(trials.add_validation(1, me, 20, {{"loss", 0.6}, {"accuracy", 0.7}}, false));
    EXPECT_TRUE(trials.finish_rung(1, me, 1, false, "paused"));
    EXPECT_TRUE(trials.fail(2, me, "the loss is not finite"));
    trials.set_draws(17);
  }
  Trials trials(folder / "trials.sqlite", "a space");
  const std::vector<Trial> all = trials.all();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].state, TrialState::paused);
  EXPECT_EQ(all[0].parameters, 1234);
  EXPECT_EQ(all[0].measures.at("accuracy"), 0.8) << "of the best checkpoint";
  EXPECT_EQ(all[1].state, TrialState::failed);
  EXPECT_EQ(all[1].reason, "the loss is not finite");
  EXPECT_EQ(trials.draws(), 17u);
  expect_error("the trials of another space", [&] { Trials other(folder / "trials.sqlite", "another"); });
}

TEST(Trials, BelongToTheirOwnerUntilItIsGone) {
  TestFolder folder;
  Trials trials(folder / "trials.sqlite", "a space");
  const std::string me = own_name(0), other = own_name(1);
  trials.add("{}", 1, me);
  EXPECT_FALSE(is_orphan(trials.all()[0]));
  EXPECT_FALSE(trials.renew(1, other, 0.5, 3, 1.0));
  EXPECT_TRUE(trials.renew(1, me, 0.5, 3, 1.0));
  const pid_t child = ::fork();
  if (child == 0) {
    {
      Trials own(folder / "trials.sqlite", "a space");
      own.claim(1, 1, own_name(0));
    }
    ::kill(::getpid(), SIGKILL);
  }
  ::waitpid(child, nullptr, 0);
  const Trial orphan = trials.all()[0];
  EXPECT_NE(orphan.owner, me);
  EXPECT_TRUE(is_orphan(orphan));
  EXPECT_FALSE(trials.renew(1, me, 0.6, 4, 1.0)) << "the first owner is told that it has lost the trial";
  EXPECT_FALSE(trials.finish_rung(1, me, 1, true, "epochs"));
  trials.claim(1, 1, me);
  EXPECT_TRUE(trials.finish_rung(1, me, 1, true, "epochs"));
}

TEST(Trials, ThatAreSilentForTooLongAreFree) {
  Trial trial;
  trial.state = TrialState::running;
  trial.owner = own_name(0);
  trial.heartbeat = wall_clock();
  EXPECT_FALSE(is_orphan(trial));
  trial.heartbeat -= Trials::lease_seconds + 1.0;
  EXPECT_TRUE(is_orphan(trial));
}

TEST(Trials, ATransactionThatIsNotCommittedIsUndone) {
  TestFolder folder;
  Trials trials(folder / "trials.sqlite", "a space");
  {
    const Trials::Transaction transaction(trials);
    trials.add("{}", 1, "me");
  }
  EXPECT_TRUE(trials.all().empty());
}

TEST(Trials, RefuseADamagedFile) {
  TestFolder folder;
  const auto file = folder / "trials.sqlite";
  expect_error("there are no trials", [&] { Trials trials(file, ""); });
  put(file, std::string(5000, 'x'));
  expect_error("the trials file is damaged", [&] { Trials trials(file, "a space"); });
  std::filesystem::remove(file);
  {
    Trials trials(file, "a space");
    for (int i = 0; i < 300; ++i) trials.add("{\"model.layers\": " + std::to_string(i) + "}", 1, "me");
  }
  std::string bytes = contents(file);
  ASSERT_GT(bytes.size(), 3 * 4096u);
  for (std::size_t page = 4096; page < bytes.size(); page += 4096) bytes.replace(page, 64, std::string(64, '\xa5'));
  put(file, bytes);
  std::filesystem::remove(file.string() + "-wal");
  std::filesystem::remove(file.string() + "-shm");
  expect_error("the trials file is damaged", [&] { Trials(file, "a space").all(); });
  put(file, bytes.substr(0, 6000));
  expect_error("the trials file is damaged", [&] { Trials(file, "a space").all(); });
}

}  // namespace

}  // namespace heed::test
