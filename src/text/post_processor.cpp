#include "text/post_processor.h"

#include "text/tokenizer_json.h"

namespace treepo {

PostProcessor::Slot PostProcessor::read_slot(const Json& piece, const Json& owner,
                                             const std::string& where) {
  if (piece.is_object() && piece.contains("Sequence")) {
    const Json& sequence = get_object(piece, "Sequence", where);
    const std::string id = get_string(sequence, "id", where + ".Sequence");
    if (id != "A") throw_unsupported(where + ".Sequence", "id", id, "A: a template for one text");
    return {.is_text = true, .ids = {}};
  }
  const Json& token = get_object(piece, "SpecialToken", where);
  const std::string name = get_string(token, "id", where + ".SpecialToken");
  Slot slot{.is_text = false, .ids = {}};
  const Json& entry =
      get_object(get_object(owner, "special_tokens", where), name, where + " (its special_tokens)");
  for (const int64_t id : get_ints(entry, "ids", where)) {
    if (id < 0 || id > INT32_MAX) {
      throw Error(fmt::format("{}: special_tokens: {} has the id {}", where, name, id));
    }
    slot.ids.push_back(static_cast<int32_t>(id));
  }
  return slot;
}

PostProcessor PostProcessor::from_json(const Json& file, const std::string& path) {
  PostProcessor out;
  for (const auto& [object, where, type] : read_steps(file, "post_processor", "processors", path)) {
    if (type == "ByteLevel") continue;
    if (type != "TemplateProcessing") {
      throw_unsupported(where, "type", type, "TemplateProcessing, ByteLevel, Sequence");
    }
    if (!out.template_.empty()) throw_unsupported(where, "type", type, "one TemplateProcessing");
    const Json& pieces = get_array(object, "single", where);
    for (size_t i = 0; i < pieces.size(); ++i) {
      out.template_.push_back(read_slot(pieces[i], object, fmt::format("{}.single[{}]", where, i)));
    }
  }
  return out;
}

std::vector<int32_t> PostProcessor::apply(std::vector<int32_t> ids, bool add_special_tokens) const {
  if (template_.empty()) return ids;
  std::vector<int32_t> out;
  out.reserve(ids.size() + template_.size());
  for (const Slot& slot : template_) {
    if (!slot.is_text && !add_special_tokens) continue;
    const std::vector<int32_t>& source = slot.is_text ? ids : slot.ids;
    out.insert(out.end(), source.begin(), source.end());
  }
  return out;
}

}  // namespace treepo
