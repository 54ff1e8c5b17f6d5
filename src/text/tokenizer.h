#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace treepo {

struct TokenizerParts;
class DecoderChain;

// A Hugging Face tokenizer.json of the BPE family: same ids and same text as the `tokenizers`
// library. "truncation" and "padding" are not applied. Cheap to copy; safe for concurrent use.
class Tokenizer {
 public:
  // A model directory with tokenizer.json, or the file. Anything in it that treepo cannot do is an
  // Error that names file, key and value.
  static Tokenizer load(const std::string& directory_or_file);

  // Text must be valid UTF-8, else Error with the offset of the first wrong byte. Added tokens
  // inside the text are recognised ("<|im_end|>" gives one id); with add_special_tokens the file's
  // template is applied, too (a begin token in front, say).
  std::vector<int32_t> encode(std::string_view text, bool add_special_tokens) const;

  // Bytes that are no character become U+FFFD; ids that no token has are left out.
  std::string decode(std::span<const int32_t> ids, bool skip_special_tokens) const;

  int32_t vocab_size() const;  // largest id + 1, added tokens included
  std::optional<int32_t> token_to_id(std::string_view token) const;
  // As the file writes it: "Ġthe" for " the". Nothing for an id that no token has.
  std::optional<std::string> id_to_token(int32_t id) const;
  bool is_special(int32_t id) const;

 private:
  friend class StreamingDecoder;
  explicit Tokenizer(std::shared_ptr<const TokenizerParts> parts) : parts_(std::move(parts)) {}

  std::shared_ptr<const TokenizerParts> parts_;
};

// decode() one token at a time: the returned texts, finish() last, make up exactly what decode()
// gives for all the ids. Nothing is returned that a later token could change: a character that is
// not complete waits, and so does a run of byte-fallback tokens.
class StreamingDecoder {
 public:
  StreamingDecoder(const Tokenizer& tokenizer, bool skip_special_tokens);
  ~StreamingDecoder();
  StreamingDecoder(StreamingDecoder&&) noexcept;
  StreamingDecoder& operator=(StreamingDecoder&&) noexcept;

  std::string push(int32_t id);
  std::string finish();  // what waited; then the decoder is at the start of a new text

 private:
  std::shared_ptr<const TokenizerParts> parts_;
  bool skip_special_tokens_;
  std::unique_ptr<DecoderChain> chain_;
};

}  // namespace treepo
