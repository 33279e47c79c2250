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


class RemarkCounts:
    """Counts rows by remark, and by the names under each."""

    def __init__(self) -> None:
        self._lines: dict[str, dict[Remark, list[int]]] = {}

    def add(self, remark: Remark, line: int) -> None:
        """Count the row of this line."""
        self._lines.setdefault(remark.text, {}).setdefault(remark, []).append(line)

    @property
    def total(self) -> int:
        """Number of rows counted."""
        return sum(self.by_sentence().values())

    def by_sentence(self) -> dict[str, int]:
        """Rows by remark, each with its most frequent names and their first lines."""
        return {
            f"{text}{_names(groups)}": sum(map(len, groups.values()))
            for text, groups in self._lines.items()
        }


def _names(groups: dict[Remark, list[int]]) -> str:
    """The most frequent names, each with its first line."""
    if len(groups) == 1:
        ((remark, lines),) = groups.items()
        where = _where(remark, lines, "from " if len(lines) > 1 else "")
        return f": {_quoted(remark.name)} ({where})" if remark.name else f" ({where})"
    ranked = sorted(groups.items(), key=lambda entry: (-len(entry[1]), entry[1][0]))
    shown = ", ".join(
        f"{_quoted(remark.name)} ({_where(remark, lines, _count(lines))})"
        for remark, lines in ranked[:_SHOWN_NAMES]
    )
    rest = len(ranked) - _SHOWN_NAMES
    others = f" and {rest} {'other' if rest == 1 else 'others'}" if rest > 0 else ""
    return f": {shown}{others}"


def _quoted(name: str) -> str:
    return f"'{safe_text(name, _NAME_LIMIT)}'" if name else "an empty cell"


def _count(lines: list[int]) -> str:
    return f"{len(lines)} rows from " if len(lines) > 1 else ""


def _where(remark: Remark, lines: list[int], before: str) -> str:
    detail = f": {safe_text(remark.detail, _DETAIL_LIMIT)}" if remark.detail else ""
    return f"{before}line {lines[0]}{detail}"
