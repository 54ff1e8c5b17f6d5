#include "base/python_workers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <set>
#include <thread>

#include "base/files.h"
#include "base/timer.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"

namespace treepo {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using Status = PythonReply::Status;

constexpr std::string_view kFunctions = R"(
import os, subprocess, sys, time
def twice(x): return 2 * x
def echo(x): return x
def pid(x): return os.getpid()
def hang(x):
    if x == "hang": time.sleep(1000)
    return x
def hang_in_c(x): return 10 ** 10 ** 10 if x else 0   # holds the interpreter's lock
def leave(x):
    if x == "exit": sys.exit(3)
    if x == "_exit": os._exit(4)
    if x == "crash": os.kill(os.getpid(), 11)
    return x
def close_requests(x):
    for fd in os.listdir("/proc/self/fd"):
        try: pipe = os.readlink("/proc/self/fd/" + fd).startswith("pipe:")
        except OSError: continue
        if pipe and int(fd) > 2 and os.get_blocking(int(fd)) and not can_write(int(fd)): os.close(int(fd))
    return x
def can_write(fd):
    import fcntl
    return fcntl.fcntl(fd, fcntl.F_GETFL) & 3 != 0
def shout(x):
    print("on stdout " * 5000)
    print("on stderr", file=sys.stderr)
    os.write(1, b"{\"value\": \"forged\"}\n")
    if x == "die": os._exit(1)
    return x
def child(x):
    process = subprocess.Popen(["sleep", "1000"])
    with open(x, "w") as file: file.write(str(process.pid))
    time.sleep(1000)
def result(x):
    values = {"object": object(), "nan": float("nan"), "set": {1}, "surrogate": "\ud800", "huge": "y" * (1 << 20)}
    return values[x]
def fail(x): raise ValueError("no number in it")
def missing(x): import a_package_that_nobody_has
def memory(x): return len(bytearray(1 << 33))
)";

// Workers over the functions above.
class PythonWorkersTest : public testing::Test {
 protected:
  PythonWorkersTest() { std::ofstream(file_) << kFunctions; }

  std::string handler(const std::string& function) const {
    return "function:" + file_ + ":" + function;
  }
  // Arguments are a list; most functions take one.
  PythonReply call(PythonWorkers& workers, const std::string& function, const Json& argument) {
    return workers.submit(handler(function), Json::array({argument})).get();
  }

  TemporaryDirectory directory_;
  const std::string file_ = directory_ / "functions.py";
};

// Waits up to 5 s: the kernel ends processes a little later than kill() returns.
bool is_gone(pid_t pid) {
  for (int i = 0; i < 500; ++i) {
    std::ifstream status("/proc/" + std::to_string(pid) + "/stat");
    std::string line;
    if (!std::getline(status, line) || line.find(") Z ") != std::string::npos) return true;
    ::usleep(10000);
  }
  return false;
}

bool has_no_children() {
  return ::waitpid(-1, nullptr, WNOHANG) < 0 && errno == ECHILD;
}

TEST_F(PythonWorkersTest, RepliesComeInTheOrderOfRequests) {
  PythonWorkers workers({.workers = 3});
  std::vector<Json> requests;
  for (int i = 0; i < 200; ++i) requests.push_back(Json::array({i}));
  const auto replies = workers.call(handler("twice"), requests);
  ASSERT_EQ(replies.size(), 200u);
  for (int i = 0; i < 200; ++i) {
    ASSERT_EQ(replies[i].status, Status::ok) << replies[i].message;
    EXPECT_EQ(replies[i].value, 2 * i);
  }
}

TEST_F(PythonWorkersTest, ProcessesAreStartedOnceAndAreGoneAtTheEnd) {
  std::set<pid_t> pids;
  {
    PythonWorkers workers({.workers = 2});
    for (int i = 0; i < 20; ++i) pids.insert(call(workers, "pid", i).value.get<pid_t>());
    EXPECT_LE(pids.size(), 2u);
  }
  for (const pid_t pid : pids) EXPECT_TRUE(is_gone(pid)) << pid;
  EXPECT_TRUE(has_no_children());  // no zombies
}

TEST_F(PythonWorkersTest, ValuesPassUnchanged) {
  PythonWorkers workers({.workers = 1});
  const Json value = {{"text", "\u00e4\n\"\\\t\u0001 \U0001F600"},
                      {"n", {1, -2.5, 1e300}},
                      {"none", nullptr},
                      {"yes", true},
                      {"large", std::string(1 << 20, 'x')}};
  EXPECT_EQ(call(workers, "echo", value).value, value);
  EXPECT_EQ(call(workers, "result", "huge").value, std::string(1 << 20, 'y'));
}

