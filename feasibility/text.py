r"""How are names from model files made safe to print?

A tensor may be named `\x1b[2J`, or have ten thousand characters or a right-to-left override.
JSON keeps such names, because it escapes them. Every name in a report or message passes
through `safe_text`.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Sequence
from typing import Final

# Cc control, Cf format (bidi overrides, zero-width), Cs lone surrogates, Co private use,
# Cn unassigned, Zl and Zp line and paragraph separators: a terminal must not get them raw.
_UNSAFE_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
ELLIPSIS: Final = "…"
# What Markdown, as GitHub reads it, could take for markup inside a line or at its start: also
# mentions of people and issues, emoji, formulas and addresses.
_MARKUP: Final = re.compile(
    r"[\\`*_\[\]|~@$#]|:(?=\S)|(?<=www)\.|^[-+=\s]|^\d(?=\d*[.)])", re.IGNORECASE
)


def safe_text(text: str, limit: int = 120) -> str:
    r"""The text on one line without control characters, at most `limit` characters long.

    Unsafe characters are escaped (`\x1b`). Long text is cut in the middle, because names of
    nodes usually differ at their end.
    """
    # Of a huge name only the ends can remain: escaping makes text longer, not shorter.
    if len(text) > 2 * limit:
        text = text[:limit] + ELLIPSIS + text[-limit:]
    return shorten("".join(map(_safe_character, text)), limit)


def shorten(text: str, limit: int) -> str:
    """The text with its middle replaced by one ellipsis if it is longer than `limit`."""
    if len(text) <= limit:
        return text
    if limit <= 1:
        return ELLIPSIS[:limit]
    tail = (limit - 1) // 2
    head = limit - 1 - tail
    return text[:head] + ELLIPSIS + (text[-tail:] if tail else "")


def limited(items: Sequence[str], limit: int, noun: str = "") -> str:
    """The first items joined by commas, and the number of the others: `a, b and 3 more nodes`."""
    shown, rest = ", ".join(items[:limit]), len(items) - limit
    return f"{shown} and {rest} more {noun}".rstrip() if rest > 0 else shown


def markdown_text(text: str) -> str:
    """One line of text that Markdown shows as it is."""
    return _MARKUP.sub(_entity, html.escape(text, quote=False))


def _entity(found: re.Match[str]) -> str:
    return f"&#{ord(found[0])};"


def _safe_character(character: str) -> str:
    if character.isascii():
        return character if character.isprintable() else f"\\x{ord(character):02x}"
    if unicodedata.category(character) in _UNSAFE_CATEGORIES:
        return character.encode("unicode_escape", "replace").decode("ascii")
    return character
