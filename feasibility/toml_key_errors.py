"""Which key of a TOML file is unknown, missing or wrong, and in which line is it?

Device files and budget files are read with `TomlTable`; its errors name the file, the line and
the key.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Final, NoReturn, Self

from feasibility.errors import FeasibilityError
from feasibility.text import safe_text

KeyPath = tuple[str | int, ...]

_ARRAY_HEADER: Final = re.compile(r"\s*\[\[([^\[\]]+)\]\]\s*(?:#.*)?")
_HEADER: Final = re.compile(r"\s*\[([^\[\]]+)\]\s*(?:#.*)?")
_KEY: Final = re.compile(r"\s*((?:[A-Za-z0-9_-]+|\"[^\"]*\")(?:\s*\.\s*[A-Za-z0-9_-]+)*)\s*=")
_MULTILINE_QUOTES: Final = ('"""', "'''")


@dataclass(frozen=True, slots=True)
class TomlTable:
    """One table of a TOML file.

    Args:
        lines: Line of every key of the file, from `key_lines`.
        path: Keys that lead to the table.
    """

    origin: str
    values: Mapping[str, object]
    lines: Mapping[KeyPath, int]
    path: KeyPath = ()
    error: ClassVar[type[FeasibilityError]]
    kind: ClassVar[str]
    page: ClassVar[str]
    most_bytes: ClassVar[int] = 256 * 1024

    @classmethod
    def read(cls, path: Path) -> str:
        """The text of a file; an error if it is not a regular file, too large or not UTF-8."""
        what = f"Cannot read {cls.kind.lower()} {safe_text(str(path))}"
        try:
            if path.exists() and not path.is_file():
                raise cls.error(what, "it is not a file", "give the path of a .toml file")
            if path.stat().st_size > cls.most_bytes:
                raise cls.error(what, f"it is larger than {cls.most_bytes // 1024} KiB")
            return path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise cls.error(what, "it is not UTF-8 text", "save it as UTF-8") from error
        except OSError as error:
            raise cls.error(what, error.strerror or str(error), "check the path") from error

    @classmethod
    def parsed(cls, text: str, origin: str) -> Self:
        """The whole document as a table."""
        try:
            # Without an end of line `tomllib` calls the last line the end of the document.
            return cls(origin, tomllib.loads(f"{text}\n"), key_lines(text))
        # A whole number of thousands of digits is a plain ValueError.
        except (ValueError, RecursionError) as error:
            merged = "git left conflict markers in it: resolve them" if "<<<<<<<" in text else ""
            raise cls.error(
                f"{cls.kind} {safe_text(origin)} is not valid",
                f"it is not TOML: {safe_text(str(error))}",
                merged or f"{cls.page} shows a complete file",
            ) from error

    def line(self, key: str = "") -> int:
        """Line of a key, or of the table."""
        return line_of(self.lines, (*self.path, key) if key else self.path)

    def fail(self, key: str, why: str, hint: str = "") -> NoReturn:
        """Raise the error that names the file, the line and the key."""
        path = (*self.path, key) if key else self.path
        raise self.error(
            f"{self.kind} {safe_text(self.origin)} is not valid",
            f"line {line_of(self.lines, path)}, {safe_text(_dotted(path))}: {safe_text(why, 400)}",
            hint or f"{self.page} describes every key",
        )

    def allow(self, known: Iterable[str]) -> None:
        """Refuse unknown keys: a key with a typo would be ignored."""
        names = tuple(known)
        for key in self.values:
            if key not in names:
                why = f"unknown key{guess(key, names)}"
                self.fail(key, why, f"known here: {', '.join(names)}")

    def table(self, key: str) -> Self | None:
        """The table of a key; None if it is missing."""
        value = self.values.get(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            self.fail(key, "expected a table")
        return replace(self, values=value, path=(*self.path, key))

    def required_table(self, key: str) -> Self:
        """The table of a key."""
        table = self.table(key)
        if table is None:
            self.fail(key, "missing; expected a table")
        return table

    def tables(self, key: str, *, required: bool = False) -> tuple[Self, ...]:
        """The entries of an array of tables; empty if it is missing and not required."""
        value = self.values.get(key)
        if value is None and not required:
            return ()
        if not (isinstance(value, list) and value and all(isinstance(one, dict) for one in value)):
            self.fail(key, f"expected one or more [[{_dotted((*self.path, key))}]] tables")
        return tuple(
            replace(self, values=entry, path=(*self.path, key, index))
            for index, entry in enumerate(value)
        )

    def text(self, key: str, default: str | None = None) -> str:
        """A text; it may be empty only if the default is."""
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
            self.fail(key, f"expected one of {', '.join(choices)}{guess(value, choices)}")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts; empty if it is missing."""
        value = self.values.get(key, [])
        if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
            self.fail(key, 'expected a list of texts such as ["a", "b"]')
        return tuple(value)

    def flag(self, key: str) -> bool:
        """True or false; false if it is missing."""
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


def guess(text: str, known: Iterable[str]) -> str:
    """The known word that a typo may mean, as the end of a sentence; empty if none is near."""
    near = difflib.get_close_matches(text, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def key_lines(text: str) -> dict[KeyPath, int]:
    """Line number, from 1, of every table header and key of a valid TOML document.

    `tomllib` does not keep line numbers.
    Entries of an array of tables are numbered: `("cpu", "clusters", 1, "clock")`.
    """
    lines: dict[KeyPath, int] = {}
    array_sizes: dict[KeyPath, int] = {}
    table: KeyPath = ()
    open_quote = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if open_quote:
            if open_quote in line:
                open_quote = ""
            continue
        if match := _ARRAY_HEADER.fullmatch(line):
            array = _inside(_split(match[1]), array_sizes)
            index = array_sizes.get(array, 0)
            array_sizes[array] = index + 1
            table = (*array, index)
            lines.setdefault(array, number)
            lines[table] = number
        elif match := _HEADER.fullmatch(line):
            table = _inside(_split(match[1]), array_sizes)
            lines.setdefault(table, number)
        elif match := _KEY.match(line):
            lines.setdefault((*table, *_split(match[1])), number)
            rest = line[match.end() :]
            open_quote = next((q for q in _MULTILINE_QUOTES if rest.count(q) % 2), "")
    return lines


def line_of(lines: Mapping[KeyPath, int], path: KeyPath) -> int:
    """Line of the key, or of the nearest table around it; 1 if neither has a line."""
    for length in range(len(path), -1, -1):
        if path[:length] in lines:
            return lines[path[:length]]
    return 1


def _inside(path: KeyPath, array_sizes: dict[KeyPath, int]) -> KeyPath:
    """The path with the index of the last entry after each array of tables."""
    inside: KeyPath = ()
    for position, part in enumerate(path, start=1):
        inside = (*inside, part)
        if position < len(path) and inside in array_sizes:
            inside = (*inside, array_sizes[inside] - 1)
    return inside


def _split(dotted: str) -> KeyPath:
    return tuple(part.strip().strip('"') for part in dotted.split("."))


def _dotted(path: KeyPath) -> str:
    """The key as TOML writes it; entries of arrays count from 1."""
    text = ""
    for part in path:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if text else part
    return text or "the file"
