"""Renders chats by a Jinja chat template, set up as transformers does for apply_chat_template.

Value: {"template": TEXT, "tool_template": TEXT or null, "variables": {…}, "chats": [JSON TEXT, …]}; a chat is an
object with "messages", and perhaps "tools", "documents", "add_generation_prompt", "continue_final_message"; its other
members are variables of the template. Chats come as text because the order of keys shows in what is rendered.
Result: for each chat {"text", "assistant"} or {"error"}. "assistant" lists [begin, end] of what {% generation %} blocks
wrote, in bytes of the text's UTF-8.
"""
import datetime
import json
import re

PACKAGES = {"jinja2": "Jinja2==3.1.6"}
BEGIN, END = "\ufdd0", "\ufdd1"  # noncharacters: no text holds them


def load(argument):
    import jinja2  # noqa: F401  named here, so that a missing package is reported with its remedy

    environment = make_environment()
    compiled = {}

    def template_of(text):
        if text not in compiled:
            compiled[text] = environment.from_string(text)
        return compiled[text]

    def render(value):
        plain = value["template"]
        with_tools = value["tool_template"] or plain
        results = []
        for text in value["chats"]:
            try:
                chat = json.loads(text)
                template = template_of(with_tools if chat.get("tools") else plain)
                results.append(rendered(template, chat, value["variables"]))
            except Exception as error:
                results.append({"error": describe(error)})
        return results

    return render


def make_environment():
    import jinja2
    import jinja2.ext
    import jinja2.nodes
    import jinja2.sandbox

    class GenerationBlock(jinja2.ext.Extension):
        """{% generation %} … {% endgeneration %} around what an assistant says."""

        tags = {"generation"}

        def parse(self, parser):
            line = next(parser.stream).lineno
            body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
            return jinja2.nodes.CallBlock(self.call_method("mark"), [], [], body).set_lineno(line)

        def mark(self, caller):
            return BEGIN + caller() + END

    def to_json(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[GenerationBlock, jinja2.ext.loopcontrols])
    environment.filters["tojson"] = to_json
    environment.globals["raise_exception"] = raise_exception
    environment.globals["strftime_now"] = lambda form: datetime.datetime.now().strftime(form)
    return environment


def rendered(template, chat, variables):
    messages = chat.pop("messages")
    continues = chat.pop("continue_final_message", False)
    arguments = {"tools": None, "documents": None, "add_generation_prompt": False, **variables, **chat}
    text = template.render(messages=messages, **arguments)
    if continues:
        text = up_to_final_message(text, messages[-1]["content"])
    return without_marks(text)


def up_to_final_message(text, final):
    """Cut behind the last message's words, so that a model goes on with them."""
    words = final.strip()
    at = text.rfind(words)
    if at < 0:
        raise ValueError("continue_final_message: the template does not write the final message as it is")
    whole = final.lstrip()
    return text[:at] + (whole if text.startswith(whole, at) else words)


def without_marks(text):
    pieces, spans, size = [], [], 0
    begin = None
    for piece in split_at_marks(text):
        if piece == BEGIN:
            begin = size
        elif piece == END:
            spans.append([begin, size])
        else:
            pieces.append(piece)
            size += len(piece.encode("utf-8", "replace"))
    return {"text": "".join(pieces), "assistant": spans}


def split_at_marks(text):
    return re.split(f"([{BEGIN}{END}])", text)


def describe(error):
    import jinja2

    name = type(error).__name__
    line = getattr(error, "lineno", None)
    if isinstance(error, jinja2.TemplateSyntaxError):
        return f"line {line} of the template: {error.message}"
    if type(error) is jinja2.TemplateError:  # raise_exception
        return f"the template says: {error.message}"
    return f"{name}: {error}"
