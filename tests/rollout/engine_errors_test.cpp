#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "rollout/engine.h"
#include "rollout/fake_model.h"
#include "support/expect_error.h"

namespace treepo {
namespace {

constexpr int32_t kVocab = 12;

// Words of the message when a run with these settings, changed, is refused.
void expect_refused(const std::vector<int32_t>& prompt,
                    const std::function<void(RolloutSettings&)>& change,
                    const std::vector<std::string>& words) {
  LogitModel model(
      kVocab, [](const auto& path) { return hash_logits(path, kVocab); }, /*positions=*/99);
  model.pages_per_mib = 20;
  RolloutSettings settings;
  settings.growth = {.width = 4, .depth = 10, .segment_tokens = 4};
  settings.engine = {.page_tokens = 4, .cache_mib = 1};
  change(settings);
  std::vector<Query> queries(1);
  queries[0].id = 17;
  queries[0].prompt = prompt;
  const std::string message = error_of([&] { RolloutEngine(model, settings).run(queries); });
  for (const std::string& word : words) {
    EXPECT_NE(message.find(word), std::string::npos) << message << "\nlacks: " << word;
  }
  EXPECT_EQ(model.steps, 0);
}

TEST(RolloutEngine, RefusesWhatCannotWorkBeforeSampling) {
  const auto as_is = [](RolloutSettings&) {};
  expect_refused({}, as_is, {"query 17", "empty prompt"});
  expect_refused({1, kVocab}, as_is, {"query 17", "token 12", "vocabulary of 12"});
  expect_refused({1, -1}, as_is, {"query 17", "token -1"});
  expect_refused(std::vector<int32_t>(60, 1), as_is, {"query 17", "60", "40", "context of 99"});
  expect_refused({1}, [](auto& s) { s.growth.depth = 25; }, {"query 17", "100", "context of 99"});
  expect_refused({1, 2, 3}, [](auto& s) { s.engine.page_tokens = 1; },
                 {"engine.cache_mib = 1", "20 pages of 1", "query 17", "up to 43", "at least 3;"});
  expect_refused({1}, [](auto& s) { s.growth.width = 0; }, {"rollout.width is 0"});
  expect_refused({1}, [](auto& s) { s.growth.first_split_max = 1; },
                 {"rollout.first_split_max is 1"});
  expect_refused({1}, [](auto& s) { s.sampling.temperature = -1; }, {"sampling.temperature"});
  expect_refused({1}, [](auto& s) { s.sampling.top_p = 0; }, {"sampling.top_p"});
  expect_refused({1}, [](auto& s) { s.engine.max_rows = 0; },
                 {"engine.max_rows is 0", "between 1"});
  expect_refused({1}, [](auto& s) { s.stop.answer = "bokxed"; },
                 {"stop.answer", "bokxed", "boxed_with_eos"});
}

}  // namespace
}  // namespace treepo
