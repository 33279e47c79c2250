"""Counts rows by what is to be said of them, and remembers the first line of each."""

from __future__ import annotations

from typing import Final, NamedTuple

from feasibility.text import safe_text

_SHOWN_NAMES: Final = 3
_NAME_LIMIT: Final = 40
_DETAIL_LIMIT: Final = 400


class Reason(NamedTuple):
    """What is to be said of a row.

    Attributes:
        text: What all such rows have in common, to follow `3 rows`.
        name: What tells the row from others of them, as it stands in the table; may be empty.
        detail: What is to be said of this name only.
    """

    text: str
    name: str = ""
    detail: str = ""


class _Group:
    """Rows of one reason and name."""

    def __init__(self, line: int, detail: str) -> None:
        self.line = line
        self.detail = detail
        self.count = 0


class Tally:
    """Rows by reason, and by the names under each."""

    def __init__(self) -> None:
        self._reasons: dict[str, dict[str, _Group]] = {}

    def add(self, reason: Reason, line: int) -> None:
        """Count a row of the table that begins or ends at this line."""
        groups = self._reasons.setdefault(reason.text, {})
        groups.setdefault(reason.name, _Group(line, reason.detail)).count += 1

    @property
    def total(self) -> int:
        """How many rows have been counted."""
        return sum(group.count for groups in self._reasons.values() for group in groups.values())

    def counts(self) -> dict[str, int]:
        """Rows by reason, each with its most frequent names and their first lines."""
        return {
            _sentence(text, groups): sum(group.count for group in groups.values())
            for text, groups in self._reasons.items()
        }


def _sentence(text: str, groups: dict[str, _Group]) -> str:
    if len(groups) == 1:
        ((name, group),) = groups.items()
        where = _where(group, "from " if group.count > 1 else "")
        return f"{text}: {_quoted(name)} ({where})" if name else f"{text} ({where})"
    ranked = sorted(groups.items(), key=lambda entry: (-entry[1].count, entry[1].line))
    shown = ", ".join(
        f"{_quoted(name)} ({_where(group, _count(group))})" for name, group in ranked[:_SHOWN_NAMES]
    )
    rest = len(ranked) - _SHOWN_NAMES
    others = f" and {rest} {'other' if rest == 1 else 'others'}" if rest > 0 else ""
    return f"{text}: {shown}{others}"


def _quoted(name: str) -> str:
    return f"'{safe_text(name, _NAME_LIMIT)}'" if name else "an empty cell"


def _count(group: _Group) -> str:
    return f"{group.count} rows from " if group.count > 1 else ""


def _where(group: _Group, before: str) -> str:
    detail = f": {safe_text(group.detail, _DETAIL_LIMIT)}" if group.detail else ""
    return f"{before}line {group.line}{detail}"
