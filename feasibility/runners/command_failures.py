"""What a program says when it does not get through, and what that means for a user."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from feasibility.text import safe_text

_LONGEST: Final = 300
# Advice on a program's usage, and what engines report while they fetch an image.
_ASIDES: Final = re.compile(
    r"(Run|See) '.*--help'|Unable to find image|Trying to pull|WARNING:|time=\""
    r"|Warning: Permanently added"
)
_PREFIXES: Final = re.compile(r"^(?:(?:docker|podman|ssh|Error response from daemon|Error): )+")


class Rule(NamedTuple):
    """Words of a program, and what they mean.

    Args:
        pattern: What it says, as a regular expression, whatever the case.
        why: The cause; names in braces are filled in.
        hint: What to do about it, likewise.
    """

    pattern: str
    why: str
    hint: str


def explained(text: str, rules: Sequence[Rule], **names: str) -> tuple[str, str] | None:
    """Cause and remedy by the first rule that knows the text; None where none does."""
    for rule in rules:
        if re.search(rule.pattern, text, re.IGNORECASE):
            return rule.why.format(**names), rule.hint.format(**names)
    return None


def complaint(text: str) -> str:
    """The line in which a program complains, without what it puts around it; empty if none."""
    lines = [line for line in text.splitlines() if line.strip() and not _ASIDES.search(line)]
    prefixed = [line for line in lines if _PREFIXES.search(line)]
    chosen = (prefixed or lines or [""])[-1].strip()
    return safe_text(_PREFIXES.sub("", chosen).rstrip("."), _LONGEST)
