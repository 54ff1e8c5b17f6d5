#include "text/tokenizer.h"

#include <algorithm>
#include <utility>

#include "base/files.h"
#include "base/hub_cache.h"  // missing_model_hint
#include "text/added_tokens.h"
#include "text/bpe.h"
#include "text/decoder.h"
#include "text/normalizer.h"
#include "text/post_processor.h"
#include "text/pre_tokenizer.h"
#include "text/utf8.h"

namespace treepo {

struct TokenizerParts {
  TokenizerParts(const Json& file, const std::string& path)
      : normalizer(Normalizer::from_json(file, path)),
        pre_tokenizer(PreTokenizer::from_json(file, path)),
        bpe(Bpe::from_json(file, path)),
        added(AddedTokens::from_json(file, path, bpe.vocabulary(), normalizer)),
        post_processor(PostProcessor::from_json(file, path)),
        decoder(Decoder::from_json(file, path)) {}

  bool has_token(int32_t id) const { return added.find(id) || bpe.vocabulary().has_id(id); }

  bool is_skipped(int32_t id) const {
    const AddedToken* token = added.find(id);
    return token != nullptr && token->is_skipped;
  }

  std::string_view token(int32_t id) const {
    const AddedToken* token = added.find(id);
    return token ? token->text : bpe.vocabulary().token(id);
  }

  // Ids of a stretch without added tokens of the raw text.
  void encode_ordinary(std::string_view text, bool at_beginning, std::vector<int32_t>& ids) const {
    NormalizedText normal{.text = std::string(text), .at_beginning = at_beginning};
    normalizer.apply(normal);
    for (const Section& section : added.split(normal.text, true)) {
      if (section.id != Section::kOrdinary) {
        ids.push_back(section.id);
        continue;
      }
      PieceList list{.text = normal.text.substr(section.begin, section.end - section.begin),
                     .pieces = {}};
      list.pieces.push_back({.begin = 0,
                             .end = list.text.size(),
                             .at_beginning = normal.at_beginning && section.begin == 0});
      pre_tokenizer.apply(list);
      for (const PieceList::Piece& piece : list.pieces) {
        bpe.encode(std::string_view(list.text).substr(piece.begin, piece.end - piece.begin), ids);
      }
    }
  }

  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  Bpe bpe;
  AddedTokens added;
  PostProcessor post_processor;
  Decoder decoder;
};

Tokenizer Tokenizer::load(const std::string& directory_or_file) {
  const bool is_directory = file_system().is_directory(directory_or_file);
  const std::string path =
      is_directory ? join_path(directory_or_file, "tokenizer.json") : directory_or_file;
  if (is_directory && !file_system().exists(path)) {
    throw Error(path + " does not exist",
                "a Hugging Face model directory with a tokenizer.json is "
                "needed; save_pretrained of a fast tokenizer writes one");
  }
  if (!file_system().exists(path))
    throw Error(path + " does not exist", missing_model_hint(directory_or_file));
  return Tokenizer(std::make_shared<const TokenizerParts>(read_json_file(path), path));
}

std::vector<int32_t> Tokenizer::encode(std::string_view text, bool add_special_tokens) const {
  if (const size_t valid = valid_utf8_prefix(text); valid < text.size()) {
    throw Error(fmt::format("the text is not valid UTF-8 at byte {} (0x{:02X})", valid,
                            static_cast<unsigned char>(text[valid])));
  }
  std::vector<int32_t> ids;
  for (const Section& section : parts_->added.split(text, false)) {
    if (section.id != Section::kOrdinary) {
      ids.push_back(section.id);
    } else {
      parts_->encode_ordinary(text.substr(section.begin, section.end - section.begin),
                              section.begin == 0, ids);
    }
  }
  return parts_->post_processor.apply(std::move(ids), add_special_tokens);
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool skip_special_tokens) const {
  StreamingDecoder decoder(*this, skip_special_tokens);
  std::string text;
  for (const int32_t id : ids) text += decoder.push(id);
  return text + decoder.finish();
}

int32_t Tokenizer::vocab_size() const {
  return std::max(parts_->bpe.vocabulary().size(), parts_->added.size());
}

std::optional<int32_t> Tokenizer::token_to_id(std::string_view token) const {
  if (const AddedToken* added = parts_->added.find(token)) return added->id;
  return parts_->bpe.vocabulary().find(token);
}

std::optional<std::string> Tokenizer::id_to_token(int32_t id) const {
  if (!parts_->has_token(id)) return std::nullopt;
  return std::string(parts_->token(id));
}

bool Tokenizer::is_special(int32_t id) const {
  const AddedToken* token = parts_->added.find(id);
  return token != nullptr && token->special;
}

StreamingDecoder::StreamingDecoder(const Tokenizer& tokenizer, bool skip_special_tokens)
    : parts_(tokenizer.parts_),
      skip_special_tokens_(skip_special_tokens),
      chain_(std::make_unique<DecoderChain>(parts_->decoder.start())) {}

StreamingDecoder::~StreamingDecoder() = default;
StreamingDecoder::StreamingDecoder(StreamingDecoder&&) noexcept = default;
StreamingDecoder& StreamingDecoder::operator=(StreamingDecoder&&) noexcept = default;

std::string StreamingDecoder::push(int32_t id) {
  if (!parts_->has_token(id) || (skip_special_tokens_ && parts_->is_skipped(id))) return "";
  chain_->push(parts_->token(id));
  return chain_->take();
}

std::string StreamingDecoder::finish() {
  chain_->finish();
  std::string rest = chain_->take();
  *chain_ = parts_->decoder.start();
  return rest;
}

}  // namespace treepo
