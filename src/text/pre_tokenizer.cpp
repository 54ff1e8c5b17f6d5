#include "text/pre_tokenizer.h"

#include <algorithm>

#include "text/byte_level.h"
#include "text/regex.h"
#include "text/tokenizer_json.h"
#include "text/unicode.h"
#include "text/utf8.h"

namespace treepo {

namespace {

using Step = std::function<void(PieceList&)>;
using Finder = std::function<void(std::string_view, std::vector<TextSpan>&)>;

// What becomes of the matches ("delimiters") of a Split.
enum class Behavior { removed, isolated, merged_with_previous, merged_with_next, contiguous };

struct Part {
  TextSpan span;
  bool is_match;
};

// The matches and what lies between them, in order.
std::vector<Part> cover(size_t size, const std::vector<TextSpan>& matches, bool invert) {
  std::vector<Part> parts;
  size_t done = 0;
  for (const TextSpan& match : matches) {
    if (match.begin > done) parts.push_back({{done, match.begin}, invert});
    parts.push_back({match, !invert});
    done = match.end;
  }
  if (done < size) parts.push_back({{done, size}, invert});
  return parts;
}

// Joins each match to the part before it, unless that one is a match, too.
std::vector<Part> merge_with_previous(const std::vector<Part>& parts) {
  std::vector<Part> merged;
  bool after_match = false;
  for (const Part& part : parts) {
    if (part.is_match && !after_match && !merged.empty()) {
      merged.back().span.end = part.span.end;
    } else {
      merged.push_back(part);
    }
    after_match = part.is_match;
  }
  return merged;
}

std::vector<Part> merge_with_next(const std::vector<Part>& parts) {
  std::vector<Part> merged;  // from the last to the first
  bool before_match = false;
  for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
    if (part->is_match && !before_match && !merged.empty()) {
      merged.back().span.begin = part->span.begin;
    } else {
      merged.push_back(*part);
    }
    before_match = part->is_match;
  }
  std::reverse(merged.begin(), merged.end());
  return merged;
}

std::vector<Part> merge_neighbours(const std::vector<Part>& parts) {
  std::vector<Part> merged;
  for (const Part& part : parts) {
    if (!merged.empty() && merged.back().is_match == part.is_match) {
      merged.back().span.end = part.span.end;
    } else {
      merged.push_back(part);
    }
  }
  return merged;
}

std::vector<Part> arrange(std::vector<Part> parts, Behavior behavior) {
  switch (behavior) {
    case Behavior::removed:
      std::erase_if(parts, [](const Part& part) { return part.is_match; });
      return parts;
    case Behavior::isolated:
      return parts;
    case Behavior::merged_with_previous:
      return merge_with_previous(parts);
    case Behavior::merged_with_next:
      return merge_with_next(parts);
    case Behavior::contiguous:
      return merge_neighbours(parts);
  }
  return parts;
}

void split_pieces(PieceList& list, const Finder& find, Behavior behavior, bool invert) {
  std::vector<PieceList::Piece> pieces;
  std::vector<TextSpan> matches;
  for (const PieceList::Piece& piece : list.pieces) {
    const size_t size = piece.end - piece.begin;
    find(std::string_view(list.text).substr(piece.begin, size), matches);
    for (const Part& part : arrange(cover(size, matches, invert), behavior)) {
      const auto [begin, end] = part.span;
      if (begin == end) continue;
      pieces.push_back({.begin = piece.begin + begin,
                        .end = piece.begin + end,
                        .at_beginning = piece.at_beginning && begin == 0});
    }
  }
  list.pieces = std::move(pieces);
}

// Replaces the text of each piece by rewrite(text, piece).
template <typename Rewrite>
void rewrite_pieces(PieceList& list, const Rewrite& rewrite) {
  std::string text;
  text.reserve(list.text.size() + list.text.size() / 4);
  for (PieceList::Piece& piece : list.pieces) {
    const auto old = std::string_view(list.text).substr(piece.begin, piece.end - piece.begin);
    piece.begin = text.size();
    text += rewrite(old, piece);
    piece.end = text.size();
  }
  list.text = std::move(text);
}

Step split(Finder find, Behavior behavior, bool invert) {
  return [find = std::move(find), behavior, invert](PieceList& list) {
    split_pieces(list, find, behavior, invert);
  };
}

Finder finder_of(Regex regex) {
  return [regex = std::move(regex)](std::string_view text, std::vector<TextSpan>& matches) {
    regex.find_all(text, matches);
  };
}

// Every number character is a match of its own.
void find_numbers(std::string_view text, std::vector<TextSpan>& matches) {
  matches.clear();
  for (size_t offset = 0; offset < text.size();) {
    const size_t begin = offset;
    if (is_number(next_code_point(text, offset))) matches.push_back({begin, offset});
  }
}

Step read_byte_level(const JsonStep& step) {
  const bool add_space = get_bool_or(step.object, "add_prefix_space", true, step.where);
  const bool use_regex = get_bool_or(step.object, "use_regex", true, step.where);
  Step gpt2_split;
  if (use_regex) {
    const Regex regex(
        R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)",
        step.where);
    gpt2_split = split(finder_of(regex), Behavior::isolated, false);
  }
  return [add_space, gpt2_split](PieceList& list) {
    if (add_space) {
      rewrite_pieces(list, [](std::string_view old, const PieceList::Piece&) {
        std::string out(old.starts_with(' ') ? 0 : 1, ' ');
        return out.append(old);
      });
    }
    if (gpt2_split) gpt2_split(list);
    rewrite_pieces(
        list, [](std::string_view old, const PieceList::Piece&) { return to_byte_level(old); });
  };
}

