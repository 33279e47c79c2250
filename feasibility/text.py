r"""Makes strings that come out of model files safe to show.

A tensor may be called `\x1b[2J` or carry ten thousand characters or a
right-to-left override. JSON keeps such names as they are (its escapes are
safe); everything that reaches a terminal or a message goes through here.
"""

from __future__ import annotations

import unicodedata
from typing import Final

# Cc control, Cf format (bidi overrides, zero-width), Cs lone surrogates, Co private use,
# Cn unassigned, Zl and Zp line and paragraph separators: none may reach a terminal raw.
_UNSAFE_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
ELLIPSIS: Final = "…"


def safe_text(text: str, limit: int = 120) -> str:
    r"""The text on one line without control characters, at most `limit` characters long.

    Unsafe characters become their escape (`\x1b`); what is cut is replaced in the
    middle, because the end of a node's name usually tells it from its neighbours.
    """
    # Escaping lengthens a character to at most ten, so the ends of a huge name suffice.
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


def _safe_character(character: str) -> str:
    if character.isascii():
        return character if character.isprintable() else f"\\x{ord(character):02x}"
    if unicodedata.category(character) in _UNSAFE_CATEGORIES:
        return character.encode("unicode_escape", "replace").decode("ascii")
    return character
