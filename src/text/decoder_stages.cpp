#include "text/decoder_stages.h"

#include "text/byte_level.h"
#include "text/utf8.h"

namespace treepo {

namespace {

constexpr std::string_view kReplacementCharacter = "\uFFFD";

class Stage : public DecoderStage {
 public:
  explicit Stage(DecoderStage& next) : next_(next) {}
  void end_token() override { next_.end_token(); }
  void finish() override { next_.finish(); }

 protected:
  DecoderStage& next_;
};

// A stage that must see whole tokens.
class TokenStage : public Stage {
 public:
  using Stage::Stage;
  void part(std::string_view text) final { token_ += text; }
  void end_token() final {
    token(token_);
    token_.clear();
  }

 protected:
  virtual void token(std::string_view text) = 0;

 private:
  std::string token_;
};

template <typename Function>
void for_each_character(std::string_view text, const Function& function) {
  for (size_t begin = 0; begin < text.size();) {
    const size_t length = scan_utf8(text.substr(begin)).length;
    function(text.substr(begin, length));
    begin += length;
  }
}

// All tokens become one.
class ByteLevelStage final : public TokenStage {
 public:
  using TokenStage::TokenStage;

  void finish() override {
    hand_on(true);
    next_.end_token();
    next_.finish();
  }

 private:
  // A token with a character outside the alphabet (an added token) is text.
  void token(std::string_view text) override {
    if (const auto bytes = from_byte_level(text)) {
      bytes_ += *bytes;
    } else {
      bytes_ += text;
    }
    hand_on(false);
  }

  void hand_on(bool at_end) {
    std::string text;
    bytes_.erase(0, append_lossy_utf8(bytes_, at_end, text));
    if (!text.empty()) next_.part(text);
  }

  std::string bytes_;  // the start of a character, between calls
};

// Whether a run of byte tokens is text can be said at its end only: one wrong byte makes each of
// them a U+FFFD.
class ByteFallbackStage final : public TokenStage {
 public:
  using TokenStage::TokenStage;

  void finish() override {
    end_run();
    next_.finish();
  }

 private:
  static int digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
  }

  static int byte_of(std::string_view text) {  // -1: not a byte token
    if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>') return -1;
    const int high = digit(text[3]);
    const int low = digit(text[4]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
  }

  void token(std::string_view text) override {
    if (const int byte = byte_of(text); byte >= 0) {
      run_ += static_cast<char>(byte);
      return;
    }
    end_run();
    next_.part(text);
    next_.end_token();
  }

  void end_run() {
    if (run_.empty()) return;
    if (valid_utf8_prefix(run_) == run_.size()) {
      next_.part(run_);
      next_.end_token();
    } else {
      for (size_t i = 0; i < run_.size(); ++i) {
        next_.part(kReplacementCharacter);
        next_.end_token();
      }
    }
    run_.clear();
  }

  std::string run_;
};

class FuseStage final : public Stage {
 public:
  using Stage::Stage;
  void part(std::string_view text) override { next_.part(text); }
  void end_token() override {}
  void finish() override {
    next_.end_token();
    next_.finish();
  }
};

class JoinStage final : public Stage {
 public:
  using Stage::Stage;
  void part(std::string_view text) override {
    separate();
    next_.part(text);
  }
  void end_token() override {
    separate();
    in_token_ = false;
    next_.end_token();
  }

 private:
  void separate() {
    if (!in_token_ && !is_first_) next_.part(" ");
    in_token_ = true;
    is_first_ = false;
  }

  bool is_first_ = true;
  bool in_token_ = false;
};

class ReplaceStage final : public TokenStage {
 public:
  ReplaceStage(DecoderStage& next, Pattern pattern, std::string content)
      : TokenStage(next), pattern_(std::move(pattern)), content_(std::move(content)) {}

 private:
  void token(std::string_view text) override {
    next_.part(replace_all(text, pattern_, content_));
    next_.end_token();
  }

  Pattern pattern_;
  std::string content_;
};

// A pattern of one character cannot lie across two parts, so nothing has to wait.
class ReplaceCharacterStage final : public Stage {
 public:
  ReplaceCharacterStage(DecoderStage& next, Pattern pattern, std::string content)
      : Stage(next), pattern_(std::move(pattern)), content_(std::move(content)) {}
  void part(std::string_view text) override { next_.part(replace_all(text, pattern_, content_)); }

 private:
  Pattern pattern_;
  std::string content_;
};

class StripStage final : public Stage {
 public:
  StripStage(DecoderStage& next, std::string content, size_t start, size_t stop)
      : Stage(next), content_(std::move(content)), start_(start), stop_(stop), leading_(start) {}

  void part(std::string_view text) override {
    std::string kept;
    for_each_character(text, [&](std::string_view character) {
      const bool is_content = character == content_;
      if (is_content && leading_ > 0) {
        --leading_;
        return;
      }
      leading_ = 0;
      if (is_content && held_ < stop_) {
        ++held_;
      } else if (is_content) {
        kept += content_;  // the oldest of those held; this one takes its place
      } else {
        while (held_ > 0) {
          kept += content_;
          --held_;
        }
        kept += character;
      }
    });
    if (!kept.empty()) next_.part(kept);
  }

  void end_token() override {
    held_ = 0;
    leading_ = start_;
    next_.end_token();
  }

 private:
  std::string content_;
  size_t start_, stop_;
  size_t leading_;   // how many more may be taken from this token's start
  size_t held_ = 0;  // trailing `content`s so far, which are taken if the token ends here
};

class MetaspaceStage final : public Stage {
 public:
  MetaspaceStage(DecoderStage& next, std::string mark, bool drop_first)
      : Stage(next), mark_(std::move(mark)), drops_(drop_first) {}
  void part(std::string_view text) override {
    std::string out;
    for_each_character(text, [&](std::string_view character) {
      if (character != mark_) {
        out += character;
      } else if (!drops_) {
        out += ' ';
      }
    });
    next_.part(out);
  }
  void end_token() override {
    drops_ = false;
    next_.end_token();
  }

 private:
  std::string mark_;
  bool drops_;
};

// A MakeStage for a stage whose constructor takes `arguments` after `next`.
template <typename T, typename... Arguments>
DecoderChain::MakeStage maker(Arguments... arguments) {
  return [arguments...](DecoderStage& next) -> std::unique_ptr<DecoderStage> {
    return std::make_unique<T>(next, arguments...);
  };
}

}  // namespace

DecoderChain::MakeStage byte_level_stage() {
  return maker<ByteLevelStage>();
}
DecoderChain::MakeStage byte_fallback_stage() {
  return maker<ByteFallbackStage>();
}
DecoderChain::MakeStage fuse_stage() {
  return maker<FuseStage>();
}
DecoderChain::MakeStage join_stage() {
  return maker<JoinStage>();
}

DecoderChain::MakeStage replace_stage(Pattern pattern, std::string content) {
  return pattern.is_one_character() ? maker<ReplaceCharacterStage>(pattern, content)
                                    : maker<ReplaceStage>(pattern, content);
}

DecoderChain::MakeStage strip_stage(std::string content, size_t start, size_t stop) {
  return maker<StripStage>(content, start, stop);
}

DecoderChain::MakeStage metaspace_stage(std::string mark, bool drop_first) {
  return maker<MetaspaceStage>(mark, drop_first);
}

}  // namespace treepo
