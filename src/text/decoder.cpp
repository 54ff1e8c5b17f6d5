#include "text/decoder.h"

#include <utility>

#include "text/decoder_stages.h"
#include "text/tokenizer_json.h"

namespace treepo {

namespace {

// Where the chain ends: the text.
class TextStage final : public DecoderStage {
 public:
  explicit TextStage(std::string& text) : text_(text) {}
  void part(std::string_view text) override { text_ += text; }
  void end_token() override {}
  void finish() override {}

 private:
  std::string& text_;
};

size_t read_count(const JsonStep& step, const std::string& key) {
  const int64_t count = get_int(step.object, key, step.where);
  if (count < 0) throw Error(fmt::format("{}: \"{}\" must not be negative", step.where, key));
  return static_cast<size_t>(count);
}

DecoderChain::MakeStage read_stage(const JsonStep& step) {
  const auto& [object, where, type] = step;
  if (type == "ByteLevel") return byte_level_stage();
  if (type == "ByteFallback") return byte_fallback_stage();
  if (type == "Fuse") return fuse_stage();
  if (type == "Replace") {
    return replace_stage(Pattern::from_json(object, where), get_string(object, "content", where));
  }
  if (type == "Strip") {
    return strip_stage(get_string(object, "content", where), read_count(step, "start"),
                       read_count(step, "stop"));
  }
  if (type == "Metaspace") {
    const std::string scheme = get_string_or(object, "prepend_scheme", "always", where);
    return metaspace_stage(get_string(object, "replacement", where), scheme != "never");
  }
  throw_unsupported(where, "type", type,
                    "ByteLevel, Replace, ByteFallback, Fuse, Strip, Metaspace, Sequence");
}

}  // namespace

DecoderChain::DecoderChain(const std::vector<MakeStage>& steps)
    : text_(std::make_unique<std::string>()) {
  stages_.push_back(std::make_unique<TextStage>(*text_));
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    stages_.push_back((*step)(*stages_.back()));
  }
}

void DecoderChain::push(std::string_view token) {
  stages_.back()->part(token);
  stages_.back()->end_token();
}

void DecoderChain::finish() {
  stages_.back()->finish();
}

std::string DecoderChain::take() {
  return std::exchange(*text_, {});
}

Decoder Decoder::from_json(const Json& file, const std::string& path) {
  Decoder decoder;
  if (!has_key(file, "decoder")) {
    decoder.steps_.push_back(join_stage());
    return decoder;
  }
  for (const JsonStep& step : read_steps(file, "decoder", "decoders", path)) {
    decoder.steps_.push_back(read_stage(step));
  }
  return decoder;
}

}  // namespace treepo
