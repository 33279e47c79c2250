"""The part of YAML that figures are written in: mappings and lists by indentation, and scalars.

No tags, anchors, flow collections or block texts: they are refused, so that nothing is
misread, and nothing is ever constructed from a name.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

_KEY: Final = re.compile(
    r"""(?:"([^"]*)"|'([^']*)'|([^\s#"'&*!|>%@`\[\]{},-][^#"':]*?)):(?:\s+(.*))?$"""
)
_INTEGER: Final = re.compile(r"[-+]?\d+", re.ASCII)
_FLOAT: Final = re.compile(r"[-+]?(?:\d+\.\d*|\.\d+|\d+)(?:[eE][-+]?\d+)?", re.ASCII)
_DEEPEST: Final = 24


class YamlError(ValueError):
    """A line that is outside this part of YAML; the text says which."""


class _Line(NamedTuple):
    number: int
    indent: int
    text: str


def read_yaml(content: str) -> Any:
    """The document as dicts, lists, texts and numbers.

    Raises:
        YamlError: It uses more of YAML than this reads.
    """
    lines = []
    for number, raw in enumerate(content.splitlines(), 1):
        text = raw.rstrip()
        if "\t" in text[: len(text) - len(text.lstrip())]:
            raise YamlError(f"line {number} is indented by a tab")
        if text.strip() and not text.lstrip().startswith("#") and text != "---":
            lines.append(_Line(number, len(text) - len(text.lstrip()), text.strip()))
    value, rest = _block(lines, 0, 0)
    if rest < len(lines):
        raise YamlError(f"line {lines[rest].number} is indented less than its block")
    return value


def _block(lines: list[_Line], start: int, depth: int) -> tuple[Any, int]:
    """The value that begins at a line, and the line after it."""
    if start >= len(lines):
        return None, start
    if depth > _DEEPEST:
        raise YamlError(f"line {lines[start].number} is nested too deeply")
    if _is_item(lines[start]):
        return _sequence(lines, start, depth)
    return _mapping(lines, start, depth)


def _is_item(line: _Line) -> bool:
    return line.text == "-" or line.text.startswith("- ")


def _sequence(lines: list[_Line], start: int, depth: int) -> tuple[list[Any], int]:
    """A list of scalars or mappings."""
    items: list[Any] = []
    at, indent = start, lines[start].indent
    while at < len(lines) and lines[at].indent == indent and _is_item(lines[at]):
        line = lines[at]
        content = line.text[1:].lstrip()
        if _KEY.fullmatch(content):
            # The mapping's first line stands behind the dash, as far in as its others.
            lines[at] = _Line(line.number, indent + len(line.text) - len(content), content)
            item, at = _mapping(lines, at, depth + 1)
        elif content and not content.startswith("- "):
            item, at = _scalar(content, line.number), at + 1
        else:
            raise YamlError(f"line {line.number} is a list in a list, or an item without a value")
        items.append(item)
    return items, at


def _mapping(lines: list[_Line], start: int, depth: int) -> tuple[dict[str, Any], int]:
    found: dict[str, Any] = {}
    at, indent = start, lines[start].indent
    while at < len(lines) and lines[at].indent == indent:
        match = _KEY.fullmatch(lines[at].text)
        if match is None:
            raise YamlError(f"line {lines[at].number} is not `key: value`")
        key = next(group for group in match.groups()[:3] if group is not None)
        number, at = lines[at].number, at + 1
        if match[4] and not match[4].startswith("#"):
            found[key] = _scalar(match[4], number)
        elif at < len(lines) and (
            lines[at].indent > indent or (lines[at].indent == indent and _is_item(lines[at]))
        ):
            found[key], at = _block(lines, at, depth + 1)
        else:
            found[key] = None
    if at < len(lines) and lines[at].indent > indent:
        raise YamlError(f"line {lines[at].number} is indented more than its block")
    return found, at


def _scalar(text: str, number: int) -> Any:
    if text[0] in "\"'":
        if len(text) < 2 or text[-1] != text[0] or "\\" in text:
            raise YamlError(f"line {number} holds a text that is not understood")
        return text[1:-1]
    plain = re.split(r"\s+#", text, maxsplit=1)[0]
    if plain in ("{}", "[]"):
        return {} if plain == "{}" else []
    if plain[0] in "&*!|>%@`[{":
        raise YamlError(f"line {number} uses {plain[0]!r}, which is not understood")
    if plain in ("null", "~"):
        return None
    if plain in ("true", "false"):
        return plain == "true"
    if _INTEGER.fullmatch(plain) and len(plain) < 20:
        return int(plain)
    return float(plain) if _FLOAT.fullmatch(plain) else plain
