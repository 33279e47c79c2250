"""Reads the tables of one device file, naming file, line and key where it cannot."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Final, NoReturn

from feasibility.catalogue.quantities import Quantity
from feasibility.errors import DeviceError
from feasibility.records.device import UNVERIFIED, Figure
from feasibility.text import safe_text
from feasibility.toml_lines import KeyPath, line_of

_FIGURE_KEYS: Final = ("value", "source", "note")


class Table:
    """One table of a device file, with the means to complain about it.

    Args:
        origin: The file, as errors name it.
        values: The table's parsed content.
        lines: Line of every key of the file.
        citations: Short names of sources and what they stand for.
        path: Keys that lead to this table.
    """

    def __init__(
        self,
        origin: str,
        values: Mapping[str, object],
        lines: dict[KeyPath, int],
        citations: Mapping[str, str],
        path: KeyPath = (),
    ) -> None:
        self.origin = origin
        self.values = values
        self.lines = lines
        self.citations = citations
        self.path = path

    def fail(self, key: str, why: str, hint: str = "") -> NoReturn:
        """Raise the error that names the file, the line and the key."""
        path = (*self.path, *((key,) if key else ()))
        raise DeviceError(
            f"Device file {safe_text(self.origin)} is not valid",
            f"line {line_of(self.lines, path)}, {_dotted(path)}: {why}",
            hint or "docs/devices.md describes every key",
        )

    def allow(self, known: Iterable[str]) -> None:
        """Refuse keys that no device file has, so that a typo cannot drop a figure."""
        names = tuple(known)
        for key in self.values:
            if key not in names:
                near = difflib.get_close_matches(key, names, n=1)
                guess = f"; did you mean {near[0]!r}?" if near else ""
                self.fail(key, f"unknown key{guess}", f"known here: {', '.join(names)}")

    def table(self, key: str) -> Table | None:
        """The table under this key, or None if the file does not have it."""
        value = self.values.get(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            self.fail(key, "expected a table")
        return Table(self.origin, value, self.lines, self.citations, (*self.path, key))

    def required_table(self, key: str) -> Table:
        """The table under this key."""
        table = self.table(key)
        if table is None:
            self.fail(key, "missing; expected a table")
        return table

    def tables(self, key: str) -> tuple[Table, ...]:
        """The entries of an array of tables, at least one."""
        value = self.values.get(key)
        if not isinstance(value, list) or not value:
            self.fail(key, f"expected one or more [[{_dotted((*self.path, key))}]] tables")
        entries = []
        for index, entry in enumerate(value):
            if not isinstance(entry, dict):
                self.fail(key, "expected tables")
            path = (*self.path, key, index)
            entries.append(Table(self.origin, entry, self.lines, self.citations, path))
        return tuple(entries)

    def text(self, key: str, default: str | None = None) -> str:
        """A text that is not empty."""
        value = self.values.get(key, default)
        if value is None:
            self.fail(key, "missing; expected a text")
        if not isinstance(value, str) or not (value.strip() or value == default):
            self.fail(key, "expected a text in quotes")
        return value

    def choice(self, key: str, choices: tuple[str, ...], default: str | None = None) -> str:
        """One of a few words."""
        value = self.text(key, default)
        if value not in choices:
            near = difflib.get_close_matches(value, choices, n=1)
            guess = f"; did you mean {near[0]!r}?" if near else ""
            self.fail(key, f"expected one of {', '.join(choices)}{guess}")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts; empty if the file does not have it."""
        value = self.values.get(key, [])
        if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
            self.fail(key, 'expected a list of texts such as ["a", "b"]')
        return tuple(value)

    def quantity(self, key: str, quantity: Quantity) -> int:
        """A quantity that needs no source, because the user measured it."""
        if key not in self.values:
            self.fail(key, f"missing; expected {quantity.expected}")
        try:
            return quantity.read(self.values[key])
        except ValueError as error:
            self.fail(key, f"{error}, not {_shown(self.values[key])!r}")

    def figure(self, key: str, quantity: Quantity) -> Figure:
        """A figure with its source."""
        figure = self.optional_figure(key, quantity)
        if figure is None:
            self.fail(key, f"missing; expected {quantity.expected} with its source")
        return figure

    def optional_figure(self, key: str, quantity: Quantity) -> Figure | None:
        """A figure with its source, or None if the file does not have it."""
        value = self.values.get(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            self.fail(key, 'expected { value = ..., source = "..." }: no figure without its source')
        entry = Table(self.origin, value, self.lines, self.citations, (*self.path, key))
        entry.allow(_FIGURE_KEYS)
        return entry.own_figure(quantity)

    def own_figure(self, quantity: Quantity) -> Figure:
        """The figure that this table itself is."""
        if "value" not in self.values:
            self.fail("value", f"missing; expected {quantity.expected}")
        try:
            number = quantity.read(self.values["value"])
        except ValueError as error:
            self.fail("value", f"{error}, not {_shown(self.values['value'])!r}")
        return Figure(value=number, source=self._citation(), note=self.text("note", ""))

    def _citation(self) -> str:
        key = self.text("source")
        if key == UNVERIFIED:
            return key
        if key not in self.citations:
            near = difflib.get_close_matches(key, self.citations, n=1)
            guess = f"; did you mean {near[0]!r}?" if near else ""
            self.fail(
                "source",
                f'expected a name from [sources] or "{UNVERIFIED}", not {safe_text(key)!r}{guess}',
            )
        return self.citations[key]


def _shown(value: object) -> str:
    try:
        return safe_text(str(value), 40)
    except ValueError:
        # A hexadecimal number may be longer than Python writes in decimals.
        return "a number of thousands of digits"


def _dotted(path: KeyPath) -> str:
    """The key as TOML writes it; entries of arrays counted from 1 as people do."""
    text = ""
    for part in path:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if text else part
    return text or "the file"
