#include "text/added_tokens.h"

#include <algorithm>

#include "text/unicode.h"
#include "text/utf8.h"

namespace treepo {

namespace {

AddedToken read_token(const Json& object, const std::string& where) {
  const int64_t id = get_int(object, "id", where);
  if (id < 0 || id > INT32_MAX) throw Error(fmt::format("{}: \"id\" cannot be {}", where, id));
  return {.content = get_string(object, "content", where),
          .id = static_cast<int32_t>(id),
          .single_word = get_bool(object, "single_word", where),
          .lstrip = get_bool(object, "lstrip", where),
          .rstrip = get_bool(object, "rstrip", where),
          .normalized = get_bool(object, "normalized", where),
          .special = get_bool(object, "special", where),
          .text = {}};
}

bool is_word_at(std::string_view text, size_t begin) {
  return begin < text.size() && is_word_character(next_code_point(text, begin));
}

bool stands_alone(std::string_view text, size_t begin, size_t end) {
  const bool word_before = begin > 0 && is_word_at(text, previous_character(text, begin));
  return !word_before && !is_word_at(text, end);
}

}  // namespace

void StringFinder::add(std::string_view content, size_t index) {
  if (content.empty()) return;
  starts_[static_cast<unsigned char>(content[0])] = true;
  size_t node = 0;
  for (const char byte : content) {
    const auto [child, is_new] = children_.try_emplace(edge(node, byte), index_of_node_.size());
    if (is_new) index_of_node_.push_back(kNone);
    node = child->second;
  }
  if (index_of_node_[node] == kNone) index_of_node_[node] = index;
}

std::optional<StringFinder::Match> StringFinder::find(std::string_view text, size_t from) const {
  for (size_t begin = from; begin < text.size(); ++begin) {
    if (!starts_[static_cast<unsigned char>(text[begin])]) continue;
    std::optional<Match> longest;
    size_t node = 0;
    for (size_t end = begin; end < text.size();) {
      const auto child = children_.find(edge(node, text[end]));
      if (child == children_.end()) break;
      node = child->second;
      ++end;
      if (index_of_node_[node] != kNone) longest = {begin, end, index_of_node_[node]};
    }
    if (longest) return longest;
  }
  return std::nullopt;
}

AddedTokens AddedTokens::from_json(const Json& file, const std::string& path,
                                   const Vocabulary& vocabulary, const Normalizer& normalizer) {
  AddedTokens added;
  if (!has_key(file, "added_tokens")) return added;
  const Json& list = get_array(file, "added_tokens", path);
  for (size_t i = 0; i < list.size(); ++i) {
    const std::string where = fmt::format("{}: added_tokens[{}]", path, i);
    AddedToken token = read_token(list[i], where);
    NormalizedText text{.text = token.content, .at_beginning = true};
    if (token.normalized) normalizer.apply(text);
    token.text = text.text;
    if (!token.content.empty()) added.add(std::move(token), vocabulary, where);
  }
  added.index_texts();
  return added;
}

void AddedTokens::add(AddedToken token, const Vocabulary& vocabulary, const std::string& where) {
  const std::string name = dump_json(Json(token.content));
  if (const AddedToken* twin = find(token.content)) {
    if (*twin == token) return;
    throw Error(fmt::format("{}: the token {} is there twice, with different values", where, name));
  }
  // The `tokenizers` library numbers added tokens itself, whatever the file says.
  const int32_t next = std::max(static_cast<int32_t>(vocabulary.count()), size());
  const int32_t expected = vocabulary.find(token.content).value_or(next);
  if (token.id != expected) {
    throw Error(fmt::format("{}: the token {} has \"id\" {}, but must have {}", where, name,
                            token.id, expected),
                "an added token has its id in the vocabulary, or the next one after all others");
  }
  index_by_id_.emplace(token.id, tokens_.size());
  index_by_content_.emplace(token.content, tokens_.size());
  tokens_.push_back(std::move(token));
}

// Special tokens come first: of equal texts the first is found.
void AddedTokens::index_texts() {
  for (const bool special : {true, false}) {
    for (size_t i = 0; i < tokens_.size(); ++i) {
      AddedToken& token = tokens_[i];
      if (token.special != special) continue;
      (token.normalized ? normalized_ : raw_).add(token.text, i);
      const AddedToken* named = find(token.text);
      token.is_skipped = named != nullptr && named->special;
    }
  }
}

std::vector<Section> AddedTokens::split(std::string_view text, bool normalized) const {
  const StringFinder& finder = normalized ? normalized_ : raw_;
  std::vector<Section> sections;
  size_t done = 0;
  size_t from = 0;
  while (const auto match = finder.find(text, from)) {
    from = match->end;
    const AddedToken& token = tokens_[match->index];
    if (token.single_word && !stands_alone(text, match->begin, match->end)) continue;
    size_t begin = match->begin;
    if (token.lstrip) begin = std::max(skip_white_space_back(text, begin), done);
    const size_t end = token.rstrip ? skip_white_space(text, match->end) : match->end;
    if (done < begin) sections.push_back({done, begin, Section::kOrdinary});
    // Nothing may be left of a token of white space that the one before it has taken.
    if (begin < end) sections.push_back({begin, end, token.id});
    done = end;
  }
  if (done < text.size()) sections.push_back({done, text.size(), Section::kOrdinary});
  return sections;
}

const AddedToken* AddedTokens::find(int32_t id) const {
  const auto found = index_by_id_.find(id);
  return found == index_by_id_.end() ? nullptr : &tokens_[found->second];
}

const AddedToken* AddedTokens::find(std::string_view content) const {
  const auto found = index_by_content_.find(std::string(content));
  return found == index_by_content_.end() ? nullptr : &tokens_[found->second];
}

int32_t AddedTokens::size() const {
  int32_t size = 0;
  for (const AddedToken& token : tokens_) size = std::max(size, token.id + 1);
  return size;
}

}  // namespace treepo
