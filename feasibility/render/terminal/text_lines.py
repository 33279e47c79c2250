"""How is a line of text printed on a terminal of any width and character set?

Rich's markup is switched off. Lines have no trailing blanks, so that reports can be piped,
pasted and compared.
"""

from __future__ import annotations

import os
import re
from typing import IO, Final

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from feasibility.render.reports.sections import Align, Tone
from feasibility.text import ELLIPSIS, safe_text, shorten

DEFAULT_WIDTH: Final = 80
NARROWEST_WIDTH: Final = 40

# Colour only repeats what the words say.
TONE_STYLES: Final[dict[Tone, str]] = {
    "plain": "",
    "good": "green",
    "caution": "yellow",
    "bad": "bold red",
    "faint": "dim",
}
_ASCII: Final = str.maketrans({ELLIPSIS: "~", "µ": "u", "±": "~"})
_TEXT_LIMIT: Final = 4000
# A number and its unit, or an option and its NAME=VALUE, stay on one line: the blank between them
# is replaced while wrapping, by a character that is one column wide and that `safe_text` removes
# from all names.
_PAIR: Final = re.compile(
    r"(\d) (?=(?:[KMGT]?i?B|[kMGT]?FLOP|[num]?s|%)(?!\w))|(--[a-z-]+) (?=[^ =]+=)"
)
_GLUE: Final = "\ue000"


class _PipeConsole(Console):
    """A console whose caller decides what to do about a closed pipe."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def make_console(stream: IO[str]) -> Console:
    """A console on a stream: as wide as its terminal; without one, COLUMNS or 80 wide."""
    console = _PipeConsole(file=stream, highlight=False, markup=False, emoji=False)
    if not stream.isatty():
        columns = os.environ.get("COLUMNS", "")
        console.width = int(columns) if columns.isdecimal() and int(columns) else DEFAULT_WIDTH
    console.width = max(console.width, NARROWEST_WIDTH)
    return console


def print_hanging(console: Console, head: Text, body: Text) -> None:
    """Print the body wrapped to the width, its further lines below its first."""
    indent = head.cell_len
    room = max(console.width - indent, 16)
    body.plain = _PAIR.sub(rf"\1\2{_GLUE}", body.plain)
    lines = body.wrap(console, room, overflow="fold") or [Text()]
    for number, line in enumerate(lines):
        line.plain = line.plain.replace(_GLUE, " ")
        print_line(console, (head if number == 0 else Text(" " * indent)) + line)


def print_line(console: Console, line: Text) -> None:
    """Print one line in characters that the terminal has, without trailing blanks."""
    if console.options.ascii_only:
        line = Text(line.plain.translate(_ASCII), style=line.style, spans=line.spans)
    line.rstrip()
    console.print(line, soft_wrap=True)


def harmless(text: str) -> str:
    """The text; escaped once more, in case a report did not escape a name."""
    return safe_text(text, _TEXT_LIMIT)


def fitted(text: str, width: int, align: Align = "left") -> str:
    """The text filled up with blanks to `width` cells."""
    if align == "right":
        return " " * max(width - cell_len(text), 0) + text
    return set_cell_size(text, width)


def shortened(text: str, width: int) -> str:
    """At most `width` cells; characters that take two cells count twice."""
    limit = width
    while cell_len(text) > width:
        text = shorten(text, limit)
        limit -= 1
    return text
