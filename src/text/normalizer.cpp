#include "text/normalizer.h"

#include "text/regex.h"
#include "text/tokenizer_json.h"
#include "text/unicode.h"

namespace treepo {

namespace {

using Step = std::function<void(NormalizedText&)>;

Step unicode_form(NormalForm form) {
  return [form](NormalizedText& in) { in.text = normalize(in.text, form); };
}

Step prepend(std::string prefix) {
  return [prefix = std::move(prefix)](NormalizedText& in) {
    if (!in.text.empty()) in.text.insert(0, prefix);
  };
}

Step replace(Pattern pattern, std::string content) {
  return [pattern = std::move(pattern), content = std::move(content)](NormalizedText& in) {
    std::vector<TextSpan> matches;
    pattern.find_all(in.text, matches);
    if (matches.empty()) return;
    const bool removes_first = matches[0].begin == 0 && matches[0].end > 0 && content.empty();
    in.at_beginning = in.at_beginning && !removes_first;
    in.text = replace_all(in.text, pattern, content);
  };
}

Step strip(bool left, bool right) {
  return [left, right](NormalizedText& in) {
    if (right) in.text.resize(skip_white_space_back(in.text, in.text.size()));
    const size_t cut = left ? skip_white_space(in.text, 0) : 0;
    in.text.erase(0, cut);
    in.at_beginning = in.at_beginning && cut == 0;
  };
}

Step read_step(const JsonStep& step) {
  const auto& [object, where, type] = step;
  if (type == "NFC") return unicode_form(NormalForm::nfc);
  if (type == "NFD") return unicode_form(NormalForm::nfd);
  if (type == "NFKC") return unicode_form(NormalForm::nfkc);
  if (type == "NFKD") return unicode_form(NormalForm::nfkd);
  if (type == "Lowercase") return [](NormalizedText& in) { in.text = lower_case(in.text); };
  if (type == "Prepend") return prepend(get_string(object, "prepend", where));
  if (type == "Replace") {
    return replace(Pattern::from_json(object, where), get_string(object, "content", where));
  }
  if (type == "Strip") {
    return strip(get_bool(object, "strip_left", where), get_bool(object, "strip_right", where));
  }
  throw_unsupported(where, "type", type,
                    "NFC, NFD, NFKC, NFKD, Lowercase, Prepend, Replace, Strip, Sequence");
}

}  // namespace

Normalizer Normalizer::from_json(const Json& file, const std::string& path) {
  Normalizer normalizer;
  for (const JsonStep& step : read_steps(file, "normalizer", "normalizers", path)) {
    normalizer.steps_.push_back(read_step(step));
  }
  return normalizer;
}

void Normalizer::apply(NormalizedText& text) const {
  for (const auto& step : steps_) step(text);
}

}  // namespace treepo