Step read_split(const JsonStep& step) {
  const std::string name = get_string(step.object, "behavior", step.where);
  Behavior behavior = Behavior::isolated;
  if (name == "Removed") {
    behavior = Behavior::removed;
  } else if (name == "MergedWithPrevious") {
    behavior = Behavior::merged_with_previous;
  } else if (name == "MergedWithNext") {
    behavior = Behavior::merged_with_next;
  } else if (name == "Contiguous") {
    behavior = Behavior::contiguous;
  } else if (name != "Isolated") {
    throw_unsupported(step.where, "behavior", name,
                      "Removed, Isolated, MergedWithPrevious, MergedWithNext, Contiguous");
  }
  const Pattern pattern = Pattern::from_json(step.object, step.where);
  return split([pattern](std::string_view text,
                         std::vector<TextSpan>& matches) { pattern.find_all(text, matches); },
               behavior, get_bool_or(step.object, "invert", false, step.where));
}

Step read_digits(const JsonStep& step) {
  const bool individual = get_bool(step.object, "individual_digits", step.where);
  return split(find_numbers, individual ? Behavior::isolated : Behavior::contiguous, false);
}

enum class PrependScheme { first, always, never };

PrependScheme read_prepend_scheme(const JsonStep& step) {
  const std::string name = get_string_or(step.object, "prepend_scheme", "always", step.where);
  if (name == "first") return PrependScheme::first;
  if (name == "always") return PrependScheme::always;
  if (name == "never") return PrependScheme::never;
  throw_unsupported(step.where, "prepend_scheme", name, "first, always, never");
}

Step read_metaspace(const JsonStep& step) {
  const std::string mark = get_string(step.object, "replacement", step.where);
  if (mark.empty() || scan_utf8(mark).length != mark.size()) {
    throw_unsupported(step.where, "replacement", mark, "one character");
  }
  const PrependScheme scheme = read_prepend_scheme(step);
  if (!get_bool_or(step.object, "add_prefix_space", true, step.where) &&
      scheme != PrependScheme::never) {
    throw_unsupported(step.where, "add_prefix_space", "false",
                      "true, unless prepend_scheme is never");
  }
  const Finder find_marks = [mark](std::string_view text, std::vector<TextSpan>& matches) {
    matches.clear();
    for (size_t at = text.find(mark); at != std::string_view::npos;
         at = text.find(mark, at + mark.size())) {
      matches.push_back({at, at + mark.size()});
    }
  };
  const bool splits = get_bool_or(step.object, "split", true, step.where);
  return [mark, scheme, find_marks, splits](PieceList& list) {
    rewrite_pieces(list, [&](std::string_view old, const PieceList::Piece& piece) {
      std::string marked;
      for (const char c : old) {
        if (c == ' ') {
          marked += mark;
        } else {
          marked += c;
        }
      }
      const bool prepends =
          scheme == PrependScheme::always || (scheme == PrependScheme::first && piece.at_beginning);
      if (prepends && !marked.starts_with(mark)) marked.insert(0, mark);
      return marked;
    });
    if (splits) split_pieces(list, find_marks, Behavior::merged_with_next, false);
  };
}

Step read_step(const JsonStep& step) {
  if (step.type == "ByteLevel") return read_byte_level(step);
  if (step.type == "Split") return read_split(step);
  if (step.type == "Digits") return read_digits(step);
  if (step.type == "Metaspace") return read_metaspace(step);
  throw_unsupported(step.where, "type", step.type, "ByteLevel, Split, Digits, Metaspace, Sequence");
}

}  // namespace

PreTokenizer PreTokenizer::from_json(const Json& file, const std::string& path) {
  PreTokenizer pre_tokenizer;
  for (const JsonStep& step : read_steps(file, "pre_tokenizer", "pretokenizers", path)) {
    pre_tokenizer.steps_.push_back(read_step(step));
  }
  return pre_tokenizer;
}

void PreTokenizer::apply(PieceList& list) const {
  for (const auto& step : steps_) step(list);
}

}  // namespace treepo