TEST_F(PythonWorkersTest, AHangingItemIsKilledAndTheOthersAreAnswered) {
  PythonWorkers workers({.workers = 2, .timeout_s = 1});
  std::vector<Json> requests = {{"a"}, {"hang"}, {"b"}, {"c"}, {"d"}};
  const auto replies = workers.call(handler("hang"), requests);
  for (const size_t i : {0, 2, 3, 4}) EXPECT_EQ(replies[i].value, requests[i][0]) << i;
  EXPECT_EQ(replies[1].status, Status::timed_out);
  EXPECT_THAT(replies[1].message, HasSubstr("took longer than 1 s"));
}

TEST_F(PythonWorkersTest, AWorkerThatHoldsItsInterpreterIsKilledToo) {
  PythonWorkers workers({.workers = 1, .timeout_s = 1});
  EXPECT_EQ(call(workers, "hang_in_c", true).status, Status::timed_out);
  EXPECT_EQ(call(workers, "hang_in_c", false).value, 0);
}

TEST_F(PythonWorkersTest, ProcessesOfATimedOutWorkerDieWithIt) {
  PythonWorkers workers({.workers = 1, .timeout_s = 1});
  EXPECT_EQ(call(workers, "child", directory_ / "pid").status, Status::timed_out);
  EXPECT_TRUE(is_gone(std::stoi(read_file(directory_ / "pid"))));
}

TEST_F(PythonWorkersTest, DeathsAreReportedAndReplaced) {
  PythonWorkers workers({.workers = 1});
  const PythonReply left = call(workers, "leave", "_exit");
  EXPECT_EQ(left.status, Status::died);
  EXPECT_THAT(left.message, HasSubstr("ended with status 4"));
  const PythonReply crashed = call(workers, "leave", "crash");
  EXPECT_EQ(crashed.status, Status::died);
  EXPECT_THAT(crashed.message, HasSubstr("killed by signal 11"));
  const PythonReply raised = call(workers, "leave", "exit");
  EXPECT_EQ(raised.status, Status::error);  // sys.exit raises
  EXPECT_THAT(raised.message, HasSubstr("SystemExit: 3"));
  EXPECT_EQ(call(workers, "leave", "stay").value, "stay");
}

TEST_F(PythonWorkersTest, AKillFromOutsideCostsOneItem) {
  PythonWorkers workers({.workers = 1});
  const pid_t first = call(workers, "pid", 0).value.get<pid_t>();
  std::future<PythonReply> killed = workers.submit(handler("hang"), Json::array({"hang"}));
  ::usleep(200000);
  ::kill(first, SIGKILL);
  const PythonReply reply = killed.get();
  EXPECT_EQ(reply.status, Status::died);
  EXPECT_THAT(reply.message, HasSubstr("killed by signal 9"));
  EXPECT_NE(call(workers, "pid", 0).value.get<pid_t>(), first);
}

TEST_F(PythonWorkersTest, AKillBetweenItemsCostsNone) {
  PythonWorkers workers({.workers = 1});
  const pid_t first = call(workers, "pid", 0).value.get<pid_t>();
  ::kill(first, SIGKILL);
  ASSERT_TRUE(is_gone(first));
  EXPECT_EQ(call(workers, "twice", 2).value, 4);
}

TEST_F(PythonWorkersTest, AClosedPipeIsADeath) {
  PythonWorkers workers({.workers = 1});
  ASSERT_EQ(call(workers, "close_requests", 0).value, 0);
  // 1 MB: more than a pipe holds, so that the write meets the closed end (no SIGPIPE) unless the
  // pool has seen before that the worker is gone, and replaced it.
  EXPECT_THAT(call(workers, "echo", std::string(1 << 20, 'x')).status,
              testing::AnyOf(Status::died, Status::ok));
  EXPECT_EQ(call(workers, "twice", 2).value, 4);
}

TEST_F(PythonWorkersTest, PrintingDoesNotReachTheProtocol) {
  PythonWorkers workers({.workers = 1});
  EXPECT_EQ(call(workers, "shout", "x").value, "x");
  const PythonReply died = call(workers, "shout", "die");
  EXPECT_EQ(died.status, Status::died);
  EXPECT_THAT(died.message, AllOf(HasSubstr("it printed"), HasSubstr("on stderr")));
}

