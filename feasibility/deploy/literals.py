"""How is a name out of a model written as a string literal of another language?

Names are untrusted: one with a quote, a line break or `$(rm)` must stay a string. All literals
are printable ASCII on one line, so that they cannot end a comment or a line either.
"""

from __future__ import annotations

import json
from typing import Final

# A character that could end a literal or begin an escape, in any of the languages. `?` begins
# trigraphs of C++.
_SPECIAL: Final = frozenset('"\\$?')


def python_literal(text: str) -> str:
    """The text in Python, with double quotes where its own quotes allow them."""
    literal = ascii(text)
    if literal.startswith("'") and '"' not in literal and "\\'" not in literal:
        return f'"{literal[1:-1]}"'
    return literal


def javascript_literal(text: str) -> str:
    """The text in JavaScript."""
    return json.dumps(text)


def cpp_literal(text: str) -> str:
    """The text in C++: three octal digits end an escape, while hexadecimal digits do not."""
    return _quoted("".join(map(_cpp_byte, text.encode("utf-8", "surrogatepass"))))


def kotlin_literal(text: str) -> str:
    r"""The text in Kotlin, whose escapes are UTF-16 units: `\u00e9`."""
    return _quoted("".join(map(_kotlin_character, text)))


def swift_literal(text: str) -> str:
    r"""The text in Swift, whose escapes are characters: `\u{e9}`.

    Swift has no lone surrogates; the replacement character stands for them.
    """
    return _quoted("".join(map(_swift_character, text)))


def _quoted(escaped: str) -> str:
    return f'"{escaped}"'


def _is_plain(character: str) -> bool:
    return character.isascii() and character.isprintable() and character not in _SPECIAL


def _cpp_byte(byte: int) -> str:
    return chr(byte) if _is_plain(chr(byte)) else f"\\{byte:03o}"


def _kotlin_character(character: str) -> str:
    if _is_plain(character):
        return character
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[start : start + 4]}" for start in range(0, len(units), 4))


def _swift_character(character: str) -> str:
    if _is_plain(character):
        return character
    is_surrogate = 0xD800 <= ord(character) <= 0xDFFF
    return "\\u{fffd}" if is_surrogate else f"\\u{{{ord(character):x}}}"
