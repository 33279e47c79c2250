"""How is a CSV file read that a user wrote?"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from feasibility.errors import ModelError, UsageError
from feasibility.model_file.open_model import open_regular
from feasibility.text import safe_text

MAX_TABLE_BYTES: Final = 32 * 1024 * 1024
_COLUMNS_HINT: Final = "the columns are those of profiles/published.csv"
_OTHER_DELIMITERS: Final = {";": "semicolons", "\t": "tabs", "|": "bars"}


def read_table(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """The lines of a table with their numbers, each by column; a missing cell is empty text.

    Raises:
        UsageError: It cannot be read, a column is missing, or it has no rows.
    """
    what = f"Cannot read the table {safe_text(str(path))}"
    count = 0
    reader = csv.DictReader(io.StringIO(_content(path, what), newline=""))
    try:
        _require_columns(reader.fieldnames or (), columns, what)
        for line in reader:
            count += 1
            yield reader.line_num, {name: cell or "" for name, cell in line.items() if name}
    except csv.Error as error:
        why = f"line {reader.line_num + 1}: {safe_text(str(error))}"
        raise UsageError(what, why, _COLUMNS_HINT) from error
    if not count:
        raise UsageError(what, "it has columns but no rows", "add a row per measurement")


def _content(path: Path, what: str) -> str:
    try:
        with open(open_regular(path, what), "rb") as file:  # noqa: PTH123
            # Files of /proc show no size before they are read.
            data = file.read(MAX_TABLE_BYTES + 1)
    except ModelError as error:
        hint = "give the path of a file of comma-separated values"
        raise UsageError(what, error.why, hint) from error
    except OSError as error:
        raise UsageError(what, error.strerror or str(error)) from error
    if len(data) > MAX_TABLE_BYTES:
        hint = "give a part of its rows"
        raise UsageError(what, f"it is larger than {MAX_TABLE_BYTES >> 20} MiB", hint)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(what, "it is not UTF-8 text", "save it as CSV in UTF-8") from error


def _require_columns(present: Sequence[str], columns: Sequence[str], what: str) -> None:
    if not any(name.strip() for name in present):
        raise UsageError(what, "it or its first line is empty", _COLUMNS_HINT)
    missing = [name for name in columns if name not in present]
    if not missing:
        return
    for mark, name in _OTHER_DELIMITERS.items():
        if len(present) == 1 and mark in present[0]:
            why = f"its columns are separated by {name}, not by commas"
            raise UsageError(what, why, "save it with commas between the columns")
    raise UsageError(what, f"it has no column {', '.join(missing)}", _COLUMNS_HINT)
