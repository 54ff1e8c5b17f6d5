"""Equality of mathematical answers by math-verify (src/reward/math_verifier.h).

    ""       {"gold", "response"} -> {"correct", "answer"}     the answer is searched as math-verify does
    "boxed"  the same, but only the last box counts
    "equal"  [a, b] -> bool                                    two texts that answer_text gave
"""
import fractions
import functools
import re

PACKAGES = {"math_verify": "math-verify[antlr4_13_2]==0.9.0"}

INTEGER = r"-?\d{1,100}"
FRACTION = re.compile(rf"\s*(-?)\s*\\[dt]?frac\{{\s*({INTEGER})\s*\}}\{{\s*({INTEGER})\s*\}}\s*$|\s*({INTEGER})/({INTEGER})\s*$")
MARKED = re.compile(r"\\boxed|\\fbox|(?<!\\)\$.*(?<!\\)\$|\\\(|\\\[", re.DOTALL)


def load(argument):
    import logging

    import math_verify

    # Time limits are the pool's: those of the library would count as wrong what is only slow.
    logging.getLogger("math_verify").setLevel(logging.ERROR)
    parse = functools.partial(math_verify.parse, parsing_timeout=None)
    verify = functools.partial(math_verify.verify, timeout_seconds=None)
    parse_reference = functools.lru_cache(4096)(lambda text: parse(as_mathematics(text)))

    def judge(value):
        response = last_box(value["response"]) if argument == "boxed" else value["response"]
        parsed = parse(response)
        correct = verify(parse_reference(value["gold"]), parsed) if parsed else False
        return {"correct": bool(correct), "answer": answer_text(parsed)}

    def equal(pair):
        a, b = (parse_reference(text) for text in pair)
        return bool(verify(a, b) or verify(b, a))

    functions = {"": judge, "boxed": judge, "equal": equal}
    return functions[argument]


def as_mathematics(text):
    """A reference as math-verify reads it best: in dollars, unless it is marked as mathematics itself."""
    return text if MARKED.search(text) else "$" + text + "$"


def last_box(response):
    from latex2sympy2_extended.math_normalization import extract_boxed_content

    at = max(response.rfind("\\boxed"), response.rfind("\\fbox"))
    if at < 0:
        return ""
    return "\\boxed{" + extract_boxed_content(response[at:], "last") + "}"


def answer_text(parsed):
    """One text for one answer as far as that is cheap to say: "3/4" for numbers, else the LaTeX without spaces."""
    if not parsed:
        return None
    number = rational(parsed)
    if number is not None:
        return str(number)
    texts = [part for part in parsed if isinstance(part, str)]
    return " ".join(texts[0].split()) if texts and texts[0].strip() else None


def rational(parsed):
    import sympy

    first = parsed[0]
    if isinstance(first, sympy.Rational):
        return fractions.Fraction(int(first.p), int(first.q))
    if isinstance(first, sympy.Float):
        text = str(first)  # 15 digits; not "nan" or "inf"
        return fractions.Fraction(text) if re.fullmatch(r"-?\d+(\.\d+)?(e[+-]?\d\d?)?", text) else None
    match = FRACTION.match(parsed[-1]) if isinstance(parsed[-1], str) else None
    if match is None:
        return None
    sign, top, bottom = (match[1], match[2], match[3]) if match[2] else ("", match[4], match[5])
    if int(bottom) == 0:
        return None
    return fractions.Fraction(int(sign + "1") * int(top), int(bottom))
