"""Finds the line of a key in a TOML file, which `tomllib` forgets once it has parsed."""

from __future__ import annotations

import re
from typing import Final

KeyPath = tuple[str | int, ...]

_ARRAY_HEADER: Final = re.compile(r"\s*\[\[([^\[\]]+)\]\]\s*(?:#.*)?")
_HEADER: Final = re.compile(r"\s*\[([^\[\]]+)\]\s*(?:#.*)?")
_KEY: Final = re.compile(r"\s*((?:[A-Za-z0-9_-]+|\"[^\"]*\")(?:\s*\.\s*[A-Za-z0-9_-]+)*)\s*=")
_MULTILINE_QUOTES: Final = ('"""', "'''")


def key_lines(text: str) -> dict[KeyPath, int]:
    """Line number, from 1, of every table header and key of a valid TOML document.

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


def line_of(lines: dict[KeyPath, int], path: KeyPath) -> int:
    """Line of the key, or of the nearest enclosing key that has one; 1 if none has."""
    for length in range(len(path), 0, -1):
        if path[:length] in lines:
            return lines[path[:length]]
    return 1


def _inside(path: KeyPath, array_sizes: dict[KeyPath, int]) -> KeyPath:
    """The path with the number of the last entry after every array of tables that it leads into."""
    inside: KeyPath = ()
    for position, part in enumerate(path, start=1):
        inside = (*inside, part)
        if position < len(path) and inside in array_sizes:
            inside = (*inside, array_sizes[inside] - 1)
    return inside


def _split(dotted: str) -> KeyPath:
    return tuple(part.strip().strip('"') for part in dotted.split("."))
