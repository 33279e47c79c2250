"""One table of a budget file, with the means to complain about its keys."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from feasibility.errors import ConfigError
from feasibility.text import safe_text
from feasibility.toml_lines import KeyPath, line_of


@dataclass(frozen=True, slots=True)
class Fields:
    """Keys of one table.

    Args:
        path: The file.
        values: The table's parsed content.
        lines: Line of every key of the file.
        keys: Keys that lead to the table.
    """

    path: Path
    values: Mapping[str, object]
    lines: Mapping[KeyPath, int]
    keys: KeyPath = ()

    def line(self, key: str = "") -> int:
        """Line of a key, or of the table."""
        return line_of(dict(self.lines), (*self.keys, key) if key else self.keys)

    def fail(self, key: str, why: str, hint: str = "") -> NoReturn:
        """Raise the error that names the file, the line and the key."""
        where = f"line {self.line(key)}, {safe_text(key or str(self.keys[-1]))}"
        raise config_error(self.path, f"{where}: {why}", hint or "docs/ci.md describes every key")

    def allow(self, known: Iterable[str]) -> None:
        """Refuse unknown keys, so that a typo cannot drop a budget."""
        names = tuple(known)
        for key in self.values:
            if key not in names:
                near = difflib.get_close_matches(key, names, n=1)
                guess = f"; did you mean {near[0]}?" if near else ""
                self.fail(key, f"there is no such key{guess}", f"known here: {', '.join(names)}")

    def text(self, key: str, default: str | None = None) -> str:
        """A text."""
        value = self.values.get(key, default)
        if value is None:
            self.fail(key, "it is missing; expected a text")
        if not isinstance(value, str) or not (value or value == default):
            self.fail(key, "expected a text in quotes")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts; empty if the table does not have it."""
        value = self.values.get(key, [])
        if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
            self.fail(key, 'expected a list of texts such as ["Conv", "Relu"]')
        return tuple(value)

    def flag(self, key: str) -> bool:
        """True or false; false if the table does not have it."""
        value = self.values.get(key, False)
        if not isinstance(value, bool):
            self.fail(key, "expected true or false")
        return value

    def count(self, key: str, default: int | None = None, *, least: int = 0) -> int:
        """A whole number."""
        value = self.values.get(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            self.fail(key, f"expected a whole number, {least} or more")
        return value

    def table(self, key: str) -> Fields:
        """The table under this key; an empty one if there is none."""
        value = self.values.get(key, {})
        if not isinstance(value, dict):
            self.fail(key, "expected a table such as { name = value }")
        return Fields(self.path, value, self.lines, (*self.keys, key))

    def tables(self, key: str) -> tuple[Fields, ...]:
        """The entries of an array of tables; empty if there is none."""
        value = self.values.get(key, [])
        if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
            name = ".".join(map(str, (*self.keys, key)))
            self.fail(key, f"expected [[{name}]] tables")
        return tuple(
            Fields(self.path, entry, self.lines, (*self.keys, key, number))
            for number, entry in enumerate(value)
        )


def config_error(path: Path, why: str, hint: str) -> ConfigError:
    """The error of a budget file that is not valid."""
    return ConfigError(
        f"Budget file {safe_text(str(path))} is not valid", safe_text(why, 400), hint
    )
