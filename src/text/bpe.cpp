#include "text/bpe.h"

#include "text/tokenizer_json.h"
#include "text/utf8.h"

namespace treepo {

namespace {

constexpr size_t kLongPiece = 48;  // characters; from here on the heap is faster

std::pair<std::string, std::string> read_pair(const Json& merge, const std::string& where,
                                              size_t index) {
  if (merge.is_string()) {
    const auto& text = merge.get_ref<const std::string&>();
    const size_t space = text.find(' ');
    if (space != std::string::npos && text.find(' ', space + 1) == std::string::npos) {
      return {text.substr(0, space), text.substr(space + 1)};
    }
  } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() &&
             merge[1].is_string()) {
    return {merge[0], merge[1]};
  }
  throw Error(fmt::format("{}.merges[{}] must be \"a b\" or [\"a\", \"b\"], but is {}", where,
                          index, dump_json(merge)));
}

int32_t merged_id(const Vocabulary& vocabulary, const std::string& token, const std::string& where,
                  size_t index) {
  if (const auto id = vocabulary.find(token)) return *id;
  throw Error(fmt::format("{}.merges[{}] needs the token {}, which the vocabulary lacks", where,
                          index, dump_json(Json(token))));
}

MergeTable read_merges(const Json& list, const Vocabulary& vocabulary, const std::string& where) {
  MergeTable merges(list.size());
  for (size_t i = 0; i < list.size(); ++i) {
    if (list[i].is_string() && list[i].get_ref<const std::string&>().starts_with("#version")) {
      continue;
    }
    const auto [left, right] = read_pair(list[i], where, i);
    merges.insert({.left = merged_id(vocabulary, left, where, i),
                   .right = merged_id(vocabulary, right, where, i),
                   .rank = static_cast<uint32_t>(i),
                   .joined = merged_id(vocabulary, left + right, where, i)});
  }
  return merges;
}

// Options of the model that treepo does not have must be unset.
void check_unset(const Json& model, const std::string& where) {
  for (const std::string key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    const std::string value = get_string_or(model, key, "", where);
    if (!value.empty()) throw_unsupported(where, key, value, "null");
  }
  const double dropout = get_double_or(model, "dropout", 0, where);
  if (dropout != 0) throw_unsupported(where, "dropout", fmt::format("{}", dropout), "null, 0");
}

}  // namespace

Bpe Bpe::from_json(const Json& file, const std::string& path) {
  const Json& model = get_object(file, "model", path);
  const std::string where = path + ": model";
  // GPT-2's own file has no type.
  const std::string type = get_string_or(model, "type", "BPE", where);
  if (type != "BPE") throw_unsupported(where, "type", type, "BPE");
  check_unset(model, where);
  auto vocabulary =
      std::make_shared<const Vocabulary>(get_object(model, "vocab", where), where + ".vocab");
  Bpe bpe(vocabulary, read_merges(get_array(model, "merges", where), *vocabulary, where));
  if (has_key(model, "unk_token")) bpe.unknown_ = get_string(model, "unk_token", where);
  bpe.fuse_unknown_ = get_bool_or(model, "fuse_unk", false, where);
  bpe.byte_fallback_ = get_bool_or(model, "byte_fallback", false, where);
  bpe.ignore_merges_ = get_bool_or(model, "ignore_merges", false, where);
  return bpe;
}

Bpe::Bpe(std::shared_ptr<const Vocabulary> vocabulary, MergeTable merges)
    : vocabulary_(std::move(vocabulary)), merges_(std::move(merges)), basic_ids_(0x10000, -1) {
  for (int32_t id = 0; id < vocabulary_->size(); ++id) {
    const std::string_view token = vocabulary_->token(id);
    if (token.empty() || scan_utf8(token).length != token.size()) continue;
    size_t offset = 0;
    const char32_t c = next_code_point(token, offset);
    if (c < basic_ids_.size()) basic_ids_[c] = id;
  }
  for (size_t byte = 0; byte < byte_ids_.size(); ++byte) {
    byte_ids_[byte] = vocabulary_->find(fmt::format("<0x{:02X}>", byte)).value_or(-1);
  }
}

int32_t Bpe::character_id(char32_t c, std::string_view character) const {
  if (c < basic_ids_.size()) return basic_ids_[c];
  return vocabulary_->find(character).value_or(-1);
}

bool Bpe::append_bytes(std::string_view character, std::vector<int32_t>& ids) const {
  const size_t old_size = ids.size();
  for (const char byte : character) {
    const int32_t id = byte_ids_[static_cast<unsigned char>(byte)];
    if (id < 0) {
      ids.resize(old_size);
      return false;
    }
    ids.push_back(id);
  }
  return true;
}

int32_t Bpe::unknown_id(std::string_view character) const {
  if (const auto id = vocabulary_->find(*unknown_)) return *id;
  throw Error(
      fmt::format("the character \"{}\" needs the unk_token \"{}\", which the tokenizer's "
                  "vocabulary lacks",
                  character, *unknown_));
}

// An unknown character waits for the next known one (or the end), so that neighbours can be fused;
// byte tokens do not end the wait. Both as in the `tokenizers` library.
void Bpe::append_characters(std::string_view piece, std::vector<int32_t>& ids) const {
  int32_t waiting = -1;
  const auto release = [&] {
    if (waiting >= 0) ids.push_back(waiting);
    waiting = -1;
  };
  for (size_t offset = 0; offset < piece.size();) {
    const size_t begin = offset;
    const char32_t c = next_code_point(piece, offset);
    const std::string_view character = piece.substr(begin, offset - begin);
    if (const int32_t id = character_id(c, character); id >= 0) {
      release();
      ids.push_back(id);
    } else if (!(byte_fallback_ && append_bytes(character, ids)) && unknown_) {
      if (!fuse_unknown_) release();
      waiting = unknown_id(character);
    }
  }
  release();
}

void Bpe::encode(std::string_view piece, std::vector<int32_t>& ids) const {
  if (piece.empty()) return;
  if (ignore_merges_) {
    if (const auto id = vocabulary_->find(piece)) return ids.push_back(*id);
  }
  const size_t begin = ids.size();
  append_characters(piece, ids);
  if (ids.size() - begin < kLongPiece) {
    merge_by_scanning(merges_, ids, begin);
  } else {
    merge_by_heap(merges_, ids, begin);
  }
}

}  // namespace treepo
