#include "train/wandb_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <limits>

#include "base/files.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"

namespace treepo {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// Stands in for the package: writes what it is told, a line each, to wandb.log in the run's folder.
constexpr std::string_view kPackage = R"(
import json, os
class Run:
    id = "id7"
    def __init__(self, path): self.path = path
    def say(self, *words):
        with open(self.path, "a") as file: file.write(json.dumps(words) + "\n")
    def log(self, numbers, step):
        if numbers.get("loss") == 13: raise RuntimeError("no such luck")
        self.say("log", step, numbers)
    def finish(self): self.say("finish")
def init(project, name, id, resume, dir, config):
    if project == "locked": raise PermissionError("not yours")
    run = Run(os.path.join(dir, "wandb.log"))
    run.say("init", project, name, id, resume, config["rollout.width"])
    return run
)";

class WandbLogTest : public testing::Test {
 protected:
  WandbLogTest() {
    file_system().make_directories(directory_ / "run");
    file_system().make_directories(directory_ / "packages");
    setenv("PYTHONPATH", (directory_ / "packages").c_str(), 1);
    options_.train.run_dir = directory_ / "run";
    options_.train.wandb_project = "project";
    options_.rollout.width = 9;
  }
  ~WandbLogTest() override { unsetenv("PYTHONPATH"); }

  void install(std::string_view package) const {
    write_file_atomically(directory_ / "packages/wandb.py", package);
  }
  std::vector<std::string> told() const {
    std::vector<std::string> lines;
    const std::string text = read_file(directory_ / "run/wandb.log");
    for (size_t begin = 0, end; (end = text.find('\n', begin)) != std::string::npos;
         begin = end + 1)
      lines.push_back(text.substr(begin, end - begin));
    return lines;
  }

  TemporaryDirectory directory_;
  RunOptions options_;
};

Metrics loss(double value) {
  Metrics metrics;
  metrics.set("loss", value);
  return metrics;
}

TEST_F(WandbLogTest, SendsConfigurationAndFiniteNumbersInOrder) {
  install(kPackage);
  {
    WandbLog log(options_);
    Metrics metrics = loss(0.5);
    metrics.set("kl", std::numeric_limits<double>::quiet_NaN());
    log.write(1, metrics);
    log.write(2, loss(0.25));
  }
  EXPECT_THAT(told(), ElementsAre(R"(["init", "project", "run", null, "allow", "9"])",
                                  R"(["log", 1, {"loss": 0.5}])", R"(["log", 2, {"loss": 0.25}])",
                                  R"(["finish"])"));
}

TEST_F(WandbLogTest, ARunThatResumesGivesItsId) {
  install(kPackage);
  { WandbLog log(options_); }
  { WandbLog log(options_); }
  EXPECT_THAT(told()[2], HasSubstr("\"id7\""));
}

TEST_F(WandbLogTest, AFailureWhileTrainingEndsTheLogOnly) {
  install(kPackage);
  {
    WandbLog log(options_);
    log.write(1, loss(13));
    log.write(2, loss(1));
    log.write(3, loss(2));
  }
  EXPECT_THAT(told(), ElementsAre(HasSubstr("init")));
}

TEST_F(WandbLogTest, ARefusalAtTheStartIsAnError) {
  install(kPackage);
  options_.train.wandb_project = "locked";
  EXPECT_THAT(error_of([&] { WandbLog log(options_); }),
              testing::AllOf(HasSubstr("locked"), HasSubstr("not yours")));
}

TEST_F(WandbLogTest, APackageThatFailsToImportIsAnErrorBeforeTraining) {
  install("raise ModuleNotFoundError(\"No module named 'wandb'\", name='wandb')");
  EXPECT_THAT(error_of([&] { WandbLog log(options_); }), HasSubstr("pip install"));
}

}  // namespace
}  // namespace treepo
