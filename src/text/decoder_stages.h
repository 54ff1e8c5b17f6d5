#pragma once

#include "text/decoder.h"
#include "text/regex.h"

namespace treepo {

// The stages of Decoder, each with the function that makes it. What they do to tokens is what the
// decoders of the same names do in the `tokenizers` library.

DecoderChain::MakeStage byte_level_stage();     // GPT-2's alphabet -> bytes -> text
DecoderChain::MakeStage byte_fallback_stage();  // "<0xE2>" "<0x82>" "<0xAC>" -> "€"
DecoderChain::MakeStage fuse_stage();           // all tokens -> one
DecoderChain::MakeStage join_stage();           // "a" "b" -> "a b"
DecoderChain::MakeStage replace_stage(Pattern pattern, std::string content);
// Takes up to start and stop characters `content` from the ends of each token.
DecoderChain::MakeStage strip_stage(std::string content, size_t start, size_t stop);
// `mark` -> space; in the first token nothing instead, if drop_first.
DecoderChain::MakeStage metaspace_stage(std::string mark, bool drop_first);

}  // namespace treepo
