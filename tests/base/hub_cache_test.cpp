#include "base/hub_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <optional>

#include "base/files.h"
#include "support/temporary_directory.h"

namespace treepo {
namespace {

using testing::HasSubstr;
using testing::Not;

// An environment variable for a scope.
class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) {
    if (const char* before = std::getenv(name)) before_ = before;
    setenv(name, value.c_str(), 1);
  }
  ~Variable() {
    if (before_)
      setenv(name_, before_->c_str(), 1);
    else
      unsetenv(name_);
  }

 private:
  const char* name_;
  std::optional<std::string> before_;
};

// A cache as huggingface_hub lays it out: two commits of one model, one of them a tag.
class HubCache : public testing::Test {
 protected:
  HubCache() : cache_(directory_ / "hub"), variable_("HF_HUB_CACHE", cache_) {
    repository_ = cache_ + "/models--Org--Small-1.5B";
    for (const char* commit : {"aaa", "bbb"}) file_system().make_directories(snapshot(commit));
    file_system().make_directories(repository_ + "/refs");
    write_file_atomically(repository_ + "/refs/main", "bbb");
    write_file_atomically(repository_ + "/refs/v1", "aaa\n");
  }

  std::string snapshot(const std::string& commit) const {
    return repository_ + "/snapshots/" + commit;
  }

  TemporaryDirectory directory_;
  std::string cache_, repository_;
  Variable variable_;
};

TEST_F(HubCache, NamesLeadToTheSnapshotOfTheirRevision) {
  EXPECT_EQ(find_model("Org/Small-1.5B"), snapshot("bbb"));
  EXPECT_EQ(find_model("Org/Small-1.5B@main"), snapshot("bbb"));
  EXPECT_EQ(find_model("Org/Small-1.5B@v1"), snapshot("aaa"));
  EXPECT_EQ(find_model("Org/Small-1.5B@aaa"), snapshot("aaa"));
}

TEST_F(HubCache, ARepositorysFolderLeadsToItsSnapshot) {
  EXPECT_EQ(find_model(repository_), snapshot("bbb"));
  EXPECT_EQ(find_model(repository_ + "/"), snapshot("bbb"));
  EXPECT_EQ(find_model(snapshot("aaa")), snapshot("aaa"));
}

TEST_F(HubCache, WhatLeadsToNothingStaysAsItIs) {
  for (const char* name : {"Org/Other", "Org/Small-1.5B@v2", "Small-1.5B", "../Org/Small-1.5B",
                           "a/b/c", "Org/Small 1.5B", "", "/", "@", "Org/@v1"})
    EXPECT_EQ(find_model(name), name);
}

TEST_F(HubCache, ADirectoryOfThatNameComesFirst) {
  const std::string there = directory_ / "runs";
  file_system().make_directories(there);
  EXPECT_EQ(find_model(there), there);
}

TEST_F(HubCache, ASnapshotTellsItsName) {
  EXPECT_EQ(hub_name(snapshot("aaa")), "Org/Small-1.5B");
  EXPECT_EQ(hub_name("/c/models--gpt2/snapshots/x"), "gpt2");
  for (const char* other : {"", "models/mine", "/c/models--Org--Small", "/snapshots/models--a"})
    EXPECT_EQ(hub_name(other), "");
}

TEST_F(HubCache, TheHintNamesTheCacheAndHowToFillIt) {
  EXPECT_THAT(missing_model_hint("Org/Other@v3"),
              testing::AllOf(HasSubstr(cache_), HasSubstr("hf download Org/Other --revision v3")));
  EXPECT_THAT(missing_model_hint("Org/Other"), Not(HasSubstr("--revision")));
  EXPECT_THAT(missing_model_hint("/no/such/place"), Not(HasSubstr("hf download")));
}

TEST(HubCachePlace, FollowsTheVariablesOfHuggingFace) {
  const Variable home("HOME", "/home/a"), xdg("XDG_CACHE_HOME", ""), hf("HF_HOME", ""),
      cache("HF_HUB_CACHE", "");
  EXPECT_EQ(hub_cache(), "/home/a/.cache/huggingface/hub");
  const Variable xdg_set("XDG_CACHE_HOME", "/x");
  EXPECT_EQ(hub_cache(), "/x/huggingface/hub");
  const Variable hf_set("HF_HOME", "/hf");
  EXPECT_EQ(hub_cache(), "/hf/hub");
  const Variable cache_set("HF_HUB_CACHE", "/c");
  EXPECT_EQ(hub_cache(), "/c");
  const Variable no_home("HOME", ""), none("XDG_CACHE_HOME", ""), no_hf("HF_HOME", ""),
      no_cache("HF_HUB_CACHE", "");
  EXPECT_EQ(hub_cache(), "");
  EXPECT_EQ(find_model("Org/Other"), "Org/Other");
}

}  // namespace
}  // namespace treepo
