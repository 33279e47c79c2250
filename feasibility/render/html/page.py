"""How do records become one HTML file? A page of blocks, data and scripts; it sends nothing."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Sequence
from functools import cache
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

import msgspec

from feasibility.render.html.blocks import Block, blocks_of
from feasibility.render.html.data_tables import AXIS_END, Cell, DataTable
from feasibility.render.html.plots import Plot
from feasibility.text import safe_text

if TYPE_CHECKING:
    from jinja2 import Template

# Mail servers and viewers accept files of this size.
SIZE_LIMIT_BYTES: Final = 1_500_000
# Rows that a reader without JavaScript sees.
STATIC_ROW_LIMIT: Final = 100
_TEXT_LIMIT: Final = 4000
_LIBRARY: Final = "chart.umd.min.js"
_LEFT_OUT: Final = (
    "Further parts are left out, so that this file stays below 1.5 MB. For all figures, write "
    "pages of fewer models or documents."
)
_KINDS: Final = ("plots", "tables")


def render_page(records: Sequence[msgspec.Struct]) -> bytes:
    """One HTML document with the blocks of all records.

    The first block is always complete. Further blocks are left out, with a note, if the file
    would be larger than `SIZE_LIMIT_BYTES`.
    """
    style, script = asset("page.css"), asset("page.js")
    library = f"/*\n{asset('chart.LICENSE.md')}*/\n{library_source()}"
    parts: list[tuple[Block, str, dict[str, Any]]] = []
    size = sum(len(text.encode()) for text in (style, script, library)) + 20_000
    is_complete = True
    for number, block in enumerate(block for record in records for block in blocks_of(record)):
        body, data = _rendered(block, number)
        in_navigation = len(escape(block.title).encode()) + 100
        size += len(body.encode()) + len(_json(data).encode()) + in_navigation
        if parts and size > SIZE_LIMIT_BYTES:
            is_complete = False
            break
        parts.append((block, body, data))
    page = _template("page.html.jinja").render(
        title=f"{parts[0][0].title} - feasibility {parts[0][0].kind}",
        parts=[(number, block, body) for number, (block, body, _) in enumerate(parts)],
        note="" if is_complete else _LEFT_OUT,
        version=getattr(records[0], "tool_version", ""),
        style=style,
        library=library,
        script=script,
        data=_json({kind: [each for *_, data in parts for each in data[kind]] for kind in _KINDS}),
        policy=_policy(style, (library, script)),
    )
    return page.encode()


def asset(name: str) -> str:
    """The text of a file beside this module."""
    return (files("feasibility.render.html") / "assets" / name).read_text("utf-8")


@cache
def library_source() -> str:
    """The plotting library without the URL of its source map."""
    return asset(_LIBRARY).partition("\n//# sourceMappingURL=")[0]


def _policy(style: str, scripts: Iterable[str]) -> str:
    """A Content-Security-Policy that allows only these scripts and this style, and no requests."""
    sources = " ".join(map(_source_hash, scripts))
    return (
        f"default-src 'none'; script-src {sources}; style-src {_source_hash(style)}; "
        "base-uri 'none'; form-action 'none'"
    )


def _source_hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _rendered(block: Block, number: int) -> tuple[str, dict[str, Any]]:
    """The block as HTML, and its plots and tables as data for the script."""
    tables = (*block.tables, *block.nodes)
    body = _template("block.html.jinja").render(
        block=block, number=number, static_row_limit=STATIC_ROW_LIMIT, axis_end=AXIS_END
    )
    return body, {
        "plots": list(map(_plot_data, block.plots)),
        "tables": list(map(_table_data, tables)),
    }


def _plot_data(plot: Plot) -> dict[str, Any]:
    """The plot as the script reads it; fields with default values are left out."""
    data = msgspec.to_builtins(plot)
    return {key: value for key, value in data.items() if value not in (False, "", (), [], None)}


def _table_data(table: DataTable) -> dict[str, Any]:
    """The table by column: different cells once, and the number of the cell for each row."""
    columns = []
    for index, (title, align) in enumerate(table.columns):
        cells: dict[Cell, int] = {}
        rows = [cells.setdefault(row[index], len(cells)) for row in table.rows]
        columns.append(
            {"title": title, "align": align, "cells": list(map(_cell_data, cells)), "rows": rows}
        )
    return {"columns": columns, "choice": table.choice}


def _cell_data(cell: Cell) -> Any:
    """Text alone, or text with key, tone and span; empty fields at the end are left out."""
    values = [cell.text, cell.key, cell.tone if cell.tone != "plain" else None, cell.span]
    while len(values) > 1 and values[-1] is None:
        values.pop()
    return values[0] if len(values) == 1 else values


def _json(data: Any) -> str:
    """JSON that cannot end the element that holds it."""
    text = json.dumps(_harmless(data), ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _harmless(data: Any) -> Any:
    """The data; texts are escaped once more, in case a report did not escape a name."""
    if isinstance(data, str):
        return safe_text(data, _TEXT_LIMIT)
    if isinstance(data, dict):
        return {key: _harmless(value) for key, value in data.items()}
    return [_harmless(each) for each in data] if isinstance(data, list | tuple) else data


@cache
def _template(name: str) -> Template:
    """A template whose values are escaped, as HTML and as names out of a model."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined
    from markupsafe import Markup

    def finalize(value: object) -> object:
        is_plain = isinstance(value, str) and not isinstance(value, Markup)
        return safe_text(str(value), _TEXT_LIMIT) if is_plain else value

    environment = Environment(
        loader=FunctionLoader(asset),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)
