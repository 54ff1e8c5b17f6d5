#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace treepo {

// One step from tokens to text, fed as a stream: a token comes as parts that are whole characters,
// then end_token(); the text ends with finish(). A stage hands on what can no longer change, so the
// same stages decode whole texts and streams, and both give the same.
class DecoderStage {
 public:
  virtual ~DecoderStage() = default;
  virtual void part(std::string_view text) = 0;
  virtual void end_token() = 0;
  virtual void finish() = 0;
};

// The stages of one decoding and the text they have given so far.
class DecoderChain {
 public:
  using MakeStage = std::function<std::unique_ptr<DecoderStage>(DecoderStage& next)>;
  explicit DecoderChain(const std::vector<MakeStage>& steps);

  void push(std::string_view token);
  void finish();
  std::string take();  // the text since the last call

 private:
  std::unique_ptr<std::string> text_;                  // where the last stage writes: never moves
  std::vector<std::unique_ptr<DecoderStage>> stages_;  // from the last to the first
};

// The "decoder" of tokenizer.json: ByteLevel, Replace, ByteFallback, Fuse, Strip, Metaspace and
// sequences of them; null puts spaces between the tokens.
class Decoder {
 public:
  static Decoder from_json(const Json& file, const std::string& path);

  DecoderChain start() const { return DecoderChain(steps_); }

 private:
  std::vector<DecoderChain::MakeStage> steps_;
};

}  // namespace treepo
