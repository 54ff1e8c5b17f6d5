#include "rollout/tree_json.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "support/assets.h"
#include "support/expect_error.h"
#include "tree/picture.h"

namespace treepo {
namespace {

SearchTree small_tree() {
  SearchTree tree({5, 6}, 3);
  const auto add = [&tree](int32_t parent, int32_t used, const std::vector<int32_t>& tokens) {
    const int32_t id = tree.add_child(parent, used);
    for (const int32_t token : tokens) tree.append(id, token, -0.5 * token, 0.25);
  };
  add(0, 0, {7, 8, 9});
  add(1, 3, {3});
  add(1, 2, {4, 2});
  add(0, 0, {2});
  tree.stop(3, StopReason::eos);
  tree.stop(2, StopReason::repetition);
  tree.stop(4, StopReason::eos, /*discarded=*/true);
  return tree;
}

TreeNotes small_notes() {
  return {.query_id = "q-1",
          .node_texts = {"ab", "cde", "f", "gh", "i"},
          .leaf_texts = {"cdgh", "cdef"},
          .rewards = {1, std::nan("")},
          .advantages = {0.5, -0.5}};
}

TEST(TreeJson, WritesTheDocumentedForm) {
  EXPECT_EQ(dump_json(tree_to_json(small_tree(), small_notes())),
            R"({"query_id":"q-1","prompt":[5,6],"nodes":[{"id":0,"parent":-1,"tokens":[]},)"
            R"({"id":1,"parent":0,"tokens":[7,8,9],"logprobs":[-3.5,-4.0,-4.5],)"
            R"("entropies":[0.25,0.25,0.25],"text":"cde"},)"
            R"({"id":2,"parent":1,"tokens":[3],"logprobs":[-1.5],"entropies":[0.25],)"
            R"("stop":"repetition","text":"f"},)"
            R"({"id":3,"parent":1,"tokens":[4,2],"parent_used_tokens":2,"logprobs":[-2.0,-1.0],)"
            R"("entropies":[0.25,0.25],"stop":"eos","text":"gh"},)"
            R"({"id":4,"parent":0,"tokens":[2],"logprobs":[-1.0],"entropies":[0.25],"stop":"eos",)"
            R"("discarded":true,"text":"i"}],)"
            R"("leaves":[{"path":[0,1,3],"reward":1.0,"advantage":0.5,"end":"eos","num_tokens":4,)"
            R"("text":"cdgh"},{"path":[0,1,2],"advantage":-0.5,"end":"repetition","num_tokens":4,)"
            R"("text":"cdef"}]})");
}

TEST(TreeJson, FallbacksTokenTextsAndAdvantagesOfSegments) {
  SearchTree tree({5}, 2);
  const int32_t first = tree.add_child(0), second = tree.add_child(0, -1, /*fallback=*/true);
  tree.append(first, 1, -1, 0);
  tree.append(second, 2, -1, 0);
  TreeNotes notes;
  notes.token_texts = {{}, {"a"}, {"<b>"}};
  notes.node_advantages = {std::nan(""), 0.25, -0.25};
  const OrderedJson json = tree_to_json(tree, notes);
  EXPECT_FALSE(json["nodes"][1].contains("fallback"));
  EXPECT_EQ(json["nodes"][2]["fallback"], true);
  EXPECT_FALSE(json["nodes"][0].contains("advantage"));
  EXPECT_EQ(json["nodes"][1]["advantage"], 0.25);
  EXPECT_EQ(json["nodes"][2]["token_texts"], OrderedJson({"<b>"}));
  EXPECT_TRUE(tree_from_json(Json::parse(json.dump()), "here").tree.node(2).fallback);
}

TEST(TreeJson, ReadsWhatItWrites) {
  const std::string text = dump_json(tree_to_json(small_tree(), small_notes()));
  const TreeRecord record = tree_from_json(parse_json(text, "test"), "test");
  record.tree.check_invariants();
  EXPECT_EQ(picture(record.tree), picture(small_tree()));
  EXPECT_EQ(record.tree.leaves(), small_tree().leaves());
  EXPECT_EQ(record.notes.query_id, Json("q-1"));
  EXPECT_TRUE(std::isnan(record.notes.rewards[1]));
  EXPECT_EQ(dump_json(tree_to_json(record.tree, record.notes)).size(), text.size());
  const std::string bare = dump_json(tree_to_json(small_tree()));
  EXPECT_EQ(bare.find("text"), std::string::npos);
  EXPECT_EQ(bare.find("reward"), std::string::npos);
  const TreeRecord again = tree_from_json(parse_json(bare, "test"), "test");
  EXPECT_EQ(dump_json(tree_to_json(again.tree, again.notes)), bare);
}

TEST(TreeJson, ReadsTheOraclesCases) {
  const std::filesystem::path folder =
      std::filesystem::path(TREEPO_ASSETS) / "oracles/treepo/policy-gradient";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << no_assets();
  int cases = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string path = (entry.path() / "case.json").string();
    const Json file = read_json_file(path);
    int64_t unique = 0, trajectory = 0;
    for (const Json& json : file.at("trees")) {
      const TreeRecord record = tree_from_json(json, path);
      record.tree.check_invariants();
      unique += record.tree.unique_tokens();
      trajectory += record.tree.trajectory_tokens();
      // Written again it has the same leaves and nodes, names of stop reasons apart.
      const OrderedJson again = tree_to_json(record.tree, record.notes);
      ASSERT_EQ(again.at("leaves").size(), json.at("leaves").size());
      for (size_t i = 0; i < json.at("leaves").size(); ++i) {
        for (const char* key : {"path", "reward", "advantage", "num_tokens"}) {
          EXPECT_EQ(Json(again.at("leaves")[i].at(key)), json.at("leaves")[i].at(key)) << path;
        }
      }
      for (size_t i = 0; i < json.at("nodes").size(); ++i) {
        EXPECT_EQ(Json(again.at("nodes")[i].at("tokens")), json.at("nodes")[i].at("tokens"));
        EXPECT_EQ(again.at("nodes")[i].contains("parent_used_tokens"),
                  json.at("nodes")[i].contains("parent_used_tokens"));
      }
    }
    EXPECT_EQ(unique, file.at("unique_response_tokens").get<int64_t>()) << path;
    EXPECT_EQ(trajectory, file.at("stats").at("tokens").get<int64_t>()) << path;
    ++cases;
  }
  EXPECT_GE(cases, 6);
}

// Changes one place of a good file and names the words that the error must have.
void expect_bad(const std::function<void(Json&)>& change, const std::vector<std::string>& words) {
  Json json = parse_json(dump_json(tree_to_json(small_tree(), small_notes())), "test");
  change(json);
  const std::string message = error_of([&] { tree_from_json(json, "FILE, line 3"); });
  for (const std::string& word : words) {
    EXPECT_NE(message.find(word), std::string::npos) << message << "\nlacks: " << word;
  }
}

TEST(TreeJson, NamesWhatDoesNotFit) {
  const std::string place = "FILE, line 3";
  expect_bad([](Json& j) { j.erase("prompt"); }, {place, "prompt"});
  expect_bad([](Json& j) { j["prompt"] = {1, -2}; }, {place, "\"prompt\" contains -2"});
  expect_bad([](Json& j) { j["nodes"] = Json::array(); }, {place, "\"nodes\" is empty"});
  expect_bad([](Json& j) { j["nodes"][2]["id"] = 7; }, {place, "nodes[2]", "\"id\" is not 2"});
  expect_bad([](Json& j) { j["nodes"][2]["parent"] = 2; }, {"nodes[2]", "\"parent\" is 2"});
  expect_bad([](Json& j) { j["nodes"][2]["tokens"] = "x"; }, {place, "tokens"});
  expect_bad([](Json& j) { j["nodes"][2]["tokens"] = Json::array(); }, {"nodes[2]", "is empty"});
  expect_bad([](Json& j) { j["nodes"][0]["tokens"] = {1}; }, {"nodes[0]", "node 0"});
  expect_bad([](Json& j) { j["nodes"][3]["parent_used_tokens"] = 4; },
             {"nodes[3]", "\"parent_used_tokens\" is 4", "node 1 has 3"});
  expect_bad([](Json& j) { j["nodes"][3]["parent_used_tokens"] = 0; }, {"is 0"});
  expect_bad([](Json& j) { j["nodes"][3]["logprobs"] = {1.0}; },
             {"nodes[3]", "\"logprobs\" has 1 numbers for 2 tokens"});
  expect_bad([](Json& j) { j["leaves"][1]["path"] = {0, 2}; }, {"leaves[1]", "[0, 2]"});
  expect_bad([](Json& j) { j["leaves"][1]["path"] = Json::array(); }, {"leaves[1]"});
  expect_bad([](Json& j) { j["leaves"][1]["path"] = {0}; }, {"leaves[1]"});
  expect_bad([](Json& j) { j["leaves"][1]["path"] = {0, 99}; }, {"leaves[1]"});
  expect_bad([](Json& j) { j["leaves"][1]["num_tokens"] = 5; },
             {"leaves[1]", "\"num_tokens\" is 5, the path has 4"});
  expect_bad([](Json& j) { j["leaves"][1]["end"] = "over"; }, {"leaves[1]", "\"over\""});
  expect_bad([](Json& j) { j["leaves"][1]["end"] = "none"; }, {"leaves[1]", "no reason"});
  expect_bad([](Json& j) { j["leaves"][1] = j["leaves"][0]; }, {"leaves[1]", "ends twice"});
  expect_bad([](Json& j) { j["nodes"][2]["discarded"] = true; }, {"nodes[2]", "discarded"});
  expect_bad([](Json& j) { j = Json::array(); }, {place});
}

}  // namespace
}  // namespace treepo