TEST_F(PythonWorkersTest, ResultsThatAreNoJsonAreErrors) {
  PythonWorkers workers({.workers = 1});
  for (const std::string what : {"object", "nan", "set"}) {
    const PythonReply reply = call(workers, "result", what);
    EXPECT_EQ(reply.status, Status::error) << what;
    EXPECT_THAT(reply.message, HasSubstr("can't be written as JSON"));
  }
  EXPECT_EQ(call(workers, "result", "surrogate").value, "?");
}

TEST_F(PythonWorkersTest, ErrorsNameThePlace) {
  PythonWorkers workers({.workers = 1});
  const PythonReply reply = call(workers, "fail", 0);
  EXPECT_EQ(reply.status, Status::error);
  EXPECT_THAT(reply.message, AllOf(HasSubstr("ValueError: no number in it"),
                                   HasSubstr(file_ + ", line"), HasSubstr("in fail")));
}

TEST_F(PythonWorkersTest, RequireNamesWhatIsMissing) {
  PythonWorkers workers({.workers = 1});
  EXPECT_NO_THROW(workers.require(handler("twice")));
  EXPECT_THAT(error_of([&] { workers.require(handler("nothing")); }),
              HasSubstr("functions.py has no function nothing"));
  EXPECT_THAT(error_of([&] { workers.require("function:nowhere.py:f"); }),
              AllOf(HasSubstr("there is no file"), HasSubstr("nowhere.py")));
  std::ofstream(directory_ / "broken.py") << "def f(:\n";
  EXPECT_THAT(error_of([&] { workers.require("function:" + directory_ / "broken.py" + ":f"); }),
              HasSubstr("SyntaxError"));
}

TEST_F(PythonWorkersTest, MemoryIsLimited) {
  PythonWorkers workers({.workers = 1, .memory_mib = 2048});
  const PythonReply reply = call(workers, "memory", 0);
  EXPECT_EQ(reply.status, Status::error);
  EXPECT_THAT(reply.message, HasSubstr("MemoryError"));
}

TEST_F(PythonWorkersTest, WithoutPythonStartingIsAnError) {
  EXPECT_THAT(error_of([] { PythonWorkers workers({.python = "/nowhere/python3"}); }),
              AllOf(HasSubstr("/nowhere/python3: No such file"), HasSubstr("TREEPO_PYTHON")));
  EXPECT_THAT(error_of([] { PythonWorkers workers({.python = "false"}); }),
              HasSubstr("false ended with status 1"));
  EXPECT_TRUE(has_no_children());
}

TEST_F(PythonWorkersTest, StoppingDoesNotWaitForItems) {
  std::optional<PythonWorkers> workers(PythonWorkerSettings{.workers = 1, .timeout_s = 1000});
  std::future<PythonReply> running = workers->submit(handler("hang"), Json::array({"hang"}));
  std::future<PythonReply> waiting = workers->submit(handler("hang"), Json::array({"b"}));
  ::usleep(200000);
  workers.reset();  // would wait 1000 s
  EXPECT_EQ(running.get().status, Status::died);
  EXPECT_EQ(waiting.get().status, Status::died);
  EXPECT_TRUE(has_no_children());
}

TEST_F(PythonWorkersTest, WorkersDieWithTheirParent) {
  const std::string pid_file = directory_ / "worker";
  const pid_t parent = ::fork();
  if (parent == 0) {  // a program that is killed while a worker hangs
    PythonWorkers workers({.workers = 1, .timeout_s = 1000});
    std::ofstream(pid_file + ".new") << call(workers, "pid", 0).value.get<pid_t>();
    std::filesystem::rename(pid_file + ".new", pid_file);
    call(workers, "hang", "hang");
    ::_exit(0);
  }
  for (int i = 0; i < 3000 && !std::filesystem::exists(pid_file); ++i) ::usleep(10000);
  ::kill(parent, SIGKILL);
  ::waitpid(parent, nullptr, 0);
  EXPECT_TRUE(is_gone(std::stoi(read_file(pid_file))));
}

TEST_F(PythonWorkersTest, ManyThreadsShareOnePool) {
  PythonWorkers workers({.workers = 2});
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i)
        EXPECT_EQ(call(workers, "twice", t * 100 + i).value, 2 * (t * 100 + i));
    });
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace treepo
