"""Which remarks on the rows of a table are reported, and for how many rows?"""

from __future__ import annotations

from typing import Final, NamedTuple

from feasibility.text import safe_text

_SHOWN_NAMES: Final = 3
_NAME_LIMIT: Final = 40
_DETAIL_LIMIT: Final = 400


class Remark(NamedTuple):
    """Something to report about a row.

    Attributes:
        text: What all such rows have in common; follows `3 rows`.
        name: The cell of the row that causes it; may be empty.
        detail: An explanation for this name only.
    """

    text: str
    name: str = ""
    detail: str = ""


class _Group:
    """Rows with one text and name."""

    def __init__(self, line: int, detail: str) -> None:
        self.line = line
        self.detail = detail
        self.count = 0


class RemarkCounts:
    """Counts rows by remark, and by the names under each."""

    def __init__(self) -> None:
        self._groups: dict[str, dict[str, _Group]] = {}

    def add(self, remark: Remark, line: int) -> None:
        """Count the row of this line."""
        groups = self._groups.setdefault(remark.text, {})
        groups.setdefault(remark.name, _Group(line, remark.detail)).count += 1

    @property
    def total(self) -> int:
        """Number of rows counted."""
        return sum(group.count for groups in self._groups.values() for group in groups.values())

    def by_sentence(self) -> dict[str, int]:
        """Rows by remark, each with its most frequent names and their first lines."""
        return {
            _sentence(text, groups): sum(group.count for group in groups.values())
            for text, groups in self._groups.items()
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
