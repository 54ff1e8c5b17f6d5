#include "evaluate/answer_groups.h"

#include <algorithm>
#include <map>

#include "base/error.h"

namespace treepo {

namespace {

// The different texts of one problem's answers, in order of appearance, and what each becomes.
struct Texts {
  std::vector<std::string> all;
  std::vector<std::string> groups;             // first text of each group
  std::map<std::string, std::string> becomes;  // text -> its group's
};

std::vector<std::string> different_answers(const Samples& samples) {
  std::vector<std::string> texts;
  for (const Sample& sample : samples)
    if (sample.answer && std::ranges::find(texts, *sample.answer) == texts.end())
      texts.push_back(*sample.answer);
  return texts;
}

// The `round`-th text of each problem that has so many, against the problem's groups.
std::vector<std::pair<std::string, std::string>> pairs_of_round(const std::vector<Texts>& problems,
                                                                size_t round) {
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const Texts& texts : problems) {
    if (round >= texts.all.size()) continue;
    for (const std::string& group : texts.groups) pairs.emplace_back(group, texts.all[round]);
  }
  return pairs;
}

void join_groups(std::vector<Texts>& problems, size_t round, const std::vector<bool>& same) {
  size_t pair = 0;
  for (Texts& texts : problems) {
    if (round >= texts.all.size()) continue;
    const std::string& text = texts.all[round];
    std::string becomes = text;
    const size_t num_groups = texts.groups.size();
    for (size_t group = num_groups; group-- > 0;)
      if (same[pair + group]) becomes = texts.groups[group];
    pair += num_groups;
    if (becomes == text) texts.groups.push_back(text);
    texts.becomes[text] = becomes;
  }
}

}  // namespace

void unify_answers(std::span<Samples> problems, const AnswerEquivalence& equivalent) {
  std::vector<Texts> texts(problems.size());
  size_t rounds = 0;
  for (size_t i = 0; i < problems.size(); ++i) {
    texts[i].all = different_answers(problems[i]);
    rounds = std::max(rounds, texts[i].all.size());
  }
  for (size_t round = 0; round < rounds; ++round) {
    const auto pairs = pairs_of_round(texts, round);
    const std::vector<bool> same = pairs.empty() ? std::vector<bool>{} : equivalent(pairs);
    TREEPO_CHECK(same.size() == pairs.size(), "{} verdicts for {} pairs of answers", same.size(),
                 pairs.size());
    join_groups(texts, round, same);
  }
  for (size_t i = 0; i < problems.size(); ++i)
    for (Sample& sample : problems[i])
      if (sample.answer) sample.answer = texts[i].becomes.at(*sample.answer);
}

}  // namespace treepo
