#pragma once

#include <iosfwd>
#include <string>

#include "text/chat_template.h"

namespace treepo {

// Reads chats as JSON lines (ChatTemplate::render's objects; their other members are variables of
// the template) and writes {"prompt"} for each, in order. Throws Error naming the line that is no
// chat, or that the template refuses.
void render_chat_lines(ChatTemplate& chat_template, std::istream& in, const std::string& input_name,
                       std::ostream& out);

}  // namespace treepo
